"""What a loss costs: time as a ratio to torch's cross-entropy, and memory.

A ratio is of runs that follow each other, loss and cross-entropy by turns, so that what else the machine does falls on
both. On the CPU they are processor times of one thread: threads that wait for each other on a busy machine take any
time.
"""

import functools
import statistics
import time
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.learn.distances import signed_distances
from pipeline.losses.base import Facts
from pipeline.plumbing.labels import IGNORE

ENOUGH = 20.0  # seconds for one loss and shape, after three rounds

Call = Callable[[Tensor, Tensor], Tensor]


class Cost(NamedTuple):
    """What a forward and a backward pass cost."""

    ratio: float
    """Median of the times over those of cross-entropy."""
    least: float
    most: float
    mebibytes: float
    """Peak of what is allocated besides logits and target; the gradient of the logits is a part of it."""


class Batch(NamedTuple):
    """Inputs of one shape."""

    logits: Tensor
    target: Tensor
    facts: Facts


def make_batch(shape: tuple[int, ...], device: torch.device) -> Batch:
    """Logits without pattern, squares of 20 pixels of the classes, and what a training would tell besides."""
    b, c, h, w = shape
    generator = torch.Generator().manual_seed(0)
    squares = torch.randint(0, c, (b, h // 20 + 1, w // 20 + 1), generator=generator)
    target = squares.repeat_interleave(20, 1).repeat_interleave(20, 2)[:, :h, :w].contiguous()
    maps = np.stack([signed_distances(mask.numpy().astype(np.uint8), c) for mask in target])
    facts = Facts(
        train_pixels=target.flatten().bincount(minlength=c).clamp(min=1).float().to(device),
        train_images=torch.full((c,), float(b), device=device),
        distances=torch.from_numpy(maps).to(device),
        progress=0.25,
    )
    return Batch(torch.randn(shape, generator=generator).to(device).requires_grad_(), target.to(device), facts)


def measure(call: Call, batch: Batch, rounds: int = 15) -> Cost:
    """Time and memory; at least three rounds, fewer than `rounds` where they take long."""
    control = functools.partial(cross_entropy, ignore_index=IGNORE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for each in (control, call, control):  # what is allocated or compiled at the first call
            _seconds(each, batch)
        ratios: list[float] = []
        started = time.perf_counter()
        while len(ratios) < rounds and (len(ratios) < 3 or time.perf_counter() - started < ENOUGH):
            ratios.append(_seconds(call, batch) / _seconds(control, batch))
        return Cost(statistics.median(ratios), min(ratios), max(ratios), _peak(call, batch) / 2**20)


def _step(call: Call, batch: Batch) -> None:
    """Forward and backward."""
    batch.logits.grad = None
    call(batch.logits, batch.target).backward()


def _seconds(call: Call, batch: Batch) -> float:
    if not batch.logits.is_cuda:
        started = time.process_time()
        _step(call, batch)
        return time.process_time() - started
    torch.cuda.synchronize()
    started = time.perf_counter()
    _step(call, batch)
    torch.cuda.synchronize()
    return time.perf_counter() - started


def _peak(call: Call, batch: Batch) -> int:
    """Most bytes that torch held at once during a step, beyond what it held before."""
    batch.logits.grad = None
    if batch.logits.is_cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        _step(call, batch)
        return torch.cuda.max_memory_allocated() - before
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        _step(call, batch)
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = np.cumsum([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())])
    return int(held.max(initial=0))

"""Several trainings at once on one device, and how many cells an hour they make."""

import functools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from threading import Barrier
from typing import NamedTuple

import numpy as np
import torch

from pipeline.conformance.training import Laps, task_of, validated_loop, wall_clock
from pipeline.plumbing.machine import cores

PATIENCE = 600.0  # seconds until a training that does not begin stops the others


class Throughput(NamedTuple):
    """What so many processes do together."""

    processes: int
    threads: int
    """Of each."""
    images_per_second: float
    """Of all."""
    seconds_of_steps: float
    """Of one cell."""
    seconds_of_validations: float

    @property
    def cells_per_hour(self) -> float:
        return 3600 * self.processes / (self.seconds_of_steps + self.seconds_of_validations)


def together(dataset: str, model: str, iterations: int, processes: int, device: torch.device) -> Throughput:
    """Train in so many processes, which share the cores as those of `pipeline.run` do; all are timed from the moment at
    which all have warmed up. Means over the processes."""
    threads, context = max(1, cores() // processes), multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(processes, mp_context=context) as pool:
        start = manager.Barrier(processes, timeout=PATIENCE)
        train = functools.partial(_train, dataset, model, iterations, str(device), threads, start)
        running = [pool.submit(train) for _ in range(processes)]
        iteration, validation = np.mean([each.result() for each in running], axis=0)
    settings = task_of(dataset, model).fit
    return Throughput(
        processes,
        threads,
        images_per_second=processes * settings.batch_size / iteration,
        seconds_of_steps=settings.iterations * iteration,
        seconds_of_validations=settings.validations * validation,
    )


def _train(dataset: str, model: str, iterations: int, device: str, threads: int, start: Barrier) -> tuple[float, float]:
    """Seconds of an iteration and of a validation."""
    torch.set_num_threads(threads)
    laps = Laps(iterations, wall_clock(torch.device(device)), start.wait)
    validated_loop(task_of(dataset, model, iterations), torch.device(device), laps)
    return laps.seconds_per_iteration, laps.seconds_of_validation

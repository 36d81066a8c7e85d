"""What a training would take, from a few of its steps."""

import time
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.learn.device import loader_workers
from pipeline.learn.predict import predict
from pipeline.learn.samples import batches, open_split
from pipeline.learn.settings import Fit
from pipeline.learn.trainer import Trainer
from pipeline.learn.training import Task, assemble, initial_model
from pipeline.plumbing.arrays import open_array

LONG_ENOUGH = 1.0  # seconds of steps after the first
SAMPLE = 32  # masks that are compressed to see how small they get


class Trial(NamedTuple):
    """What one training takes."""

    start: float
    """Seconds until the first step, with all libraries loaded."""
    step: float
    """Seconds of an iteration, its batch included."""
    validation: float
    """Seconds to predict the validation split once."""
    weights: int
    """Bytes of the model."""
    state: int
    """Bytes of what is kept for the case that it is killed."""

    def seconds(self, settings: Fit) -> float:
        return self.start + settings.iterations * self.step + settings.validations * self.validation


def trial(task: Task, device: torch.device) -> Trial:
    """Take a first step, which is not counted, time some more, and predict one batch of the validation split."""
    began = time.perf_counter()
    model = initial_model(task).to(device)
    samples, criterion = assemble(task, device)
    workers = loader_workers(device, bool(samples.distances_to))
    trainer = Trainer(model.train(), criterion, task.fit, device)
    upcoming = iter(batches(samples, task.fit.batch_size, workers, device))
    start = _now(device) - began
    trainer.step(next(upcoming))
    step = _step(trainer, upcoming, device)
    weights, moments = _bytes(model.state_dict()), _bytes(trainer.optimizer.state_dict())
    return Trial(start, step, _validation(trainer, task, device), weights, 2 * weights + moments)


def mask_bytes(prepared: Path) -> int:
    """About how much the predicted masks of the test split take when compressed: as much as the true ones."""
    masks = open_array(prepared / "test_masks.npy")
    sample = np.ascontiguousarray(masks[:SAMPLE])
    return len(zlib.compress(sample)) * len(masks) // len(sample)


def _step(trainer: Trainer, upcoming: Iterable[tuple[Tensor, ...]], device: torch.device) -> float:
    """Mean seconds of the next steps; 0 for a training that has no second one."""
    began, done, took = _now(device), 0, 0.0
    for batch in upcoming:
        trainer.step(batch)
        done, took = done + 1, _now(device) - began
        if took >= LONG_ENOUGH:
            break
    return took / max(1, done)


def _validation(trainer: Trainer, task: Task, device: torch.device) -> float:
    images, _ = open_split(task.prepared, "val")
    size = 2 * task.fit.batch_size
    began = _now(device)
    for _ in predict(trainer.model, images[:size], size, device):
        pass
    return (_now(device) - began) * -(-len(images) // size)


def _now(device: torch.device) -> float:
    """Seconds, when all is done that was asked of the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _bytes(state: object) -> int:
    """Bytes of all tensors in a state, however deep they lie."""
    if isinstance(state, Tensor):
        return state.nbytes
    parts = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return sum(map(_bytes, parts))

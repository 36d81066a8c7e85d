"""A small training on a prepared dataset, up to its batches and its criterion."""

from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader

from pipeline.learn.criterion import Criterion
from pipeline.learn.device import loader_workers
from pipeline.learn.samples import batches
from pipeline.learn.settings import Fit, UNet
from pipeline.learn.training import Task, assemble
from pipeline.plumbing import plugins
from pipeline.strategies.base import Strategy

CPU = torch.device("cpu")
FIT = Fit(iterations=5, batch_size=4, augmentation="light", validations=1)


def assembled(
    prepared: Path, strategy: Strategy, loss: str | dict[str, Any] = "cross_entropy", seed: int = 0, fit: Fit = FIT
) -> tuple[DataLoader, Criterion]:
    """`loss` is a kind, or a mapping with `kind` and options."""
    made = plugins.build_unnamed("losses", loss, "loss")
    samples, criterion = assemble(Task(prepared, {}, UNet(), fit, made, strategy, seed), CPU)
    workers = loader_workers(CPU, bool(samples.distances_to))
    return batches(samples, fit.batch_size, workers, CPU), criterion


def bytes_of(loader: DataLoader) -> list[list[bytes]]:
    """Images and masks of each batch."""
    return [[part.numpy().tobytes() for part in batch[:2]] for batch in loader]

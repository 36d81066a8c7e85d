"""One training, from options to a trained model: what `train` does for a cell and `tune` for each rate it tries."""

import functools
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from pipeline.learn import model as unet
from pipeline.learn.augmentation import Augmentation
from pipeline.learn.checkpoint import Checkpoint, UnusableState
from pipeline.learn.criterion import Criterion
from pipeline.learn.device import loader_workers
from pipeline.learn.fit import Listener, fit
from pipeline.learn.predict import on_device, predict
from pipeline.learn.samples import TrainSamples, batches, open_split, shuffled_passes
from pipeline.learn.settings import Fit, UNet
from pipeline.learn.trainer import Outcome
from pipeline.measure.counts.region import count, iou, mean_iou
from pipeline.plumbing.random_streams import small_seed, stream
from pipeline.strategies.base import ClassStatistics, Draws, Strategy


class Task(NamedTuple):
    """All that a training depends on."""

    prepared: Path
    """Directory of the prepared dataset."""
    meta: dict[str, Any]
    """Its meta.json."""
    model: UNet
    fit: Fit
    loss: Any
    strategy: Strategy
    seed: int


def run_training(
    task: Task, device: torch.device, listener: Listener, checkpoint: Checkpoint | None = None
) -> tuple[unet.Segmenter, Criterion, Outcome]:
    """Train a new model, or go on from the `checkpoint` that a killed process has left, if that can be used."""
    model = initial_model(task).to(device)
    samples, criterion = assemble(task, device)
    workers = loader_workers(device, bool(samples.distances_to))
    upcoming = functools.partial(batches, samples, task.fit.batch_size, workers, device)
    torch.manual_seed(small_seed(task.seed, "dropout"))
    validate = functools.partial(validation_scores, task.prepared, len(task.meta["classes"]), task.fit, device)
    try:
        outcome = fit(model, criterion, upcoming, task.fit, device, validate, listener, checkpoint)
    except UnusableState as reason:
        checkpoint.refuse(reason)
        return run_training(task, device, listener, checkpoint)
    return model, criterion, outcome


def initial_model(task: Task) -> unet.Segmenter:
    """The untrained model: the same weights for every loss and strategy at a seed."""
    torch.manual_seed(small_seed(task.seed, "initial weights"))
    meta = task.meta
    return unet.build(task.model, len(meta["classes"]), task.fit.dropout, meta["mean"], meta["std"])


def assemble(task: Task, device: torch.device) -> tuple[TrainSamples, Criterion]:
    """What the strategy and the loss make of the common settings: the draws, and the loss with all it may know."""
    settings, statistics = task.fit, ClassStatistics.read(task.prepared)
    images, classes = statistics.pixels.shape
    order = shuffled_passes(task.seed, settings.iterations * settings.batch_size, images)
    stretches = []
    for number, (iterations, strategy) in enumerate(task.strategy.stretches(settings.iterations)):
        common = Draws.of(order[iterations.start * settings.batch_size : iterations.stop * settings.batch_size])
        draws = strategy.draws(common, statistics, settings.batch_size, stream(task.seed, "strategy", number))
        treatment = strategy.treatment(statistics)
        stretches.append((draws, Augmentation(settings.augmentation, settings.horizontal_flip, treatment)))
    distances_to = classes if task.loss.needs_distances() else 0
    samples = TrainSamples(task.prepared, stretches, task.seed, distances_to)
    return samples, Criterion(task.loss, task.strategy, statistics, settings.iterations).to(device)


def validation_scores(
    prepared: Path, classes: int, settings: Fit, device: torch.device, model: nn.Module
) -> tuple[float, list[float]]:
    """Mean IoU and IoU per class on the validation split."""
    images, masks = open_split(prepared, "val")
    counts = [
        count(predicted, on_device(masks[where], device), classes)
        for where, predicted in predict(model, images, 2 * settings.batch_size, device)
    ]
    counts = np.concatenate(counts)
    return mean_iou(counts), iou(counts.sum(axis=0)).tolist()

"""The numbers whose speed is compared: computed here, and by torchmetrics from the same tensors."""

import importlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.learn.torchvision_schemas import declare_missing_operators
from pipeline.measure.counts.calibration import BINS, count_probabilities
from pipeline.measure.counts.region import count
from pipeline.plumbing.labels import IGNORE

BATCHES = 2
SCORES = ("JaccardIndex", "F1Score", "Precision", "Recall", "Specificity", "Accuracy")

Numbers = dict[str, np.ndarray]


class Batch(NamedTuple):
    """What a network says of some images, and what they show."""

    logits: Tensor
    predicted: Tensor
    target: Tensor


class Contest(NamedTuple):
    """The same numbers by two ways, from batches of some number of classes."""

    name: str
    ours: Callable[[list[Batch], int], Numbers]
    theirs: Callable[[int, torch.device], Callable[[list[Batch]], Numbers]]
    """Makes what is made once for a whole evaluation."""
    tolerance: float
    """Relative."""
    compared: int | None = None
    """Rows of the images on which the numbers are compared, where not all: torchmetrics sums probabilities in single
    precision, and two million pixels put it off by 4 %."""


def make_batches(shape: tuple[int, ...], device: torch.device) -> list[Batch]:
    """Squares of 20 pixels of the classes, one pixel in twenty void, and logits that are mostly right."""
    b, c, h, w = shape
    generator = torch.Generator().manual_seed(0)
    batches = []
    for _ in range(BATCHES):
        squares = torch.randint(0, c, (b, h // 20 + 1, w // 20 + 1), generator=generator)
        target = squares.repeat_interleave(20, 1).repeat_interleave(20, 2)[:, :h, :w].contiguous()
        logits = torch.randn(shape, generator=generator) + 3 * torch.nn.functional.one_hot(target, c).movedim(-1, 1)
        target[torch.rand(target.shape, generator=generator) < 0.05] = IGNORE
        batches.append(Batch(logits.to(device), logits.argmax(dim=1).to(device), target.to(device, torch.uint8)))
    return batches


# --- ours ---


def our_region(batches: list[Batch], classes: int) -> Numbers:
    """Scores of the whole, and the counts of each image."""
    counts = np.concatenate([count(each.predicted, each.target, classes) for each in batches])
    tp, fp, fn, tn = counts.sum(axis=0).T.astype(float)
    true, said, pixels = tp + fn, tp + fp, (tp + fp + fn + tn)[0]
    spread = (pixels**2 - (true**2).sum()) * (pixels**2 - (said**2).sum())
    return {
        "JaccardIndex": tp / (tp + fp + fn),
        "F1Score": 2 * tp / (2 * tp + fp + fn),
        "Precision": tp / said,
        "Recall": tp / true,
        "Specificity": tn / (tn + fp),
        "Accuracy": tp / true,  # of a class, torchmetrics means its recall
        "MatthewsCorrCoef": (tp.sum() * pixels - true @ said) / np.sqrt(spread),
        "images": counts,
    }


def our_scores(batches: list[Batch], classes: int) -> Numbers:
    return {name: value for name, value in our_region(batches, classes).items() if name != "images"}


def our_calibration(batches: list[Batch], classes: int) -> Numbers:
    """Errors of the whole; log-loss, Brier score, and the bins of each image, are counted as well."""
    bins = np.concatenate([count_probabilities(each.logits, each.target, classes)[1] for each in batches])
    pixels, confidence, hits = np.moveaxis(bins.sum(axis=0), -1, 0)
    return {"errors": np.abs(confidence - hits).sum(axis=-1) / pixels.sum(axis=-1)}


# --- theirs ---


def _torchmetrics() -> Any:
    """Only here, so that nothing else needs it."""
    declare_missing_operators()
    return importlib.import_module("torchmetrics")


def their_scores(classes: int, device: torch.device) -> Callable[[list[Batch]], Numbers]:
    """Metrics that share what they count, as a MetricCollection finds at its first update."""
    library = _torchmetrics()
    options = {"num_classes": classes, "ignore_index": IGNORE, "validate_args": False}
    of = library.classification
    metrics = {name: getattr(of, f"Multiclass{name}")(average="none", **options) for name in SCORES}
    metrics["MatthewsCorrCoef"] = of.MulticlassMatthewsCorrCoef(**options)
    collection = library.MetricCollection(metrics).to(device)

    def run(batches: list[Batch]) -> Numbers:
        collection.reset()
        for each in batches:
            collection.update(each.predicted, each.target)
        return {name: value.cpu().numpy() for name, value in collection.compute().items()}

    return run


def their_region(classes: int, device: torch.device) -> Callable[[list[Batch]], Numbers]:
    """The same, and the counts of each image."""
    options = {"average": "none", "multidim_average": "samplewise", "ignore_index": IGNORE, "validate_args": False}
    images = _torchmetrics().classification.MulticlassStatScores(classes, **options).to(device)
    scores = their_scores(classes, device)

    def run(batches: list[Batch]) -> Numbers:
        images.reset()
        for each in batches:
            images.update(each.predicted, each.target)
        tp, fp, tn, fn, _ = images.compute().movedim(-1, 0).cpu().numpy()
        return scores(batches) | {"images": np.stack([tp, fp, fn, tn], axis=-1)}

    return run


def their_calibration(classes: int, device: torch.device) -> Callable[[list[Batch]], Numbers]:
    """The top label, and each class one versus rest."""
    of, options = _torchmetrics().classification, {"n_bins": BINS, "ignore_index": IGNORE, "validate_args": False}
    top = of.MulticlassCalibrationError(classes, **options).to(device)
    each_class = [of.BinaryCalibrationError(**options).to(device) for _ in range(classes)]

    def run(batches: list[Batch]) -> Numbers:
        for metric in (top, *each_class):
            metric.reset()
        for each in batches:
            probabilities, void = each.logits.softmax(dim=1), each.target == IGNORE
            top.update(probabilities, each.target)
            for index, metric in enumerate(each_class):
                metric.update(probabilities[:, index], (each.target == index).long().masked_fill(void, IGNORE))
        return {"errors": torch.stack([metric.compute() for metric in (top, *each_class)]).cpu().numpy()}

    return run


def our_all(batches: list[Batch], classes: int) -> Numbers:
    return our_region(batches, classes) | our_calibration(batches, classes)


def their_all(classes: int, device: torch.device) -> Callable[[list[Batch]], Numbers]:
    region, calibration = their_region(classes, device), their_calibration(classes, device)
    return lambda batches: region(batches) | calibration(batches)


CONTESTS = (
    Contest("scores of the whole", our_scores, their_scores, 1e-5),
    Contest("scores of the whole, counts of each image", our_region, their_region, 1e-5),
    Contest("calibration", our_calibration, their_calibration, 1e-4, compared=16),
    Contest("all", our_all, their_all, 1e-4, compared=16),
)

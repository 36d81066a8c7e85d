"""Metrics as functions of stored counts, one entry each.

Absent class, for all of them: where the denominator is 0 the class has no score (NaN) and is left out of the mean,
never counted as 0 or 1. So IoU and Dice leave out a class that is neither predicted nor true, precision one that is
never predicted, recall one that is never true. How many were left out is stored beside the score of each class.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pipeline.measure.counts.region import iou, ratio


def dice(counts: np.ndarray) -> np.ndarray:
    tp, fp, fn, _ = np.moveaxis(counts, -1, 0)
    return ratio(2 * tp, 2 * tp + fp + fn)


def precision(counts: np.ndarray) -> np.ndarray:
    tp, fp, _, _ = np.moveaxis(counts, -1, 0)
    return ratio(tp, tp + fp)


def recall(counts: np.ndarray) -> np.ndarray:
    tp, _, fn, _ = np.moveaxis(counts, -1, 0)
    return ratio(tp, tp + fn)


def pixel_accuracy(counts: np.ndarray) -> np.ndarray:
    """Without a class axis: true positives of all classes over all valid pixels."""
    tp, _, fn, _ = np.moveaxis(counts, -1, 0)
    return ratio(tp.sum(axis=-1), (tp + fn).sum(axis=-1))


CLASS_SCORES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "iou": iou,
    "dice": dice,
    "precision": precision,
    "recall": recall,
    "f1": dice,  # the same number by definition; listed since readers look for either name
}


class Metric(NamedTuple):
    """One number for a test split, from counts `n c 4`."""

    title: str
    formula: str
    averages: str
    compute: Callable[[np.ndarray], float]
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True


FORMULAS = {
    "iou": "TP / (TP + FP + FN)",
    "dice": "2 TP / (2 TP + FP + FN)",
    "precision": "TP / (TP + FP)",
    "recall": "TP / (TP + FN)",
    "f1": "harmonic mean of precision and recall of a class, which is Dice",
}
TITLES = {"iou": "IoU", "dice": "Dice", "precision": "precision", "recall": "recall", "f1": "F1"}
OVER_DATASET = "counts summed over all images, then the mean over classes"
OVER_IMAGES = "mean over the classes of an image, then over images"


def _over_dataset(score: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], float]:
    return lambda counts: mean_of_known(score(counts.sum(axis=0)))


def _over_images(score: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], float]:
    return lambda counts: mean_of_known([mean_of_known(image) for image in score(counts)])


def mean_of_known(values: np.ndarray | list[float]) -> float:
    """Mean of the values that are not NaN; NaN if there are none."""
    values = np.asarray(values, dtype=float)
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


METRICS: dict[str, Metric] = {
    **{
        f"m{name}": Metric(f"mean {TITLES[name]}", FORMULAS[name], OVER_DATASET, _over_dataset(score))
        for name, score in CLASS_SCORES.items()
    },
    "pixel_accuracy": Metric(
        "pixel accuracy",
        "correct pixels / valid pixels",
        "all pixels of all images",
        lambda counts: mean_of_known([pixel_accuracy(counts.sum(axis=0))]),
    ),
    **{
        f"m{name}_image": Metric(f"mean {TITLES[name]} per image", FORMULAS[name], OVER_IMAGES, _over_images(score))
        for name, score in CLASS_SCORES.items()
    },
    "pixel_accuracy_image": Metric(
        "pixel accuracy per image",
        "correct pixels / valid pixels",
        "pixels of an image, then the mean over images",
        lambda counts: mean_of_known(pixel_accuracy(counts)),
    ),
}

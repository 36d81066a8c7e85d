"""Region metrics: how the predicted and the true pixels of a class overlap.

TP, FP, FN, TN: pixels that are of the class in prediction and truth, in the prediction only, in the truth only, in
neither. Columns: `pipeline/measure/counts/region.py`.
"""

from collections.abc import Callable, Mapping

import numpy as np

from pipeline.measure.counts.region import COUNTS, ratio
from pipeline.measure.metrics.base import Score

Columns = Mapping[str, np.ndarray]
NOWHERE = "no score where the class is neither predicted nor true"


def iou(columns: Columns) -> np.ndarray:
    tp, fp, fn, _ = _counts(columns)
    return ratio(tp, tp + fp + fn)


def precision(columns: Columns) -> np.ndarray:
    tp, fp, _, _ = _counts(columns)
    return ratio(tp, tp + fp)


def recall(columns: Columns) -> np.ndarray:
    tp, _, fn, _ = _counts(columns)
    return ratio(tp, tp + fn)


def specificity(columns: Columns) -> np.ndarray:
    """A class that is nowhere would have 1 here without merit, so it has no score either."""
    tp, fp, fn, tn = _counts(columns)
    return np.where(tp + fp + fn > 0, ratio(tn, tn + fp), np.nan)


def f_beta(beta: float) -> Callable[[Columns], np.ndarray]:
    """The F-score in which recall weighs `beta` times as much as precision."""

    def score(columns: Columns) -> np.ndarray:
        tp, fp, fn, _ = _counts(columns)
        hits = (1 + beta**2) * tp
        return ratio(hits, hits + beta**2 * fn + fp)

    return score


def mcc(columns: Columns) -> np.ndarray:
    """Matthews correlation of a class against the rest."""
    tp, fp, fn, tn = (each.astype(float) for each in _counts(columns))  # products of sums overflow int64
    margins = np.sqrt((tp + fp) * (tp + fn)) * np.sqrt((tn + fp) * (tn + fn))
    return ratio(tp * tn - fp * fn, margins)


def pixel_accuracy(columns: Columns) -> np.ndarray:
    tp, _, fn, _ = _counts(columns)
    return ratio(tp.sum(axis=-1, keepdims=True), (tp + fn).sum(axis=-1, keepdims=True))


def frequency_weighted_iou(columns: Columns) -> np.ndarray:
    tp, _, fn, _ = _counts(columns)
    weighted = np.where(tp + fn > 0, (tp + fn) * iou(columns), 0)
    return ratio(weighted.sum(axis=-1, keepdims=True), (tp + fn).sum(axis=-1, keepdims=True))


def _counts(columns: Columns) -> tuple[np.ndarray, ...]:
    return tuple(columns[name] for name in COUNTS)


SCORES = {
    "iou": Score("IoU", "TP / (TP + FP + FN)", iou, COUNTS, NOWHERE),
    "dice": Score("Dice", "2 TP / (2 TP + FP + FN)", f_beta(1), COUNTS, NOWHERE),
    "precision": Score("precision", "TP / (TP + FP)", precision, COUNTS, "no score where the class is never predicted"),
    "recall": Score("recall", "TP / (TP + FN)", recall, COUNTS, "no score where the class is never true"),
    "specificity": Score(
        "specificity", "TN / (TN + FP)", specificity, COUNTS, f"{NOWHERE}, and where it is true of every pixel"
    ),
    # the same number as Dice by definition; listed since readers look for either name
    "f1": Score("F1", "harmonic mean of precision and recall, which is Dice", f_beta(1), COUNTS, NOWHERE),
    "f2": Score("F2", "F-beta with beta = 2: 5 TP / (5 TP + 4 FN + FP)", f_beta(2), COUNTS, NOWHERE),
    "mcc": Score(
        "Matthews correlation",
        "(TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN))",
        mcc,
        COUNTS,
        "no score where the class is predicted or true of no pixel or of every pixel; so a class that is always missed "
        "is left out, which IoU does not forgive",
        low=-1.0,
    ),
}
# Of all classes at once: the last axis has length 1.
OVERALL = {
    "pixel_accuracy": Score(
        "pixel accuracy",
        "correct pixels / valid pixels",
        pixel_accuracy,
        COUNTS,
        "weighs by its true pixels, so not at all where it is never true",
    ),
    "fwiou": Score(
        "frequency-weighted IoU",
        "IoU of each class, weighted by its true pixels",
        frequency_weighted_iou,
        COUNTS,
        "weighs by its true pixels, so not at all where it is never true, even if it is predicted",
    ),
}

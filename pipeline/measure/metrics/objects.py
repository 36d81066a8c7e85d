"""Object metrics: connected components of a class, matched where the IoU of their masks is above 0.5.

TP, FP, FN: matched pairs, predicted objects without a match, true objects without one (Kirillov et al., "Panoptic
segmentation", CVPR 2019). Columns: `pipeline/measure/counts/objects.py`.
"""

from collections.abc import Callable, Mapping

import numpy as np

from pipeline.measure.counts.region import ratio
from pipeline.measure.metrics.base import Score

PREDICTED, TRUE, MATCHED = "objects_predicted", "objects_true", "objects_matched"
NOTHING = "no score where no object is predicted or true"
UNMATCHED = "no score where no object is matched, so read it beside object F1"


def per_object(part: str, objects: str) -> Callable[[Mapping[str, np.ndarray]], np.ndarray]:
    return lambda columns: ratio(columns[part], columns[objects])


def per_mean_object(part: str) -> Callable[[Mapping[str, np.ndarray]], np.ndarray]:
    """The denominator TP + FP / 2 + FN / 2 is half the number of predicted and true objects."""
    return lambda columns: ratio(2 * columns[part], columns[PREDICTED] + columns[TRUE])


SCORES = {
    "object_precision": Score(
        "object precision",
        "TP / (TP + FP) of objects",
        per_object(MATCHED, PREDICTED),
        (MATCHED, PREDICTED),
        "no score where no object is predicted",
    ),
    "object_recall": Score(
        "object recall",
        "TP / (TP + FN) of objects",
        per_object(MATCHED, TRUE),
        (MATCHED, TRUE),
        "no score where no object is true",
    ),
    "object_f1": Score(
        "object F1",
        "TP / (TP + FP / 2 + FN / 2) of objects, also called recognition quality",
        per_mean_object(MATCHED),
        (MATCHED, PREDICTED, TRUE),
        NOTHING,
    ),
    "box_iou": Score(
        "box IoU",
        "mean over matched pairs of the IoU of their bounding boxes",
        per_object("matched_box_iou", MATCHED),
        ("matched_box_iou", MATCHED),
        UNMATCHED,
    ),
    "segmentation_quality": Score(
        "segmentation quality",
        "mean over matched pairs of the IoU of their masks",
        per_object("matched_iou", MATCHED),
        ("matched_iou", MATCHED),
        UNMATCHED,
        low=0.5,
    ),
    "panoptic_quality": Score(
        "panoptic quality",
        "sum over matched pairs of the IoU of their masks / (TP + FP / 2 + FN / 2)",
        per_mean_object("matched_iou"),
        ("matched_iou", PREDICTED, TRUE),
        NOTHING,
    ),
}

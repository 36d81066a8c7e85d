"""Boundary metrics: how near the edges of the predicted and the true mask of a class are to each other.

What counts as edge, its distances, and what a class in one mask only gets: `pipeline/measure/counts/surfaces.py`.
"""

from collections.abc import Mapping

import numpy as np

from pipeline.measure.counts.region import ratio
from pipeline.measure.metrics.base import Score

UNIT = "pixels, or the unit of the dataset's spacing"
NOWHERE = "no score where the class is neither predicted nor true"
SURFACES = ("surface_predicted", "surface_true")
FAR = f"{NOWHERE}; in one mask only, it is the diagonal of the image away"


def boundary_iou(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Cheng et al., "Boundary IoU: improving object-centric image segmentation evaluation", CVPR 2021."""
    return ratio(columns["band_intersection"], columns["band_union"])


def surface_dice(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Nikolov et al., "Clinically applicable segmentation of head and neck anatomy for radiotherapy", JMIR 2021; on
    pixels of the surface, as in MONAI, where they weigh elements of the surface by their area."""
    near = columns["surface_predicted_near"] + columns["surface_true_near"]
    return ratio(near, columns["surface_predicted"] + columns["surface_true"])


def assd(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    distance = columns["distance_predicted"] + columns["distance_true"]
    return ratio(distance, columns["surface_predicted"] + columns["surface_true"])


def hd95(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    return columns["hd95"]


SCORES = {
    "boundary_iou": Score(
        "boundary IoU",
        "IoU of the bands of both masks that are within 2 % of the image diagonal of their edge",
        boundary_iou,
        ("band_intersection", "band_union"),
        NOWHERE,
    ),
    "surface_dice": Score(
        "normalized surface Dice",
        "share of the edge pixels of both masks that are within `eval.tolerance` of the other edge",
        surface_dice,
        (*SURFACES, "surface_predicted_near", "surface_true_near"),
        NOWHERE,
    ),
    "hd95": Score(
        "95th percentile Hausdorff distance",
        "larger of the 95th percentiles of the distances from the edge pixels of either mask to the other edge",
        hd95,
        ("hd95",),
        FAR,
        high=np.inf,
        higher_is_better=False,
        unit=UNIT,
        sums=False,  # a percentile
    ),
    "assd": Score(
        "average symmetric surface distance",
        "mean of the distances from the edge pixels of both masks to the other edge",
        assd,
        (*SURFACES, "distance_predicted", "distance_true"),
        FAR,
        high=np.inf,
        higher_is_better=False,
        unit=UNIT,
    ),
}

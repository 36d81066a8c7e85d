"""Skeletons of the predicted and the true mask, and how much of each lies in the other mask: what clDice is made of.

Shit et al., "clDice: a novel topology-preserving loss function for tubular structure segmentation", CVPR 2021.
"""

import numpy as np
from scipy.ndimage import find_objects
from skimage.morphology import skeletonize

from pipeline.measure.counts.objects import objects_in
from pipeline.plumbing.labels import IGNORE

COLUMNS = ("skeleton_predicted", "skeleton_predicted_hit", "skeleton_true", "skeleton_true_hit")


def count_skeletons(
    predicted: np.ndarray, truth: np.ndarray, classes: int, true_skeleton: np.ndarray | None = None
) -> dict[str, np.ndarray]:
    """By column, pixels `c` (int64): of the skeleton of each mask, and those of them that the other mask holds.

    Args:
        predicted: `h w` uint8 class indices.
        truth: the same, and 255 where void. Void pixels leave both masks.
        classes: number of classes, `c`.
        true_skeleton: `skeleton_of(truth)`, where it is known from an earlier prediction.
    """
    if true_skeleton is None:
        true_skeleton = skeleton_of(truth)
    predicted = np.where(truth == IGNORE, IGNORE, predicted)
    agree = (predicted == truth).reshape(-1)
    values = (
        np.bincount(mask.reshape(-1)[pixels], minlength=classes)
        for mask, skeleton in ((predicted, skeleton_of(predicted)), (truth, true_skeleton))
        for pixels in (skeleton, skeleton[agree[skeleton]])
    )
    return dict(zip(COLUMNS, values, strict=True))


def skeleton_of(mask: np.ndarray) -> np.ndarray:
    """The places in a flat mask (int32) of the skeletons of all classes, by the thinning of Zhang and Suen (1984).

    An object at a time: thinning passes over its whole image as often as half the width of what is in it.
    """
    objects = objects_in(mask)
    skeletons = np.zeros(mask.shape, bool)
    for number, box in enumerate(find_objects(objects), start=1):
        skeletons[box] |= skeletonize(objects[box] == number)
    return np.flatnonzero(skeletons).astype(np.int32)

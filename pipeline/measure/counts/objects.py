"""Objects, that is 8-connected components, of the predicted and the true mask, and how well they match.

A predicted and a true object match if the IoU of their masks is above 0.5: then none has two matches (Kirillov et al.,
"Panoptic segmentation", CVPR 2019).
"""

import numpy as np
from scipy.ndimage import find_objects
from skimage.measure import label

from pipeline.plumbing.labels import IGNORE

COLUMNS = ("objects_predicted", "objects_true", "objects_matched", "matched_iou", "matched_box_iou")


def count_objects(predicted: np.ndarray, truth: np.ndarray, classes: int) -> dict[str, np.ndarray]:
    """By column, `c`: numbers of objects and of matches (int64), and sums over matches of an IoU (float64).

    `matched_iou` sums the IoU of the masks, `matched_box_iou` that of the upright boxes around them.

    Args:
        predicted: `h w` uint8 class indices.
        truth: the same, and 255 where void. Void pixels leave both masks: an object that void cuts in two is two.
        classes: number of classes, `c`.
    """
    predicted = np.where(truth == IGNORE, IGNORE, predicted)
    predicted_objects, true_objects = objects_in(predicted), objects_in(truth)
    predicted_classes, true_classes = _classes(predicted_objects, predicted), _classes(true_objects, truth)
    one, other, iou = _matches(predicted_objects, true_objects, predicted == truth)
    box_iou = _box_iou(_boxes(predicted_objects)[one - 1], _boxes(true_objects)[other - 1])
    of_class = predicted_classes[one]
    values = (
        np.bincount(predicted_classes[1:], minlength=classes),
        np.bincount(true_classes[1:], minlength=classes),
        np.bincount(of_class, minlength=classes),
        np.bincount(of_class, iou, minlength=classes),
        np.bincount(of_class, box_iou, minlength=classes),
    )
    return dict(zip(COLUMNS, values, strict=True))


def objects_in(mask: np.ndarray) -> np.ndarray:
    """The objects of all classes in `h w` class indices: each pixel's number, from 1, and 0 where void."""
    return label(mask, background=IGNORE, connectivity=2)


def _classes(objects: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The class of each object by its number; the first is void."""
    classes = np.full(objects.max() + 1, IGNORE)
    classes[objects] = mask
    return classes


def _boxes(objects: np.ndarray) -> np.ndarray:
    """The box around each object, `k 4`: top, left, and the bottom and right that it ends before."""
    boxes = [(rows.start, columns.start, rows.stop, columns.stop) for rows, columns in find_objects(objects)]
    return np.array(boxes, dtype=np.int64).reshape(-1, 4)


def _matches(predicted: np.ndarray, true: np.ndarray, agree: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of the predicted and of the true object of each match, and its IoU; `agree`: pixels of equal class."""
    predicted_area, true_area = np.bincount(predicted.reshape(-1)), np.bincount(true.reshape(-1))
    inside = agree & (predicted > 0)
    pairs, intersection = np.unique(predicted[inside] * len(true_area) + true[inside], return_counts=True)
    one, other = np.divmod(pairs, len(true_area))
    union = predicted_area[one] + true_area[other] - intersection
    matched = 2 * intersection > union
    return one[matched], other[matched], intersection[matched] / union[matched]


def _box_iou(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """IoU of each pair of boxes `k 4`."""
    corners = np.maximum(one[:, :2], other[:, :2]), np.minimum(one[:, 2:], other[:, 2:])
    intersection, first, second = (
        (end - start).prod(axis=1) for start, end in (corners, np.split(one, 2, axis=1), np.split(other, 2, axis=1))
    )
    return intersection / (first + second - intersection)

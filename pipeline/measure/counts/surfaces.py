"""Surfaces of the predicted and the true mask and the distances between them: what boundary metrics are made of.

The frame of the image counts as outside, so a class that touches it has a surface there, as in MONAI and in the
official code of boundary IoU. The edge of a void region is no surface: where the class ends in it is not known.

All classes are treated at once: a pixel lies at the edge of its class where the lowest or the highest class around it
is another one, and one search tree holds the surfaces of all classes, kept apart by a third coordinate.
"""

import math

import cv2
import numpy as np
from scipy.spatial import cKDTree

from pipeline.plumbing.labels import IGNORE

BANDS = ("band_intersection", "band_union")
DIRECTED = ("surface_{}", "surface_{}_near", "distance_{}")
COLUMNS = (*BANDS, *(name.format(side) for side in ("predicted", "true") for name in DIRECTED), "hd95")
BAND = 0.02  # thickness of the bands of boundary IoU: a share of the diagonal of the image
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
SQUARE = cv2.getStructuringElement(cv2.MORPH_RECT, (3, 3))
ROUNDING = 1e-9  # 3 pixels of 0.1 are 0.30000000000000004 away, and within a tolerance of 0.3


def count_surfaces(
    predicted: np.ndarray, truth: np.ndarray, classes: int, spacing: tuple[float, float], tolerance: float
) -> dict[str, np.ndarray]:
    """By column, `c`: numbers of pixels (int64), sums and a percentile of distances (float64, the unit of spacing).

    band_intersection, band_union: of the predicted and the true band, which holds the pixels of a mask that are at most
    2 % of the diagonal of the image (and at least 1) away from the outside (Cheng et al., "Boundary IoU", CVPR 2021).
    surface_predicted, surface_true: pixels of a mask with one of their 4 neighbours outside; ..._near: those at most
    `tolerance` away from the other surface; distance_...: the sum of their distances to it.
    hd95: the larger of the two 95th percentiles of these distances; NaN where neither mask has a surface.

    From a class that is in one mask only, the other surface is as far away as the diagonal of the image.

    Args:
        predicted: `h w` uint8 class indices.
        truth: the same, and 255 where void. Void pixels leave both masks.
        classes: number of classes, `c`.
        spacing: height and width of a pixel.
        tolerance: in the unit of spacing.
    """
    predicted = np.where(truth == IGNORE, IGNORE, predicted)
    diagonal = math.hypot(*np.multiply(truth.shape, spacing))
    values, percentiles = _bands(predicted, truth, classes), []
    for mask, other in ((predicted, truth), (truth, predicted)):
        of_class, distances = _distances(mask, other, spacing, diagonal)
        near = of_class[distances <= tolerance * (1 + ROUNDING)]
        distances = distances.clip(max=diagonal)
        values += [np.bincount(each, minlength=classes) for each in (of_class, near)]
        values.append(np.bincount(of_class, distances, minlength=classes))
        percentiles.append(_percentiles(of_class, distances, classes))
    return dict(zip(COLUMNS, (*values, np.fmax(*percentiles)), strict=True))


def _bands(predicted: np.ndarray, truth: np.ndarray, classes: int) -> list[np.ndarray]:
    thickness = max(1, round(BAND * math.hypot(*truth.shape)))
    in_predicted, in_true = (_at_edge(mask, SQUARE, thickness) for mask in (predicted, truth))
    intersection, *bands = (
        np.bincount(pixels, minlength=classes)
        for pixels in (truth[in_predicted & in_true & (predicted == truth)], predicted[in_predicted], truth[in_true])
    )
    return [intersection, sum(bands) - intersection]


def _distances(
    mask: np.ndarray, other: np.ndarray, spacing: tuple[float, float], diagonal: float
) -> tuple[np.ndarray, np.ndarray]:
    """The class of each pixel of a surface of `mask`, and its distance to that surface of `other`: infinite if none.

    Here the surface of `other` includes its edge at void, which is the nearest that is known of where the class ends.
    Without it a class that void encloses, as it does each animal of Oxford-IIIT Pet, would have no surface to be near.
    """
    surface, nearest = _at_edge(mask, CROSS), _at_edge(other, CROSS, void_is_outside=True)
    distances = np.zeros(mask.shape)
    apart = surface & ~(nearest & (mask == other))
    tree = cKDTree(_points(other, nearest, spacing, diagonal), balanced_tree=False, compact_nodes=False)
    distances[apart], _ = tree.query(_points(mask, apart, spacing, diagonal), distance_upper_bound=diagonal)
    return mask[surface], distances[surface]


def _points(mask: np.ndarray, pixels: np.ndarray, spacing: tuple[float, float], diagonal: float) -> np.ndarray:
    """Coordinates `k 3` of pixels; the third holds classes so far apart that no pixel is nearest to one of another."""
    rows, columns = np.nonzero(pixels)
    return np.stack([rows * spacing[0], columns * spacing[1], mask[pixels] * (2 * diagonal)], axis=1)


def _at_edge(mask: np.ndarray, around: np.ndarray, thickness: int = 1, void_is_outside: bool = False) -> np.ndarray:
    """The pixels `h w` at most `thickness` steps away from what is outside their class; steps are to those `around`."""
    options = {"iterations": thickness, "borderType": cv2.BORDER_CONSTANT, "borderValue": IGNORE}
    lowest = cv2.erode(mask, around, **options)
    void = mask == IGNORE
    highest = cv2.dilate(mask if void_is_outside else np.where(void, 0, mask), around, **options)
    return ~void & ((lowest != mask) | (highest != mask))


def _percentiles(of_class: np.ndarray, distances: np.ndarray, classes: int) -> np.ndarray:
    """The 95th percentile `c` of the distances of each class; NaN where there is none."""
    percentiles = np.full(classes, np.nan)
    for index in np.unique(of_class):
        percentiles[index] = np.percentile(distances[of_class == index], 95)
    return percentiles

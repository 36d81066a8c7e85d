"""Distance maps for the losses that look at boundaries, made in the loader workers after augmentation."""

import cv2
import numpy as np

from pipeline.plumbing.labels import IGNORE


def signed_distances(mask: np.ndarray, classes: int) -> np.ndarray:
    """Signed Euclidean distance of each pixel to the boundary of each class, `c h w` float32 in pixels.

    Outside a class it is the distance to the nearest pixel of the class; inside it is 1 minus the distance to the
    nearest pixel of another class, so 0 along the inner side of the boundary and negative further in (Kervadec et al.,
    MIDL 2019, in pixels). A class that is absent from the image, or fills it, has no boundary and is 0 everywhere.

    Args:
        mask: `h w` uint8 class indices; void pixels (255) belong to no class and to no boundary.
        classes: number of classes.
    """
    valid = mask != IGNORE
    maps = np.zeros((classes, *mask.shape), np.float32)
    for index in np.unique(mask[valid]):
        inside = mask == index
        if (outside := valid & ~inside).any():
            maps[index] = np.where(inside, 1 - _to_nearest(outside), _to_nearest(inside))
    return maps


def _to_nearest(pixels: np.ndarray) -> np.ndarray:
    """Exact distance to the nearest of `pixels` (`h w` bool, at least one)."""
    found = cv2.distanceTransform(1 - pixels.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # OpenCV's last bit changes from call to call with where the array lies in memory. The square is a whole number.
    return np.sqrt(np.rint(np.square(found)))

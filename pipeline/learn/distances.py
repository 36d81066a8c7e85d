"""Distance maps made in the loader workers after augmentation, by OpenCV: in half the time that SciPy takes."""

import cv2
import numpy as np

from pipeline.losses import base_distances


def signed_distances(mask: np.ndarray, classes: int) -> np.ndarray:
    """Signed distances `c h w` float32 of a mask `h w` uint8: `pipeline.losses.base_distances.signed_distances`."""
    return base_distances.signed_distances(mask, classes, _to_nearest)


def _to_nearest(pixels: np.ndarray) -> np.ndarray:
    """Exact distance to the nearest of `pixels` (`h w` bool, at least one)."""
    found = cv2.distanceTransform(1 - pixels.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    # OpenCV's last bit changes from call to call with where the array lies in memory. The square is a whole number.
    return np.sqrt(np.rint(np.square(found)))

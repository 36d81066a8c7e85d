"""Distance maps for the losses that look at boundaries, whatever library measures the distances."""

from collections.abc import Callable

import numpy as np

from pipeline.plumbing.labels import IGNORE


def signed_distances(mask: np.ndarray, classes: int, to_nearest: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Signed Euclidean distance of each pixel to the boundary of each class, `c h w` float32 in pixels.

    Outside a class it is the distance to the nearest pixel of the class; inside it is 1 minus the distance to the
    nearest pixel of another class, so 0 along the inner side of the boundary and negative further in (Kervadec et al.,
    MIDL 2019, in pixels). A class that is absent from the image, or fills it, has no boundary and is 0 everywhere.

    Args:
        mask: `h w` uint8 class indices; void pixels (255) belong to no class and to no boundary.
        classes: number of classes.
        to_nearest: from pixels `h w` bool, at least one of them true, the exact distance of each to the nearest of
            these, float32.
    """
    valid = mask != IGNORE
    maps = np.zeros((classes, *mask.shape), np.float32)
    for index in np.unique(mask[valid]):
        inside = mask == index
        if (outside := valid & ~inside).any():
            maps[index] = np.where(inside, 1 - to_nearest(outside), to_nearest(inside))
    return maps

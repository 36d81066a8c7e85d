"""Masks that look like those of a network: blobs, some of them right, some missed, some invented."""

import numpy as np
from scipy.ndimage import gaussian_filter

VOID = 255


def blobs(seed: int, shape: tuple[int, int], classes: int, void: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """A predicted and a true mask `h w` that agree in part; with `void`, a fifth of the truth is void, in patches."""
    rng = np.random.default_rng(seed)
    scores, others = (gaussian_filter(rng.normal(size=(classes, *shape)), (0, 2, 2)) for _ in range(2))
    truth = scores.argmax(axis=0).astype(np.uint8)
    predicted = (scores + 0.4 * others).argmax(axis=0).astype(np.uint8)
    if void:
        patches = gaussian_filter(rng.normal(size=shape), 2)
        truth[patches > np.quantile(patches, 0.8)] = VOID
    return predicted, truth

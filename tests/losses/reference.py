"""What the references of the losses share: the batch as lists of valid pixels, in NumPy and float64, by SciPy."""

import numpy as np
from scipy.special import softmax

from pipeline.plumbing.labels import IGNORE


def valid_pixels(logits: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities `n c` and one-hot truth `n c` of the n pixels that are not ignored."""
    valid = target != IGNORE
    return np.moveaxis(softmax(logits, axis=1), 1, -1)[valid], np.eye(logits.shape[1])[target[valid]]


def mean(values: np.ndarray, weights: np.ndarray) -> float:
    """Weighted mean; 0 without any weight, by the contract."""
    return float(np.average(values, weights=weights)) if np.sum(weights) else 0.0

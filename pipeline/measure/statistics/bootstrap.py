"""Resamples of test images and of seeds, as weights: how often each is taken.

A metric is computed under weights `b n`, one row per resample, so one draw of images serves every experiment and seed:
all are judged on the same resampled images, and differences stay paired. What only some images share with each other
(the frames of a video) is drawn together, as a group.
"""

import numpy as np
from scipy import stats
from scipy.special import ndtr, ndtri

AT_ONCE = 2**22  # random numbers held at a time: 32 MiB


def image_weights(groups: np.ndarray, draws: int, random: np.random.Generator) -> np.ndarray:
    """How often each image is taken when whole groups are drawn with replacement: `draws n` float64.

    `groups` is an integer per image; `np.arange(n)` makes every image its own. As many groups are drawn as there are,
    so rows sum to `n` exactly where all groups have one size, and on average otherwise.
    """
    _, group = np.unique(groups, return_inverse=True)
    count = int(group.max()) + 1
    weights = np.empty((draws, len(group)))
    rows = max(1, AT_ONCE // count)
    for start in range(0, draws, rows):
        block = weights[start : start + rows]
        taken = random.integers(count, size=(len(block), count)) + count * np.arange(len(block))[:, None]
        block[:] = np.bincount(taken.ravel(), minlength=len(block) * count).reshape(len(block), count)[:, group]
    return weights


def seed_weights(seeds: int, draws: int, random: np.random.Generator) -> np.ndarray:
    """Share of each seed in a mean over as many seeds drawn with replacement: `draws s`, rows sum to 1."""
    return image_weights(np.arange(seeds), draws, random) / seeds


def jackknife_weights(groups: np.ndarray) -> np.ndarray:
    """Each group left out once: `groups n` of 0 and 1, for the acceleration of BCa."""
    return (np.unique(groups)[:, None] != groups).astype(float)


def percentile_interval(means: np.ndarray, confidence: float) -> tuple[float, float]:
    """The middle `confidence` of the bootstrapped means `b`. Efron and Tibshirani (1993), chapter 13."""
    return tuple(np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2]).tolist())


def bca_interval(
    mean: float, means: np.ndarray, left_out: tuple[np.ndarray, ...], confidence: float
) -> tuple[float, float]:
    """Percentiles of the bootstrapped means `b`, moved for bias and skewness.

    `left_out` holds, for each kind of unit, the means with one unit left out; the acceleration is that of several
    samples. Efron and Tibshirani (1993), chapter 14; several samples as in scipy.stats.bootstrap.
    """
    bias = ndtri(stats.percentileofscore(means, mean, kind="mean") / 100)
    influences = [(len(each) - 1) * (each.mean() - each) / len(each) for each in left_out]
    square, cube = (sum((each**power).sum() for each in influences) for power in (2, 3))
    acceleration = cube / square**1.5 / 6 if square > 0 else 0.0
    z = bias + ndtri(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
    return tuple(np.quantile(means, ndtr(bias + z / (1 - acceleration * z))).tolist())

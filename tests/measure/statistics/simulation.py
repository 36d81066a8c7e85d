"""Benchmarks with known truth, made of random effects, to prove the statistics on.

An experiment hits a pixel of class c in image i with seed s with the probability

    logistic(skill_c + advantage + seed_s + image_i + seed_image_si + own_seed_s + own_image_i + own_seed_image_si)

where all but skill and advantage are normal, the first three shared by all experiments and the last three its own.
Missed pixels go to the other classes. Class 2 is in 4 images of 10 only, and smaller objects are harder.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from pipeline.measure.statistics.bootstrap import image_weights, jackknife_weights
from pipeline.measure.statistics.estimates import Resampled

SKILL = np.array([3.0, 1.5, 0.5])
SIZE = np.array([3000.0, 600.0, 120.0])  # pixels of a class where it occurs
OCCURS = np.array([1.0, 0.8, 0.4])  # share of the images
GOES_TO = np.array([[0, 0.7, 0.3], [0.8, 0, 0.2], [0.6, 0.4, 0]])  # row: true class of a missed pixel


class Effects(NamedTuple):
    """Standard deviations on the scale of logits."""

    seed: float
    image: float
    seed_image: float
    own_seed: float
    own_image: float
    own_seed_image: float


BY_SEEDS = Effects(seed=0.3, image=0.4, seed_image=0.2, own_seed=0.3, own_image=0.1, own_seed_image=0.2)
BY_BOTH = Effects(seed=0.15, image=0.6, seed_image=0.3, own_seed=0.1, own_image=0.4, own_seed_image=0.3)
BY_IMAGES = Effects(seed=0.05, image=0.8, seed_image=0.3, own_seed=0.03, own_image=0.6, own_seed_image=0.3)
BY_NOISE = Effects(seed=0.0, image=0.0, seed_image=0.8, own_seed=0.0, own_image=0.0, own_seed_image=0.8)


class Benchmark(NamedTuple):
    """Counts of some experiments on the same seeds and images."""

    tp: np.ndarray
    """`e s n c`; so are the others."""
    fp: np.ndarray
    fn: np.ndarray
    groups: np.ndarray
    """`n`."""


def simulate(
    effects: Effects, advantages: np.ndarray, seeds: int, groups: np.ndarray, random: np.random.Generator
) -> Benchmark:
    """A benchmark of experiments that differ by `advantages` `e`; images of a group share the effects of the image."""
    e, n = len(advantages), len(groups)
    _, group = np.unique(groups, return_inverse=True)

    def normal(deviation: float, *shape: int) -> np.ndarray:
        return deviation * random.normal(size=shape)

    logit = (
        advantages[:, None, None]
        + normal(effects.seed, seeds, 1)
        + normal(effects.image, group.max() + 1)[group]
        + normal(effects.seed_image, seeds, n)
        + normal(effects.own_seed, e, seeds, 1)
        + normal(effects.own_image, e, 1, group.max() + 1)[..., group]
        + normal(effects.own_seed_image, e, seeds, n)
    )
    return Benchmark(*_counts(logit, _pixels(n, random)), groups)


def score(metric: str, benchmark: Benchmark) -> Callable[[np.ndarray], np.ndarray]:
    """Weights `b n` to the `metric` under them, `b e s`: mean IoU from counts summed over the dataset, or per image."""
    whole = benchmark.tp + benchmark.fp + benchmark.fn
    if metric == "miou":
        tp, whole = (np.moveaxis(each, 2, 0) for each in (benchmark.tp, whole))
        return lambda weights: _mean_of_known(_over(weights, tp), _over(weights, whole))
    per_image = np.moveaxis(_mean_of_known(benchmark.tp, whole), 2, 0)
    return lambda weights: _over(weights, per_image) / weights.sum(axis=1)[:, None, None]


def resampled(metric: str, benchmark: Benchmark, draws: int, random: np.random.Generator) -> list[Resampled]:
    """The `metric` of each experiment, as the report hands it to the statistics."""
    scored = score(metric, benchmark)
    values = scored(np.ones((1, len(benchmark.groups))))[0]
    drawn = scored(image_weights(benchmark.groups, draws, random))
    left_out = scored(jackknife_weights(benchmark.groups))
    return [Resampled(values[e], drawn[:, e], left_out[:, e]) for e in range(len(values))]


def truth(metric: str, effects: Effects, advantage: float, images: int = 50_000) -> float:
    """The mean over infinitely many seeds, as 40 equally likely ones, of the metric over very many images."""
    random = np.random.default_rng(0)
    pixels, scores = _pixels(images, random), []
    of_image = np.hypot.reduce([effects.image, effects.seed_image, effects.own_image, effects.own_seed_image])
    on_images = of_image * random.normal(size=images)
    for place in (np.arange(40) + 0.5) / 40:
        logit = advantage + np.hypot(effects.seed, effects.own_seed) * norm.ppf(place) + on_images
        benchmark = Benchmark(*_counts(logit[None, None], pixels), np.arange(images))
        scores.append(score(metric, benchmark)(np.ones((1, images))).item())
    return float(np.mean(scores))


def percent(share: float, benchmarks: int) -> str:
    """With the standard error of a share."""
    return f"{100 * share:.1f} ± {100 * np.sqrt(share * (1 - share) / benchmarks):.1f}"


def _pixels(images: int, random: np.random.Generator) -> np.ndarray:
    """True pixels `n c`."""
    occurs = random.random((images, len(SIZE))) < OCCURS
    return np.rint(occurs * SIZE * np.exp(0.5 * random.normal(size=occurs.shape)))


def _counts(logit: np.ndarray, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    harder = 0.3 * np.log(np.maximum(pixels, 1) / SIZE)
    tp = np.rint(pixels * expit(SKILL + harder + logit[..., None]))
    return tp, np.rint((pixels - tp) @ GOES_TO), pixels - tp


def _over(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    return (weights @ values.reshape(len(values), -1)).reshape(len(weights), *values.shape[1:])


def _mean_of_known(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Mean over the last axis of ratios, without those of an absent class."""
    known = whole > 0
    return np.where(known, part / np.where(known, whole, 1), 0).sum(axis=-1) / known.sum(axis=-1)

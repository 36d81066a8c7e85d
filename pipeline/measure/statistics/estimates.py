"""Intervals of scores, and paired differences from the control.

Both speak of training again with other seeds and of testing on other images like these: see `uncertainty`. Values for
which no image resamples are given (a temperature, a validation score) speak of other seeds alone. Seeds that are NaN
(diverged) are left out. One seed, or one image, gives no interval.
"""

from typing import NamedTuple

import numpy as np

from pipeline.measure.statistics.bootstrap import bca_interval, percentile_interval, seed_weights
from pipeline.measure.statistics.uncertainty import Uncertainty, uncertainty

ROUNDING = 1e-12  # relative
SEED_STREAM = 5  # one stream for all rows, which keeps equal rows equal


class Resampled(NamedTuple):
    """A score of one experiment, seed by seed; experiments that are compared have the same seeds in the same order."""

    values: np.ndarray
    """`s`."""
    draws: np.ndarray | None = None
    """`b s`: the score under resamples of the test images, the same for all seeds and experiments."""
    left_out: np.ndarray | None = None
    """`u s`: the score with one image, or group of images, left out; for the interval `bca`."""


class Units(NamedTuple):
    """What was drawn, and whether the values are those of overlapping folds."""

    images: int
    """Images, or groups of images where these are drawn together."""
    overlap: float = 0.0
    """Test over training images of a fold where a value belongs to one fold of a cross-validation; otherwise 0."""


SEEDS_ALONE = Units(0)


class Rules(NamedTuple):
    """What the intervals and tests of a report have in common."""

    confidence: float
    """0 to 1."""
    interval: str
    """`t`, `percentile` or `bca`; `t` too for scores that lack what the others need, and for folds, which they know no
    correction for."""
    rope: float
    """Differences up to this size are practically none; not below 0, in the unit of the score."""


class Estimate(NamedTuple):
    """Mean over `n` seeds with standard deviation over seeds (n - 1) and interval; NaN where n is too small."""

    n: int
    mean: float
    std: float
    low: float
    high: float


class Difference(NamedTuple):
    """Mean paired difference from the control over `n` common seeds, with its standard deviation and interval."""

    n: int
    mean: float
    std: float
    low: float
    high: float
    p: float
    """Of a two-sided test that there is no difference."""
    p_equivalent: float
    """The larger of two one-sided tests, that the difference is beyond either end of the rope (Schuirmann, 1987)."""
    probability_worse: float
    probability_equivalent: float
    """Posterior probability of a difference within the rope (Benavoli et al., 2017); the three sum to 1."""
    probability_better: float


def summarise(
    scores: Resampled, rules: Rules, units: Units = SEEDS_ALONE, low: float = -np.inf, high: float = np.inf
) -> Estimate:
    """Mean of a score over seeds; the interval is cut at the ends of its range, which loses no coverage."""
    scores = _known(scores)
    values = scores.values
    if len(values) < 2:
        return Estimate(len(values), float(values.mean()) if len(values) else np.nan, *[np.nan] * 3)
    ends = _interval(scores, rules, units, uncertainty(values, scores.draws, *units))
    mean, std = float(values.mean()), float(values.std(ddof=1))
    return Estimate(len(values), mean, std, *np.clip(ends, low, high).tolist())


def difference(
    scores: Resampled, control: Resampled, rules: Rules, units: Units = SEEDS_ALONE, higher_is_better: bool = True
) -> Difference:
    """Difference of two experiments, seed by seed and image resample by image resample; p-values are of this one
    comparison, not corrected for others, and of the standard error of `t` whatever the interval."""
    paired = _known(Resampled(*map(_minus, scores, control)))
    estimate = summarise(paired, rules, units)
    if estimate.n < 2:
        return Difference(*estimate, *[np.nan] * 5)
    error = uncertainty(paired.values, paired.draws, *units)
    if not error.standard_error > ROUNDING * np.abs(paired.values).max():
        return Difference(*estimate, *_without_spread(paired.values, error))
    t, rope = estimate.mean / error.standard_error, rules.rope / error.standard_error
    below, not_above = error.cumulative(-rope - t), error.cumulative(rope - t)
    above = error.cumulative(t - rope)
    sides = (below, above) if higher_is_better else (above, below)
    probabilities = (sides[0], not_above - below, sides[1])
    return Difference(*estimate, error.two_sided(t), max(below, above), *probabilities)


def holm(p_values: np.ndarray) -> np.ndarray:
    """P-values corrected for their number (Holm, 1979); NaN stays NaN and is not counted as a test.

    The k-th smallest of m is multiplied by m - k + 1; by hand, as statsmodels collects garbage at every call.
    """
    corrected = np.full(len(p_values), np.nan)
    order = np.argsort(p_values)[: np.count_nonzero(~np.isnan(p_values))]  # NaN last
    steps = np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1))
    corrected[order] = np.minimum(steps, 1)
    return corrected


def _without_spread(values: np.ndarray, error: Uncertainty) -> tuple[float, ...]:
    """No difference at all is certainly practically none; a constant one has no spread to be tested against. Means of
    equal numbers may differ in the last digit, which is no spread either."""
    if values.any() or np.isnan(error.standard_error):
        return (np.nan,) * 5
    return 1.0, 0.0, 0.0, 1.0, 0.0


def _interval(scores: Resampled, rules: Rules, units: Units, error: Uncertainty) -> tuple[float, float]:
    needed = {"t": None, "percentile": scores.draws, "bca": scores.left_out}[rules.interval]
    if needed is not None and not units.overlap and not np.isnan(error.standard_error):
        return _hierarchical_interval(scores, rules)
    mean = float(scores.values.mean())
    margin = error.quantile((1 + rules.confidence) / 2) * error.standard_error
    return mean - margin, mean + margin


def _hierarchical_interval(scores: Resampled, rules: Rules) -> tuple[float, float]:
    """Seeds are drawn with replacement, then images; the same images for all seeds, since these are crossed."""
    draws = scores.draws[~np.isnan(scores.draws).any(axis=1)]
    weights = seed_weights(len(scores.values), len(draws), np.random.default_rng(SEED_STREAM))
    means = (weights * draws).sum(axis=1)
    if rules.interval == "percentile":
        return percentile_interval(means, rules.confidence)
    images = scores.left_out[~np.isnan(scores.left_out).any(axis=1)].mean(axis=1)
    seeds = (scores.values.sum() - scores.values) / (len(scores.values) - 1)
    return bca_interval(float(scores.values.mean()), means, (seeds, images), rules.confidence)


def _known(scores: Resampled) -> Resampled:
    known = ~np.isnan(scores.values)
    return Resampled(*(None if each is None else each[..., known] for each in scores))


def _minus(these: np.ndarray | None, those: np.ndarray | None) -> np.ndarray | None:
    return None if these is None or those is None else these - those

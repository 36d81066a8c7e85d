"""The two-way analysis of losses and strategies, with seeds as blocks.

Every seed trains every loss and strategy from the same initial weights on the same batches, so scores of one seed go
together: a repeated-measures analysis. Each effect is tested against its own variation between seeds (loss against
loss x seed, and so on), since that is what training again with other seeds would vary. One residual for all effects, as
in a model with C(seed) + C(loss) * C(strategy), would assume that losses vary between seeds as strategies do.

The sums of squares are those of statsmodels' AnovaRM. They are computed here from orthonormal contrasts, since the same
contrasts give Greenhouse and Geisser's correction, which AnovaRM has not: without it the test claims too much where
some cells are more alike than others, as `none` and a strategy that judges the weights of `none` once more.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats
from scipy.linalg import helmert

EFFECTS = ("loss", "strategy", "loss x strategy")
ROUNDING = 1e-24  # sums of squares of scores in 0 to 1 that are no more than rounding of floating-point numbers


class Effect(NamedTuple):
    """One line of the analysis; F, epsilon, p and partial eta squared are NaN where scores do not vary over seeds."""

    n: int
    """Seeds."""
    df: int
    df_error: int
    F: float
    epsilon: float
    """Greenhouse and Geisser's (1959), from 1 / df to 1: both degrees of freedom are multiplied by it for p."""
    p: float
    partial_eta_squared: float
    """Share of the variation that the effect explains, other effects and seeds aside; 0 to 1."""


def two_way(scores: np.ndarray) -> dict[str, Effect]:
    """Main effects and interaction of scores `seeds losses strategies` without gaps, at least 2 of each, by `EFFECTS`.

    Maxwell and Delaney (2004), Designing Experiments and Analyzing Data, chapter 12.
    """
    seeds, losses, strategies = scores.shape
    means = {count: np.full((1, count), count**-0.5) for count in (losses, strategies)}
    contrasts = (
        np.kron(helmert(losses), means[strategies]),
        np.kron(means[losses], helmert(strategies)),
        np.kron(helmert(losses), helmert(strategies)),
    )
    flat = scores.reshape(seeds, -1)
    return {name: _effect(flat @ each.T) for name, each in zip(EFFECTS, contrasts, strict=True)}


def _effect(values: np.ndarray) -> Effect:
    """The test that all means of orthonormal contrasts `seeds df` are 0."""
    seeds, df = values.shape
    df_error = df * (seeds - 1)
    covariance = np.atleast_2d(np.cov(values, rowvar=False))
    explained = seeds * (values.mean(axis=0) ** 2).sum()
    error = (seeds - 1) * np.trace(covariance)
    if error <= ROUNDING:
        return Effect(seeds, df, df_error, *[np.nan] * 4)
    ratio = explained / df / (error / df_error)
    epsilon = np.trace(covariance) ** 2 / (df * (covariance**2).sum())
    p = float(stats.f.sf(ratio, epsilon * df, epsilon * df_error))
    return Effect(seeds, df, df_error, ratio, epsilon, p, explained / (explained + error))

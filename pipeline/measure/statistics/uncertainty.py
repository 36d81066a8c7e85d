"""How far a mean over seeds may lie from what other seeds and other test images would give.

All seeds predict the same images, so a score has two crossed sources of chance. Its variance is taken apart by

    seeds:  s^2 (1/S + overlap)                     s the standard deviation over S seeds
    images: n/(n - 1) mean over pairs of seeds r != s of cov_b(M_r, M_s)      M[b, s] under image resample b

s^2 / S holds what is peculiar to a seed, and what is peculiar to a seed on an image too. The latter is also in the
variance over b of the mean over seeds; adding that would count it twice. The covariance of two seeds leaves it out: it
is what both owe to the same images. For a plain mean this is the analysis of variance of a two-way table without
replication, and the two-way cluster-robust variance of Cameron, Gelbach and Miller (2011): seeds + images - both.
A negative estimate of the images' part counts as 0. n/(n - 1), with n the units drawn, undoes the bootstrap's division
by n.
"""

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import stdtrit

LEAST = np.log(1e-100)  # log of the smallest probability told from 0


class Uncertainty(NamedTuple):
    """The two parts of the variance of a mean over seeds, each with its degrees of freedom.

    A mean over an error with such a variance follows no t distribution. Here the squared margins of seeds alone and of
    images alone add up, each with its own t quantile (Banerjee, 1960), which never claims too much. Satterthwaite's
    degrees of freedom do: where 3 seeds make up most of the variance, a small s brings many degrees of freedom just
    when it should bring few.
    """

    seeds: float
    images: float
    df_seeds: int
    df_images: int

    @property
    def standard_error(self) -> float:
        return float(np.sqrt(self.seeds + self.images))

    def quantile(self, p: float) -> float:
        """The `p` quantile in standard errors: that of t where one of the parts is 0, and 0 where both are."""
        both = self.seeds + self.images
        if both == 0:
            return 0.0
        of_seeds, of_images = stdtrit([self.df_seeds, self.df_images], p)
        square = (self.seeds * of_seeds**2 + self.images * of_images**2) / both
        return float(np.copysign(np.sqrt(square), p - 0.5))

    def cumulative(self, t: float) -> float:
        """Probability of at most `t` standard errors, by inverting `quantile`."""
        tail = self._lower_tail(-abs(t))
        return tail if t < 0 else 1 - tail

    def two_sided(self, t: float) -> float:
        """Probability of more than `|t|` standard errors in either direction."""
        return 2 * self._lower_tail(-abs(t))

    def _lower_tail(self, t: float) -> float:
        if self.quantile(np.exp(LEAST)) >= t:
            return 0.0
        return float(np.exp(brentq(lambda log_p: self.quantile(np.exp(log_p)) - t, LEAST, np.log(0.5), xtol=1e-13)))


def uncertainty(values: np.ndarray, draws: np.ndarray | None, images: int, overlap: float) -> Uncertainty:
    """Of the mean of `values` `s`, at least two and none NaN, with their values `draws` `b s` under resamples of
    `images` units, or None for seeds alone.

    `overlap` is the number of test over that of training images where the values are those of folds of a
    cross-validation, whose training sets overlap (Nadeau and Bengio, 2003), and 0 otherwise. NaN parts where there is
    one unit or no resample in which the values of all seeds are known.
    """
    seeds = len(values)
    of_seeds = values.var(ddof=1) * (1 / seeds + overlap)
    if draws is None:
        return Uncertainty(of_seeds, 0.0, seeds - 1, 1)
    draws = draws[~np.isnan(draws).any(axis=1)]
    if images < 2 or len(draws) < 2:
        return Uncertainty(np.nan, np.nan, seeds - 1, 1)
    covariance = (draws.sum(axis=1).var(ddof=1) - draws.var(axis=0, ddof=1).sum()) / (seeds * (seeds - 1))
    return Uncertainty(of_seeds, max(covariance, 0.0) * images / (images - 1), seeds - 1, images - 1)

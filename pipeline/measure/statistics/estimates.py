"""Intervals and paired differences over seeds.

All intervals are Student's t over the values of the seeds, so they speak of training again with other seeds on the same
data; they are cut at the ends of a metric's range, which loses no coverage. One seed gives no interval.
"""

from typing import NamedTuple

import numpy as np
from scipy import stats
from statsmodels.stats.multitest import multipletests

ROUNDING = 1e-12  # relative


class Summary(NamedTuple):
    """Mean over `n` seeds with standard deviation (n - 1) and interval; NaN where n is too small."""

    n: int
    mean: float
    std: float
    low: float
    high: float


class Difference(NamedTuple):
    """Mean paired difference from the control over `n` common seeds, its interval, and the p of a paired t-test."""

    n: int
    mean: float
    low: float
    high: float
    p: float


def summarise(values: np.ndarray, confidence: float, low: float = -np.inf, high: float = np.inf) -> Summary:
    """Summary of one value per seed; values that are NaN (a diverged seed) are left out, and `n` says so."""
    values = values[~np.isnan(values)]
    if not len(values):
        return Summary(0, *[np.nan] * 4)
    std = values.std(ddof=1) if len(values) > 1 else np.nan
    margin = std / np.sqrt(len(values)) * _t(confidence, len(values))
    mean = values.mean()
    return Summary(len(values), mean, std, np.maximum(mean - margin, low), np.minimum(mean + margin, high))


def paired_difference(values: np.ndarray, control: np.ndarray, confidence: float) -> Difference:
    """Difference of two experiments, seed by seed; a seed that is NaN in either is left out."""
    differences = (values - control)[~np.isnan(values - control)]
    n, mean, _, low, high = summarise(differences, confidence)
    # A constant difference has no spread to test against: p is 1 for none and undefined for any other. Means of equal
    # numbers may differ in the last digit, which is no spread either.
    with_spread = n > 1 and np.ptp(differences) > ROUNDING * np.abs(differences).max()
    p = float(stats.ttest_1samp(differences, 0).pvalue) if with_spread else np.nan
    return Difference(n, mean, low, high, 1.0 if n > 1 and not differences.any() else p)


def holm(p_values: np.ndarray) -> np.ndarray:
    """P-values corrected for their number (Holm, 1979); NaN stays NaN and is not counted as a test."""
    corrected = np.full(len(p_values), np.nan)
    known = ~np.isnan(p_values)
    if known.any():
        corrected[known] = multipletests(p_values[known], method="holm")[1]
    return corrected


def verdict(difference: float, corrected_p: float, confidence: float, higher_is_better: bool = True) -> str:
    """`better` or `worse` where the corrected test allows the claim, otherwise `inconclusive`."""
    if not corrected_p < 1 - confidence:
        return "inconclusive"
    return "better" if (difference > 0) == higher_is_better else "worse"


def _t(confidence: float, n: int) -> float:
    return float(stats.t.ppf((1 + confidence) / 2, n - 1)) if n > 1 else np.nan

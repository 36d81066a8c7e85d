"""Rankings: how far an order can be relied on, and tests between many experiments at once.

An order is judged by resampling: what ranks an experiment takes when other seeds and other test images are drawn
(Wiesenfarth et al., 2021). The tests compare many experiments over blocks, such as datasets, by their ranks within each
(Demšar, 2006).
"""

import numpy as np
import scikit_posthocs
from scipy import stats

from pipeline.measure.counts.region import ratio
from pipeline.measure.statistics.estimates import holm

ROUNDING = 1e-9  # of sums of shares


def resampled_means(draws: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Means over drawn seeds, `b e`.

    `draws` `b s e` has the scores under resamples of the images, NaN for a seed that did not finish, and `weights`
    `b s` how often each seed is drawn. NaN where an experiment has none of the seeds drawn.
    """
    known = ~np.isnan(draws)
    total = (weights[..., None] * np.where(known, draws, 0)).sum(axis=1)
    return ratio(total, (weights[..., None] * known).sum(axis=1))


def rank_shares(scores: np.ndarray, higher_is_better: bool) -> np.ndarray:
    """Share of the resamples in which each experiment has each rank, `e e`: row `e`, column `rank - 1`.

    `scores` `b e` has no NaN. Experiments that tie share their ranks evenly, so rows and columns sum to 1, and a mean
    over ranks is the mean of the usual midranks.
    """
    signed = -scores if higher_is_better else scores
    best, worst = (stats.rankdata(signed, method=method, axis=1) for method in ("min", "max"))
    share = 1 / (worst - best + 1)
    ranks = range(1, scores.shape[1] + 1)
    return np.stack([np.where((best <= rank) & (rank <= worst), share, 0).mean(axis=0) for rank in ranks], axis=1)


def rank_interval(shares: np.ndarray, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest rank, `e` each, of the middle `confidence` of the resamples, of `shares` `e e`."""
    below = np.cumsum(shares, axis=1)
    low, high = (np.argmax(below >= share - ROUNDING, axis=1) + 1 for share in _ends(confidence))
    return low, high


def kendall_tau(scores: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Kendall's tau-b, which corrects for ties, of each row of `scores` `b e` with `order` `e`: `b`, -1 to 1.

    The same as scipy.stats.kendalltau, for many rows at once. NaN where all are tied, or for fewer than two.
    """
    agreement, untied, untied_order = np.zeros(len(scores)), np.zeros(len(scores)), 0.0
    for each in range(scores.shape[1] - 1):
        signs = np.sign(scores[:, each + 1 :] - scores[:, each, None])
        expected = np.sign(order[each + 1 :] - order[each])
        agreement += signs @ expected
        untied += np.abs(signs).sum(axis=1)
        untied_order += np.abs(expected).sum()
    return ratio(agreement, np.sqrt(untied * untied_order))


def tau_range(taus: np.ndarray, confidence: float) -> tuple[float, float, float]:
    """Mean and the ends of the middle `confidence` of `taus`; NaN ones are left out, of none all three are NaN."""
    known = taus[~np.isnan(taus)]
    if not len(known):
        return np.nan, np.nan, np.nan
    low, high = np.quantile(known, _ends(confidence))
    return float(known.mean()), float(low), float(high)


def friedman(blocks: np.ndarray) -> tuple[float, float]:
    """Friedman's chi-squared, corrected for ties, and its p, of scores `n k` of at least 3 experiments; NaN where all
    experiments tie in every block. Demšar (2006), section 3.2.2, has it without the correction."""
    if not np.ptp(blocks, axis=1).any():
        return np.nan, np.nan
    found = stats.friedmanchisquare(*blocks.T)
    return float(found.statistic), float(found.pvalue)


def critical_difference(blocks: int, experiments: int, confidence: float) -> float:
    """From which difference on Nemenyi's test tells two mean ranks over `blocks` apart; at most `experiments - 1` can
    occur. Demšar (2006), section 3.2.2."""
    q = stats.studentized_range.ppf(confidence, experiments, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(experiments * (experiments + 1) / (6 * blocks)))


def wilcoxon_holm(blocks: np.ndarray) -> np.ndarray:
    """Two-sided p of the exact Wilcoxon signed-rank test of every two columns of scores `n k`, after Holm's correction
    over all pairs, in the order of `np.triu_indices(k, 1)`.

    Blocks in which two are equal do not count for them. The p of two experiments depends on the others only by their
    number, which is why groups are formed by this test and not by Nemenyi's (Benavoli et al., 2016).
    """
    one, other = np.triu_indices(blocks.shape[1], 1)
    return holm(stats.wilcoxon(blocks[:, one] - blocks[:, other], axis=0, method="exact").pvalue)


def nemenyi(blocks: np.ndarray) -> np.ndarray:
    """P of Nemenyi's test of every two columns of scores `n k`, in the same order; it needs no correction."""
    return scikit_posthocs.posthoc_nemenyi_friedman(blocks).to_numpy()[np.triu_indices(blocks.shape[1], 1)]


def smallest_p(blocks: int) -> float:
    """The smallest two-sided p of any exact paired test: all differences have one sign, 1 of 2 in 2 ** blocks."""
    return 2.0 ** (1 - blocks)


def _ends(confidence: float) -> tuple[float, float]:
    return (1 - confidence) / 2, (1 + confidence) / 2

"""Ranks and their tests are those of SciPy, scikit-posthocs and Demšar's worked example."""

import numpy as np
import pytest
import scikit_posthocs
from scipy import stats

from pipeline.measure.statistics.ranking import (
    critical_difference,
    friedman,
    kendall_tau,
    nemenyi,
    rank_interval,
    rank_shares,
    resampled_means,
    smallest_p,
    tau_range,
    wilcoxon_holm,
)

# Demšar (2006), table 6: AUC of C4.5, C4.5+m, C4.5+cf and C4.5+m+cf on 14 data sets.
DEMSAR = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.975, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
)
DEMSAR_RANKS = [3.143, 2.000, 2.893, 1.964]


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def test_mean_ranks_are_those_of_demsar():
    """But for voting, where the paper ranks 0.975 and 0.975 apart, as they were before they were rounded."""
    scores = DEMSAR.copy()
    scores[12, 2] += 1e-4
    assert rank_shares(scores, True) @ [1, 2, 3, 4] == pytest.approx(DEMSAR_RANKS, abs=5e-4)


def test_critical_difference_is_that_of_demsar():
    assert critical_difference(14, 4, 0.95) == pytest.approx(1.25, abs=0.005)
    assert critical_difference(14, 4, 0.90) == pytest.approx(1.12, abs=0.005)


def test_friedman_is_that_of_demsar_where_no_block_has_ties():
    """His formula has no correction for ties; without ties, it is the whole statistic."""
    untied = DEMSAR + np.array([0, 3e-5, 1e-5, 2e-5])
    ranks = stats.rankdata(-untied, axis=1).mean(axis=0)
    expected = 12 * 14 / (4 * 5) * ((ranks**2).sum() - 4 * 5**2 / 4)
    assert friedman(untied)[0] == pytest.approx(expected)


def test_friedman_of_ties_is_that_of_scipy():
    assert friedman(DEMSAR) == pytest.approx(tuple(stats.friedmanchisquare(*DEMSAR.T)))


def test_friedman_of_blocks_that_all_tie_is_unknown():
    assert np.isnan(friedman(np.ones((4, 3)))).all()


def test_nemenyi_finds_at_ten_per_cent_what_demsar_finds():
    """C4.5 is worse than C4.5+m and C4.5+m+cf, and nothing else is proven."""
    scores = DEMSAR.copy()
    scores[12, 2] += 1e-4
    assert (nemenyi(scores) < 0.10).tolist() == [True, False, True, False, False, False]
    assert (nemenyi(scores) < 0.05).sum() == 0


def test_nemenyi_and_the_critical_difference_agree(random):
    scores = random.normal(size=(12, 6)) + np.linspace(0, 2, 6)
    ranks = stats.rankdata(-scores, axis=1).mean(axis=0)
    one, other = np.triu_indices(6, 1)
    beyond = np.abs(ranks[one] - ranks[other]) > critical_difference(12, 6, 0.95)
    assert (nemenyi(scores) < 0.05).tolist() == beyond.tolist()
    assert 0 < beyond.sum() < len(beyond)


def test_wilcoxon_is_that_of_scikit_posthocs(random):
    scores = random.normal(size=(11, 5)) + np.linspace(0, 3, 5)
    expected = scikit_posthocs.posthoc_wilcoxon(scores.T.tolist(), p_adjust="holm", method="exact").to_numpy()
    assert wilcoxon_holm(scores) == pytest.approx(expected[np.triu_indices(5, 1)])
    assert wilcoxon_holm(scores).min() < 0.05


def test_two_equal_experiments_are_not_told_apart(random):
    scores = np.repeat(random.normal(size=(8, 1)), 3, axis=1)
    scores[:, 2] += 1
    assert wilcoxon_holm(scores)[0] == 1


@pytest.mark.parametrize("blocks", [2, 3, 5, 8])
def test_the_smallest_p_is_reached_where_all_differences_have_one_sign(blocks):
    assert smallest_p(blocks) == stats.wilcoxon(np.arange(1.0, blocks + 1), method="exact").pvalue


def test_three_blocks_cannot_reach_significance():
    assert smallest_p(3) == 0.25


def test_tau_is_that_of_scipy_with_and_without_ties(random):
    order = random.integers(0, 5, size=9).astype(float)
    scores = np.concatenate([random.normal(size=(20, 9)), random.integers(0, 4, size=(20, 9))])
    expected = [stats.kendalltau(row, order).statistic for row in scores]
    assert kendall_tau(scores, order) == pytest.approx(expected)


def test_tau_of_what_has_no_order_is_unknown():
    assert np.isnan(kendall_tau(np.ones((2, 3)), np.arange(3.0))).all()
    assert np.isnan(kendall_tau(np.zeros((2, 1)), np.zeros(1))).all()


def test_range_of_taus_leaves_out_unknown_ones():
    assert tau_range(np.array([np.nan, 0.5, 0.5]), 0.95) == (0.5, 0.5, 0.5)
    assert np.isnan(tau_range(np.array([np.nan]), 0.95)).all()


def test_shares_count_the_ranks_of_every_resample(random):
    scores = random.normal(size=(50, 4))
    ranks = stats.rankdata(-scores, axis=1)
    expected = [[(ranks[:, each] == rank).mean() for rank in (1, 2, 3, 4)] for each in range(4)]
    assert rank_shares(scores, True) == pytest.approx(np.array(expected))
    assert rank_shares(-scores, False) == pytest.approx(np.array(expected))


def test_ties_share_their_ranks_evenly():
    third = 1 / 3
    shares = rank_shares(np.array([[5.0, 5.0, 5.0, 1.0]]), True)
    assert shares == pytest.approx(np.array([[third, third, third, 0]] * 3 + [[0, 0, 0, 1]]))


def test_mean_rank_is_that_of_midranks(random):
    scores = random.integers(0, 3, size=(40, 6)).astype(float)
    assert rank_shares(scores, True) @ np.arange(1, 7) == pytest.approx(stats.rankdata(-scores, axis=1).mean(axis=0))


def test_interval_of_ranks_leaves_out_at_most_its_share_at_each_end():
    shares = np.array([[0.02, 0.03, 0.9, 0.05, 0.0], [1.0, 0, 0, 0, 0], [0.1, 0.2, 0.4, 0.2, 0.1]])
    low, high = rank_interval(shares, 0.95)
    assert low.tolist() == [2, 1, 1]
    assert high.tolist() == [4, 1, 5]


def test_means_follow_the_drawn_seeds():
    draws = np.array([[[0.2, 0.4], [0.6, np.nan]]])
    weights = np.array([[0.5, 0.5]])
    assert resampled_means(draws, weights).tolist() == [[0.4, 0.4]]


def test_experiment_without_a_drawn_seed_has_no_mean():
    draws = np.array([[[0.2, 0.4], [0.6, np.nan]]])
    assert np.isnan(resampled_means(draws, np.array([[0.0, 1.0]]))).tolist() == [[False, True]]


def test_equal_experiments_stay_equal_in_every_resample(random):
    """Else a strategy that changes nothing would win or lose by rounding."""
    draws = np.repeat(random.normal(size=(100, 3, 1)), 7, axis=2)
    means = resampled_means(draws, random.dirichlet(np.ones(3), size=100))
    assert (means == means[:, :1]).all()

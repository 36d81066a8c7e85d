"""Statistics against SciPy, statsmodels' published procedure by hand, and the edges."""

import numpy as np
import pytest
from scipy import stats

from pipeline.measure.statistics.estimates import holm, paired_difference, summarise, verdict

VALUES = np.array([0.52, 0.58, 0.55, 0.61])


def test_the_interval_is_that_of_scipy():
    found = summarise(VALUES, 0.95)
    low, high = stats.t.interval(0.95, df=3, loc=VALUES.mean(), scale=stats.sem(VALUES))
    assert (found.n, found.mean, found.std) == (4, pytest.approx(0.565), pytest.approx(VALUES.std(ddof=1)))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_the_interval_stays_within_the_range_of_the_metric():
    found = summarise(np.array([0.2, 0.9]), 0.95, 0.0, 1.0)
    assert (found.low, found.high) == (0.0, 1.0)


def test_one_seed_has_a_mean_but_no_spread():
    found = summarise(np.array([0.5]), 0.95)
    assert (found.n, found.mean) == (1, 0.5)
    assert np.isnan([found.std, found.low, found.high]).all()


def test_diverged_seeds_are_left_out_and_counted_out():
    assert summarise(np.array([0.5, np.nan, 0.7]), 0.95).n == 2
    assert summarise(np.array([np.nan]), 0.95).n == 0


def test_the_paired_test_is_that_of_scipy():
    control = np.array([0.50, 0.53, 0.54, 0.55])
    found = paired_difference(VALUES, control, 0.95)
    assert found.mean == pytest.approx(0.035)
    assert found.p == pytest.approx(stats.ttest_rel(VALUES, control).pvalue)


def test_pairs_with_a_diverged_seed_are_left_out():
    found = paired_difference(np.array([0.5, np.nan, 0.7]), np.array([0.4, 0.5, 0.5]), 0.95)
    assert (found.n, found.mean) == (2, pytest.approx(0.15))


def test_equal_experiments_differ_by_nothing():
    found = paired_difference(VALUES, VALUES, 0.95)
    assert (found.mean, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_a_difference_that_is_constant_but_for_rounding_is_not_tested():
    """The mean of three times 0.1 is not 0.1, which is no spread to test against."""
    found = paired_difference(np.array([0.3, 0.3, 0.1 + 0.2]), np.zeros(3), 0.95)
    assert found.mean == pytest.approx(0.3)
    assert np.isnan(found.p)


def test_holm_by_hand():
    """Sorted .01, .02, .04 times 3, 2, 1 is .03, .04, .04; an untested row counts as no test."""
    assert holm(np.array([0.04, np.nan, 0.01, 0.02])) == pytest.approx([0.04, np.nan, 0.03, 0.04], nan_ok=True)


@pytest.mark.parametrize(
    ("difference", "p", "higher", "expected"),
    [
        (0.1, 0.01, True, "better"),
        (-0.1, 0.01, True, "worse"),
        (0.1, 0.01, False, "worse"),
        (0.1, 0.06, True, "inconclusive"),
        (0.1, np.nan, True, "inconclusive"),
    ],
)
def test_a_verdict_needs_a_corrected_p_below_the_level(difference, p, higher, expected):
    assert verdict(difference, p, 0.95, higher) == expected

"""Intervals and tests against SciPy and statsmodels, and the edges."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from pipeline.measure.statistics.estimates import Resampled, Rules, Units, difference, holm, summarise

RULES = Rules(confidence=0.95, interval="t", rope=0.02)
VALUES = np.array([0.52, 0.58, 0.55, 0.61])
CONTROL = np.array([0.50, 0.53, 0.54, 0.55])
IMAGES = Units(60)


def resampled(values: np.ndarray, seed: int = 3, units: int = 60) -> Resampled:
    """Values with draws whose seeds share half of their spread, and with values of left-out images."""
    random = np.random.default_rng(seed)
    draws, left_out = (
        values + 0.02 * (random.normal(size=(rows, 1)) + random.normal(size=(rows, len(values))))
        for rows in (2000, units)
    )
    return Resampled(values, draws, left_out)


def test_without_images_the_interval_is_that_of_scipy():
    found = summarise(Resampled(VALUES), RULES)
    low, high = stats.t.interval(0.95, df=3, loc=VALUES.mean(), scale=stats.sem(VALUES))
    assert (found.n, found.mean, found.std) == (4, pytest.approx(0.565), pytest.approx(VALUES.std(ddof=1)))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_images_widen_the_interval_but_not_the_standard_deviation():
    """The deviation is that of seeds; the interval speaks of other images too: s^2/S + 0.02^2 * 60/59."""
    alone, found = summarise(Resampled(VALUES), RULES), summarise(resampled(VALUES), RULES, IMAGES)
    assert (found.n, found.mean, found.std) == alone[:3]
    seeds, images = VALUES.var(ddof=1) / 4, 0.02**2 * 60 / 59
    margin = np.sqrt(seeds * stats.t.ppf(0.975, 3) ** 2 + images * stats.t.ppf(0.975, 59) ** 2)
    assert found.high - found.mean == pytest.approx(margin, rel=0.03)


def test_the_interval_stays_within_the_range_of_the_metric():
    found = summarise(Resampled(np.array([0.2, 0.9])), RULES, low=0.0, high=1.0)
    assert (found.low, found.high) == (0.0, 1.0)


@pytest.mark.parametrize("interval", ["t", "percentile", "bca"])
def test_one_seed_or_one_image_has_a_mean_but_no_interval(interval):
    rules = RULES._replace(interval=interval)
    one_seed = summarise(resampled(np.array([0.5])), rules, IMAGES)
    assert (one_seed.n, one_seed.mean) == (1, 0.5)
    assert np.isnan(one_seed[2:]).all()
    one_image = summarise(resampled(VALUES, units=1), rules, Units(1))
    assert (one_image.n, one_image.std) == (4, pytest.approx(VALUES.std(ddof=1)))
    assert np.isnan([one_image.low, one_image.high]).all()


@pytest.mark.parametrize("interval", ["t", "percentile", "bca"])
def test_diverged_seeds_are_left_out_and_counted_out(interval):
    """As if they had not been asked for, in values, draws and left-out values."""
    rules, known = RULES._replace(interval=interval), resampled(VALUES)
    holed = Resampled(*(np.insert(each, 2, np.nan, axis=-1) for each in known))
    assert summarise(holed, rules, IMAGES) == summarise(known, rules, IMAGES)
    none = summarise(Resampled(np.array([np.nan])), rules)
    assert none.n == 0
    assert np.isnan(none[1:]).all()


def test_without_images_the_paired_test_is_that_of_scipy():
    found = difference(Resampled(VALUES), Resampled(CONTROL), RULES)
    assert found.mean == pytest.approx(0.035)
    assert found.p == pytest.approx(stats.ttest_rel(VALUES, CONTROL).pvalue)


def test_without_images_the_test_of_equivalence_is_that_of_statsmodels():
    for rope in (0.02, 0.1):
        found = difference(Resampled(VALUES), Resampled(CONTROL), RULES._replace(rope=rope))
        expected, *_ = DescrStatsW(VALUES - CONTROL).ttost_mean(-rope, rope)
        assert found.p_equivalent == pytest.approx(expected)


def test_probabilities_are_those_of_the_posterior_and_sum_to_one():
    """Without images and folds, Student's t around the mean with s / sqrt(n) and n - 1: Benavoli et al. (2017)."""
    differences = VALUES - CONTROL
    posterior = stats.t(len(differences) - 1, differences.mean(), stats.sem(differences))
    found = difference(Resampled(VALUES), Resampled(CONTROL), RULES)
    expected = posterior.cdf(-0.02), posterior.cdf(0.02) - posterior.cdf(-0.02), posterior.sf(0.02)
    assert found[-3:] == pytest.approx(expected)
    assert sum(found[-3:]) == pytest.approx(1)


def test_where_lower_is_better_a_rise_is_worse():
    up, down = (difference(Resampled(VALUES), Resampled(CONTROL), RULES, higher_is_better=it) for it in (True, False))
    assert down == up._replace(probability_better=up.probability_worse, probability_worse=up.probability_better)


def test_images_that_both_find_hard_cancel_in_a_difference():
    """Their common part is in the interval of each, and not in that of the difference."""
    common = 0.1 * np.random.default_rng(4).normal(size=(2000, 1))
    one, other = (Resampled(each, each + common) for each in (VALUES, CONTROL))
    paired, alone = difference(one, other, RULES, IMAGES), difference(Resampled(VALUES), Resampled(CONTROL), RULES)
    assert paired == pytest.approx(alone)
    assert summarise(one, RULES, IMAGES).low < summarise(Resampled(VALUES), RULES).low


def test_pairs_with_a_diverged_seed_are_left_out():
    found = difference(Resampled(np.array([0.5, np.nan, 0.7])), Resampled(np.array([0.4, 0.5, 0.5])), RULES)
    assert (found.n, found.mean) == (2, pytest.approx(0.15))


def test_equal_experiments_differ_by_nothing():
    """A strategy that never acts: no difference in any seed or image, which is as equivalent as can be."""
    found = difference(resampled(VALUES), resampled(VALUES), RULES, IMAGES)
    assert found == (4, 0, 0, 0, 0, 1, 0, 0, 1, 0)


def test_a_difference_that_is_constant_but_for_rounding_is_not_tested():
    """The mean of three times 0.1 is not 0.1, which is no spread to test against."""
    found = difference(Resampled(np.array([0.3, 0.3, 0.1 + 0.2])), Resampled(np.zeros(3)), RULES)
    assert found.mean == pytest.approx(0.3)
    assert np.isnan(found[5:]).all()


def test_the_percentile_interval_holds_the_middle_of_seeds_and_images_drawn():
    """By the law of total variance its standard error is near sqrt(var(values) / S + variance of a mean of draws)."""
    found = summarise(resampled(VALUES), RULES._replace(interval="percentile"), IMAGES)
    error = np.sqrt(VALUES.var() / 4 + 0.02**2 + 0.02**2 * 7 / 16)  # two of four draws meet in 1/4: 1/4 + 3/16
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.08)


def test_bca_moves_the_interval_of_a_skewed_score():
    """Towards the long tail: the mean of an exponential distribution is more often under- than overestimated."""
    random = np.random.default_rng(6)
    images = random.exponential(size=40)
    weights = random.multinomial(40, np.full(40, 1 / 40), size=4000)
    left_out = (images.sum() - images) / 39
    skewed = Resampled(
        *(each[..., None].repeat(3, axis=-1) for each in (images.mean(), weights @ images / 40, left_out))
    )
    percentile, bca = (summarise(skewed, RULES._replace(interval=it), Units(40)) for it in ("percentile", "bca"))
    assert (bca.low > percentile.low, bca.high > percentile.high) == (True, True)


@pytest.mark.parametrize(("interval", "units"), [("bca", IMAGES), ("percentile", Units(60, overlap=0.25))])
def test_without_what_another_interval_needs_it_is_that_of_t(interval, units):
    """No values of left-out images; folds, which only the t interval corrects for."""
    scores = resampled(VALUES)._replace(left_out=None)
    assert summarise(scores, RULES._replace(interval=interval), units) == summarise(scores, RULES, units)


def test_holm_by_hand():
    """Sorted .01, .02, .04 times 3, 2, 1 is .03, .04, .04; an untested row counts as no test."""
    assert holm(np.array([0.04, np.nan, 0.01, 0.02])) == pytest.approx([0.04, np.nan, 0.03, 0.04], nan_ok=True)


def test_holm_is_that_of_statsmodels():
    for seed in range(3):
        p_values = np.random.default_rng(seed).uniform(0, 0.3, size=7)
        assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])
    assert len(holm(np.array([]))) == 0

"""The parts of a variance against the analysis of variance, and the distribution against SciPy and its level."""

import numpy as np
import pytest
from scipy import stats

from pipeline.measure.statistics.bootstrap import image_weights
from pipeline.measure.statistics.uncertainty import Uncertainty, uncertainty

PARTS = Uncertainty(seeds=0.02, images=0.01, df_seeds=2, df_images=59)


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(2)


def test_the_parts_are_those_of_a_two_way_analysis_of_variance(random):
    """For a mean over seeds and images they are MS(seeds) / (S n) and (MS(images) - MS(rest)) / (S n)."""
    s, n = 4, 25
    table = random.normal(size=(s, 1)) + 2 * random.normal(size=n) + random.normal(size=(s, n))
    of_seeds, of_images = (table.mean(axis=axis, keepdims=True) - table.mean() for axis in (1, 0))
    rest = ((table - table.mean() - of_seeds - of_images) ** 2).sum() / ((s - 1) * (n - 1))
    draws = image_weights(np.arange(n), 40_000, random) @ table.T / n
    found = uncertainty(table.mean(axis=1), draws, n, 0.0)
    assert found.seeds == pytest.approx(n * (of_seeds**2).sum() / (s - 1) / (s * n))
    assert found.images == pytest.approx((s * (of_images**2).sum() / (n - 1) - rest) / (s * n), rel=0.03)
    assert (found.df_seeds, found.df_images) == (3, 24)


def test_what_seeds_do_not_share_is_counted_once(random):
    """Draws of seeds that owe nothing to each other, as those of folds with images of their own, add nothing."""
    values, draws = random.normal(size=3), random.normal(size=(50_000, 3))
    assert uncertainty(values, draws, 60, 0.0).images < 0.01
    assert uncertainty(values, draws, 60, 0.0).seeds == pytest.approx(values.var(ddof=1) / 3)


def test_overlapping_folds_widen_the_spread_of_seeds():
    """Nadeau and Bengio (2003): s^2 (1/J + n_test / n_train), for 5 folds 0.2 + 0.25."""
    values = np.array([0.5, 0.6, 0.55, 0.7, 0.65])
    assert uncertainty(values, None, 0, 0.25).seeds == pytest.approx(0.45 * values.var(ddof=1))


def test_resamples_in_which_a_score_is_unknown_are_left_out(random):
    """A rare class may be in none of the images that were drawn."""
    values, draws = random.normal(size=3), random.normal(size=(100, 1)) + random.normal(size=(100, 3))
    holed = np.concatenate([draws, np.full((20, 3), np.nan)])
    holed[100:, 0] = 0.5
    assert uncertainty(values, holed, 60, 0.0) == uncertainty(values, draws, 60, 0.0)


@pytest.mark.parametrize(("images", "draws"), [(1, np.zeros((50, 3))), (60, np.full((50, 3), np.nan))])
def test_one_image_or_no_known_resample_leaves_the_uncertainty_unknown(images, draws):
    assert np.isnan(uncertainty(np.array([0.5, 0.6, 0.7]), draws, images, 0.0).standard_error)


def test_one_part_alone_is_student_t():
    alone = Uncertainty(seeds=0.04, images=0.0, df_seeds=4, df_images=59)
    assert alone.quantile(0.975) == pytest.approx(stats.t.ppf(0.975, 4))
    for t in (-3.0, -0.2, 0.0, 0.7, 2.5):
        assert alone.cumulative(t) == pytest.approx(stats.t.cdf(t, 4))
        assert alone.two_sided(t) == pytest.approx(2 * stats.t.sf(abs(t), 4))


def test_the_squared_margins_of_both_parts_add_up():
    """From a t table: t(.975, 2) = 4.303, t(.975, 59) = 2.001."""
    margin = PARTS.quantile(0.975) * PARTS.standard_error
    assert margin**2 == pytest.approx(0.02 * 4.303**2 + 0.01 * 2.001**2, rel=5e-4)
    assert PARTS.quantile(0.025) == pytest.approx(-PARTS.quantile(0.975))


@pytest.mark.parametrize("level", [0.05, 0.05 / 9, 0.001])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.9, 0.98])
def test_claims_are_never_more_frequent_than_the_level(share, level):
    """Of a normal mean whose variance is the sum of two parts, each estimated with its degrees of freedom; a corrected
    test looks far into the tails, where the degrees of freedom of Satterthwaite give up to five times the level."""
    random = np.random.default_rng(3)
    parts = [share * random.chisquare(2, 2000) / 2, (1 - share) * random.chisquare(59, 2000) / 59]
    found = [Uncertainty(*both, df_seeds=2, df_images=59) for both in zip(*parts, strict=True)]
    claims = [2 * stats.norm.sf(each.quantile(1 - level / 2) * each.standard_error) for each in found]
    assert np.mean(claims) < level + 2 * np.std(claims) / np.sqrt(2000)


@pytest.mark.parametrize("p", [1e-12, 0.003, 0.31, 0.5, 0.975])
def test_probabilities_invert_quantiles(p):
    assert PARTS.cumulative(PARTS.quantile(p)) == pytest.approx(p, rel=1e-9)


def test_a_difference_beyond_all_bounds_has_probability_0():
    many = Uncertainty(seeds=0.0, images=0.01, df_seeds=2, df_images=4000)
    assert many.two_sided(1e6) == 0

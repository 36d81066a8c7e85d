"""The two-way analysis against a textbook, statsmodels, and the covariance formula of epsilon."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.anova import AnovaRM

from pipeline.measure.statistics.two_way import EFFECTS, two_way

# Maxwell and Delaney (2004), Table 12.1, p. 574: reaction times of ten subjects, noise absent and present, each at
# angles of 0, 4 and 8 degrees.
REACTION_TIMES = np.array(
    [
        [[420, 420, 480], [480, 600, 780]],
        [[420, 480, 480], [360, 480, 600]],
        [[480, 480, 540], [660, 780, 780]],
        [[420, 540, 540], [480, 780, 900]],
        [[540, 660, 540], [480, 660, 720]],
        [[360, 420, 360], [360, 480, 540]],
        [[480, 480, 600], [540, 720, 840]],
        [[480, 600, 660], [540, 720, 900]],
        [[540, 600, 540], [480, 720, 780]],
        [[480, 420, 540], [540, 660, 780]],
    ],
    float,
)


@pytest.fixture
def scores() -> np.ndarray:
    """Five seeds, four losses, three strategies."""
    rng = np.random.default_rng(5)
    return 0.6 + 0.05 * rng.normal(size=(5, 1, 1)) + 0.02 * rng.normal(size=(5, 4, 3)) + 0.03 * rng.normal(size=(4, 3))


@pytest.mark.parametrize(
    ("effect", "df", "f", "explained", "error"),
    [
        ("loss", (1, 9), 33.77, 285660, 76140),
        ("strategy", (2, 18), 40.72, 289920, 64080),
        ("loss x strategy", (2, 18), 45.31, 105120, 20880),
    ],
)
def test_the_textbook_example_comes_out(effect, df, f, explained, error):
    """Tables 12.5 and 12.6, p. 578, with noise as loss and angle as strategy."""
    line = two_way(REACTION_TIMES)[effect]
    assert (line.n, line.df, line.df_error, round(line.F, 2)) == (10, *df, f)
    assert line.partial_eta_squared == pytest.approx(explained / (explained + error))


def test_f_is_that_of_statsmodels(scores):
    names = {"loss": "abcd", "strategy": "uvw"}
    index = pd.MultiIndex.from_product([range(5), *map(list, names.values())], names=["seed", *names])
    long = pd.Series(scores.ravel(), index, name="score").reset_index()
    expected = AnovaRM(long, "score", "seed", within=list(names)).fit().anova_table
    found = two_way(scores)
    for effect, row in zip(EFFECTS, expected.to_dict("records"), strict=True):
        line = found[effect]
        assert (line.F, line.df, line.df_error) == (pytest.approx(row["F Value"]), row["Num DF"], row["Den DF"])


def test_epsilon_is_that_of_the_double_centred_covariance_and_shrinks_both_degrees_of_freedom(scores):
    """For a main effect: tr(S)^2 / ((k - 1) tr(S^2)), S the covariance of the k means with rows and columns centred."""
    means = scores.mean(axis=2)
    centre = np.eye(4) - 1 / 4
    s = centre @ np.cov(means, rowvar=False) @ centre
    line = two_way(scores)["loss"]
    assert line.epsilon == pytest.approx(np.trace(s) ** 2 / (3 * np.trace(s @ s)))
    assert line.p == pytest.approx(stats.f.sf(line.F, 3 * line.epsilon, 12 * line.epsilon))
    assert line.p > stats.f.sf(line.F, 3, 12)


def test_two_levels_are_a_paired_t_test(scores):
    """F of one degree of freedom is t squared, and there is nothing to correct."""
    found = two_way(scores[:, :2])["loss"]
    expected = stats.ttest_rel(*scores[:, :2].mean(axis=2).T)
    assert (found.epsilon, found.F, found.p) == pytest.approx((1, expected.statistic**2, expected.pvalue))


@pytest.mark.parametrize("seeds", [2, 3])
def test_scores_that_do_not_vary_over_seeds_test_nothing(seeds):
    """Neither a division by zero nor a claim: equal seeds are no evidence of how others would differ."""
    same = np.broadcast_to(np.array([[0.1, 0.7], [0.3, 0.2]]), (seeds, 2, 2))
    for line in two_way(same).values():
        assert line.n == seeds
        assert np.isnan([line.F, line.epsilon, line.p, line.partial_eta_squared]).all()

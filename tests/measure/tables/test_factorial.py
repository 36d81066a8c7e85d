"""The factorial view against plain arithmetic, and what it says where something is lacking."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from pipeline.measure.figures.factorial import effects
from pipeline.measure.figures.style import png
from pipeline.measure.page.factorial import difference_rows, factorial_sentences, two_way_rows
from pipeline.measure.statistics.estimates import Rules, holm
from pipeline.measure.tables.factorial import Factorial, complete_blocks, factorial, obstacle
from pipeline.measure.tables.scores import PLACE, Scores
from pipeline.plumbing.cells import combinations
from tests.measure.tables.measuring import scores_by_seed

CONTROL = {"loss": "cross_entropy", "strategy": "none"}
SCORES = {
    ("cross_entropy", "none"): [0.50, 0.52, 0.54],
    ("cross_entropy", "class_weights"): [0.60, 0.63, 0.65],
    ("dice", "none"): [0.55, 0.56, 0.60],
    ("dice", "class_weights"): [0.56, 0.59, 0.60],
}


RULES = Rules(confidence=0.95, interval="t", rope=1e-6)
NO_NOISE = pd.DataFrame(columns=[*PLACE, "mean"])


def analysed(scores: dict[tuple[str, str], Scores]) -> Factorial:
    return factorial(scores, CONTROL, NO_NOISE, "miou", RULES)


def test_an_effect_is_the_difference_from_none_under_the_same_loss():
    rows = analysed(scores_by_seed(SCORES)).effects.set_index(["loss", "strategy"])
    assert rows.index.tolist() == [("cross_entropy", "class_weights"), ("dice", "class_weights")]
    assert rows.loc[("cross_entropy", "class_weights"), "mean"] == pytest.approx((0.10 + 0.11 + 0.11) / 3)
    dice = rows.loc[("dice", "class_weights")]
    expected = stats.ttest_rel(SCORES["dice", "class_weights"], SCORES["dice", "none"])
    assert (dice["n"], dice["mean"], dice["p"]) == (3, pytest.approx(0.04 / 3), pytest.approx(expected.pvalue))
    interval = expected.confidence_interval(0.95)
    assert (dice["low"], dice["high"]) == pytest.approx((interval.low, interval.high))
    assert rows["p_holm"].to_numpy() == pytest.approx(holm(rows["p"].to_numpy()))
    assert rows["verdict"].tolist() == ["better", "inconclusive"]


def test_the_correction_spans_all_rows_of_a_dataset_and_no_others():
    rows = analysed(scores_by_seed(SCORES) | scores_by_seed(SCORES, "streets")).effects
    times = rows["loss"].map({"cross_entropy": 2, "dice": 1})  # the smaller p of two, then the greater
    assert rows["p_holm"].tolist() == pytest.approx((times * rows["p"]).tolist())


def test_a_main_effect_is_the_mean_over_the_other_factor_seed_by_seed():
    rows = analysed(scores_by_seed(SCORES)).main.set_index(["factor", "level"])
    assert rows.index.tolist() == [("strategy", "class_weights"), ("loss", "dice")]
    of_strategy = np.array([(0.10 + 0.01) / 2, (0.11 + 0.03) / 2, (0.11 + 0.00) / 2])
    found = rows.loc[("strategy", "class_weights")]
    assert found["mean"] == pytest.approx(of_strategy.mean())
    assert found["p"] == pytest.approx(stats.ttest_1samp(of_strategy, 0).pvalue)
    of_loss = np.array([(0.05 - 0.04) / 2, (0.04 - 0.04) / 2, (0.06 - 0.05) / 2])
    assert rows.loc[("loss", "dice"), "mean"] == pytest.approx(of_loss.mean())


def test_a_mean_takes_a_seed_only_if_everything_finished_with_it():
    """Otherwise two averages would be over different losses."""
    gap = SCORES | {("dice", "class_weights"): [np.nan, 0.59, 0.60]}
    found = analysed(scores_by_seed(gap))
    assert found.effects.set_index(["loss", "strategy"])["n"].tolist() == [3, 2]
    assert found.main["n"].tolist() == [2, 2]
    assert found.two_way["n"].tolist() == [2, 2, 2]


def test_blocks_keep_losses_and_strategies_apart():
    blocks = complete_blocks(scores_by_seed(SCORES)["digits", "unet_tiny"].values)
    assert blocks.shape == (3, 2, 2)
    assert blocks[0].tolist() == [[0.50, 0.60], [0.55, 0.56]]


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ((3, 1, 2), "there is only one loss"),
        ((3, 2, 1), "there is only one strategy"),
        ((1, 2, 2), "it needs two seeds with which every loss and strategy finished, and there is 1"),
        ((0, 2, 2), "it needs two seeds with which every loss and strategy finished, and there is none"),
        ((2, 2, 2), None),
    ],
)
def test_an_analysis_needs_two_of_everything(shape, reason):
    assert obstacle(np.zeros(shape)) == reason


def test_a_loss_that_never_finishes_leaves_the_effects_under_the_others():
    lost = SCORES | {("dice", each): [np.nan] * 3 for each in ("none", "class_weights")}
    found = analysed(scores_by_seed(lost))
    assert found.effects["n"].tolist() == [3, 0]
    assert found.main["mean"].isna().all()
    assert found.two_way.empty
    assert found.obstacles["reason"].tolist() == [
        "it needs two seeds with which every loss and strategy finished, and there is none"
    ]


@pytest.mark.parametrize("seeds", [1, 2, 3, 7])
def test_constant_scores_claim_nothing(seeds):
    """Sums of equal numbers differ in their last digit; that is no spread."""
    same = {pair: [0.1 + 0.2 * place] * seeds for place, pair in enumerate(SCORES)}
    found = analysed(scores_by_seed(same))
    assert found.effects["p"].isna().all()
    assert found.main["p"].isna().all()
    assert found.two_way["p"].isna().all()
    assert set(found.effects["verdict"]) == {"inconclusive"}


def test_the_words_say_what_is_proven_on_average_and_that_the_effect_depends_on_the_loss(tell, sizes):
    found = analysed(scores_by_seed(SCORES))
    (text,) = factorial_sentences(tell(sizes(2, 2, 3))._replace(factorial=found), "digits")
    mean = found.main.set_index("factor").loc["strategy"]
    claim = f"class_weights is better than none by +0.060 [{mean['low']:+.3f}, {mean['high']:+.3f}]"
    assert text.startswith(f"Averaged over 2 losses, {claim}; no other difference is proven.")
    assert "The effect of a strategy differs between losses (interaction: F(1, 2) = " in text


def test_the_words_claim_no_interaction_that_is_not_proven(tell, sizes):
    (text,) = factorial_sentences(tell(sizes(3, 3, 3)), "digits")
    assert "No difference of the effect between losses is proven (interaction: F(4, 8) = " in text
    assert "which does not prove that there is none" in text


def test_the_words_say_why_there_is_no_analysis(tell, sizes):
    assert (
        "There is no two-way analysis: there is only one loss."
        in factorial_sentences(tell(sizes(1, 2, 3)), "digits")[0]
    )
    assert factorial_sentences(tell(sizes(2, 1, 3)), "digits") == [
        "No strategy is compared with none: there is only one strategy."
    ]


def test_the_words_name_what_shares_its_weights_with_none(story):
    (text,) = factorial_sentences(story._replace(reused={"oversample": "none", "other": "none"}), "digits")
    assert "Cells of oversample and other judge the weights of none once more and so are not independent" in text
    assert "once more" not in factorial_sentences(story, "digits")[0]


def test_two_models_have_a_paragraph_and_rows_of_their_own(tell, sizes):
    story = tell({**sizes(2, 2, 2), "model": ["small", "large"]})
    assert [text.split(":")[0] for text in factorial_sentences(story, "digits")] == ["small", "large"]
    rows = difference_rows(story, story.factorial.effects, "digits", ["loss", "strategy"])
    assert [row["model"] for row in rows] == ["small", "small", "large", "large"]
    assert [row["model"] for row in two_way_rows(story, "digits")] == ["small"] * 3 + ["large"] * 3


def test_rows_have_an_interval_beside_every_difference(story):
    for row in difference_rows(story, story.factorial.effects, "digits", ["loss", "strategy"]):
        assert list(row) == ["loss", "strategy", "n", "difference", "its interval", "p, corrected", "verdict"]
        assert row["its interval"].startswith("[")


def test_the_figure_fills_the_dots_that_are_proven_and_no_others(story):
    rows = story.factorial.effects.assign(verdict="inconclusive")
    rows.loc[(rows["loss"] == "dice") & (rows["strategy"] == "oversample"), "verdict"] = "worse"
    figure = effects(story._replace(factorial=story.factorial._replace(effects=rows)), "digits", "unet_tiny")
    panels = {axes.get_title(): axes for axes in figure.axes}
    assert list(panels) == ["cross_entropy", "dice", "focal", "mean over losses"]
    filled = {
        loss: [line.get_markerfacecolor() != "white" for line in panels[loss].lines if line.get_marker() == "o"]
        for loss in ("cross_entropy", "dice", "focal")
    }
    assert filled == {"cross_entropy": [False, False], "dice": [False, True], "focal": [False, False]}


@pytest.mark.parametrize(
    ("losses", "strategies", "seeds"), [pytest.param(10, 8, 2, marks=pytest.mark.slow), (1, 2, 1), (2, 2, 0)]
)
def test_a_figure_of_every_size_is_drawn(tell, sizes, losses, strategies, seeds):
    axes = sizes(losses, strategies, max(seeds, 1))
    unfinished = {} if seeds else dict.fromkeys(combinations(axes), "missing")
    assert png(effects(tell(axes, unfinished), "streets", "unet_tiny")).startswith(b"\x89PNG")

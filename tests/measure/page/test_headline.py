"""What is recommended, for each thing that the evidence can say."""

import numpy as np
import pytest

from pipeline.measure.page.headline import headline, sentence

SETTING = "On digits, with this budget (1200 iterations of 16 images, 3 seeds, 12 test images)"
BEST, SECOND, CONTROL = ("focal", "oversample"), ("dice", "oversample"), ("cross_entropy", "none")


@pytest.fixture
def judged(story):
    """`judged(verdicts)`: the story of digits in which the pairs have these verdicts, and all others none."""

    def judged(verdicts: dict):
        pairs = story.differences[["loss", "strategy"]].itertuples(index=False, name=None)
        words = [verdicts.get(pair, "inconclusive") for pair in pairs]
        return story._replace(differences=story.differences.assign(verdict=words))

    return judged


def scored(story, *pairs):
    """The story with these pairs ahead of all others on digits, in this order."""
    board = story.leaderboard.set_index(["loss", "strategy"], drop=False)
    board = board[board["dataset"] == "digits"]
    return story._replace(leaderboard=board.loc[[*pairs, *(pair for pair in board.index if pair not in pairs)]])


def test_the_setting_says_data_and_budget(story):
    assert headline(story, "digits").setting == SETTING
    assert sentence(story, "digits").startswith(f"{SETTING}: ")


def test_the_best_is_recommended_if_it_is_proven_better(judged):
    story = scored(judged({BEST: "better"}), BEST)
    said = headline(story, "digits")
    row = story.leaderboard.iloc[0]
    change = story.differences.set_index(["dataset", "loss", "strategy"]).loc[("digits", *BEST)]
    assert said.answer == "Use focal with oversample."
    assert f"{row['miou']:.3f} ± {row['miou_std']:.3f} [{row['miou_low']:.3f}, {row['miou_high']:.3f}]" in said.reason
    assert f"by {change['mean']:+.3f} [{change['low']:+.3f}, {change['high']:+.3f}]." in said.reason


def test_what_is_proven_goes_before_what_scores_higher(judged):
    said = headline(scored(judged({SECOND: "better"}), BEST, SECOND), "digits")
    assert said.answer == "Use dice with oversample."
    assert "focal with oversample scores highest, " in said.reason
    assert said.reason.endswith("but that is not proven.")


def test_a_higher_score_alone_is_no_recommendation(judged):
    said = headline(scored(judged({}), BEST), "digits")
    assert said.answer == "Nothing is proven better than the control (cross_entropy with none)."
    assert "focal with oversample scores highest, " in said.reason
    assert said.reason.endswith("too uncertain for a claim.")


def test_an_equivalent_winner_is_said_to_be_equivalent(judged):
    said = headline(scored(judged({BEST: "equivalent"}), BEST), "digits")
    assert said.answer == "Nothing is proven better than the control (cross_entropy with none)."
    assert "which is equivalent: " in said.reason


def test_a_control_that_leads_stays(judged):
    said = headline(scored(judged({}), CONTROL), "digits")
    assert said.answer == "Stay with the control (cross_entropy with none)."


def test_without_a_score_of_the_control_nothing_is_claimed(judged):
    story = judged({})
    unknown = story.differences.assign(mean=np.nan, low=np.nan, high=np.nan)
    said = headline(scored(story._replace(differences=unknown), BEST), "digits")
    assert said.reason.endswith("; the control has no score at the same seeds.")


def test_every_experiment_but_the_control_is_in_one_claim(judged):
    story = judged({BEST: "better", SECOND: "worse", ("focal", "none"): "equivalent"})
    claims = {claim.meaning: claim.names for claim in headline(story, "digits").claims}
    assert list(claims) == ["better", "worse", "equivalent", "not distinguishable"]
    assert claims["worse"] == ["dice with oversample"]
    assert sum(map(len, claims.values())) == 8
    assert "Compared with the control (cross_entropy with none): 1 better (focal with oversample); " in sentence(
        story, "digits"
    )


def test_claims_name_the_best_first(judged):
    claims = headline(scored(judged({SECOND: "better", BEST: "better"}), BEST, SECOND), "digits").claims
    assert claims[0].names == ["focal with oversample", "dice with oversample"]


def test_a_mean_effect_is_named_only_where_it_is_proven(story):
    """A mean over losses has less noise than a row, and answers what to do about rare classes."""
    main = story.factorial.main
    at = (main["dataset"] == "digits") & (main["level"] == "oversample")
    row = main[at].iloc[0]

    def said(verdict: str) -> str:
        table = main.assign(verdict=np.where(at, verdict, "inconclusive"))
        return headline(story._replace(factorial=story.factorial._replace(main=table)), "digits").averages

    change = f"{row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
    assert said("better") == f"Averaged over 3 losses, oversample is better than none by {change}."
    assert said("equivalent") == said("inconclusive") == ""


def test_a_mean_effect_is_named_with_its_model_where_there_are_several(tell, sizes):
    story = tell({**sizes(2, 2, 2), "model": ["unet_tiny", "unet_large"]})
    main = story.factorial.main
    proven = (main["dataset"] == "digits") & (main["model"] == "unet_large")
    main = main.assign(verdict=np.where(proven, "worse", "inconclusive"))
    said = headline(story._replace(factorial=story.factorial._replace(main=main)), "digits").averages
    strategy, loss = (
        f"{row['level']} is worse than {{}} by {row['mean']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]."
        for row in main[proven].to_dict("records")
    )
    assert said == (
        f"Averaged over 2 losses on unet_large, {strategy.format('none')} "
        f"Averaged over 2 strategies on unet_large, {loss.format('cross_entropy')}"
    )


def test_what_may_be_as_good_as_the_best_is_named(story):
    """Those whose interval of ranks reaches the first."""
    ranks = story.ranking.ranks.assign(low=2.0, first=0.0)
    pairs = list(ranks[["dataset", "loss", "strategy"]].itertuples(index=False, name=None))
    best = story.leaderboard.iloc[0]
    ranks.loc[pairs.index(("digits", best["loss"], best["strategy"])), ["low", "first"]] = 1.0, 0.75
    alone = story._replace(ranking=story.ranking._replace(ranks=ranks))
    assert headline(alone, "digits").rivals.endswith(" is first in 75 % of the resamples; no other is likely to be.")
    ranks.loc[pairs.index(("digits", *CONTROL)), "low"] = 1.0
    assert headline(alone, "digits").rivals.endswith("; 1 more may be as good: cross_entropy with none.")


def test_one_experiment_is_compared_with_nothing(one_seed):
    said = headline(one_seed, "digits")
    assert said.answer == "cross_entropy with none is the only experiment, so there is nothing to compare."
    assert said.reason == f"Its mean IoU {one_seed.leaderboard['miou'].iloc[0]:.3f} over 1 seed."


def test_nothing_finished(nothing_finished):
    assert sentence(nothing_finished, "digits") == (
        "On digits, with this budget (2 seeds, 12 test images): Nothing has finished: 8 missing."
    )


def test_models_are_named_where_there_are_several(tell, sizes):
    story = tell({**sizes(2, 1, 2), "model": ["unet_tiny", "unet_large"]})
    names = [name for claim in headline(story, "digits").claims for name in claim.names]
    assert sorted(names) == ["dice with none on unet_large", "dice with none on unet_tiny"]

"""The tables of the ranking, on scores of which the order is known."""

import numpy as np
import pytest
from scipy import stats

from pipeline.measure.metrics.table import METRICS
from pipeline.measure.tables.ranking import ALL, COLUMNS, Ranking, rankings
from tests.measure.tables.ranked import RULES, board_of, ladder, pairs, scores_of_values

PLACE = ("digits", "unet_tiny")


def ranking(values: np.ndarray, noise: float = 0.0, **others: float) -> Ranking:
    scores = {PLACE: scores_of_values(values, noise)}
    return rankings(scores, board_of(scores, **others), "miou", RULES)


def names(table) -> list[tuple[str, str]]:
    return list(zip(table["loss"], table["strategy"], strict=True))


@pytest.fixture(scope="module")
def sixteen() -> Ranking:
    return ranking(ladder(16, 3), noise=0.01)


def test_best_stands_first(sixteen):
    means = ladder(16, 3).mean(axis=0)
    assert names(sixteen.ranks) == [pairs(16)[place] for place in np.argsort(-means)]
    assert sixteen.ranks["rank"].tolist() == list(range(1, 17))


def test_every_resample_has_one_first_and_three_in_the_top_three(sixteen):
    assert sixteen.ranks["first"].sum() == pytest.approx(1)
    assert sixteen.ranks["top3"].sum() == pytest.approx(3)


def test_shares_of_an_experiment_sum_to_one(sixteen):
    shares = sixteen.shares.groupby(["loss", "strategy"])["share"].sum()
    assert shares.to_numpy() == pytest.approx(np.ones(16))


def test_mean_rank_lies_in_its_interval(sixteen):
    ranks = sixteen.ranks
    assert ((ranks["low"] <= ranks["mean_rank"]) & (ranks["mean_rank"] <= ranks["high"])).all()
    assert (ranks["high"] > ranks["low"]).any()


def test_noise_that_all_share_does_not_move_the_ranks():
    """All experiments meet the same resample of the images."""
    found = ranking(np.array([[0.5, 0.6, 0.7]]), noise=0.03)
    assert found.ranks["first"].tolist() == [1, 0, 0]
    assert found.stability["tau"].tolist() == [1]


def test_stability_is_that_of_the_resamples(sixteen):
    row = sixteen.stability.iloc[0]
    assert (row["experiments"], row["resamples"]) == (16, 400)
    assert -1 <= row["tau_low"] < row["tau"] < row["tau_high"] <= 1


def test_equal_input_gives_equal_tables():
    one, other = (ranking(ladder(5, 3), noise=0.01) for _ in range(2))
    assert all(one_table.equals(other_table) for one_table, other_table in zip(one, other, strict=True))


def test_lower_is_better_for_a_distance():
    values = ladder(4, 3)
    scores = {PLACE: scores_of_values(values)}
    board = board_of(scores).assign(hd95_image=lambda table: table["miou"])
    first = rankings(scores, board, "hd95_image", RULES)
    assert names(first.ranks)[0] == pairs(4)[values.mean(axis=0).argmin()]
    assert names(first.block_ranks)[0] == pairs(4)[0]


def test_agreement_is_oriented_by_the_direction_of_the_metric():
    """The higher a distance, the worse: if it grows with mIoU, it gives the opposite order."""
    table = ranking(ladder(5, 3), mdice=2.0, hd95_image=3.0).between_metrics.set_index("metric")
    assert not METRICS["hd95_image"].higher_is_better
    assert table.loc["mdice", "tau"] == 1
    assert table.loc["hd95_image", "tau"] == -1
    assert np.isnan(table.loc["mrecall", "tau"])


def test_agreement_compares_quality_alone():
    table = ranking(ladder(3, 2), seconds=1.0).between_metrics
    assert "miou" not in set(table["metric"])
    assert all(METRICS[name].family != "cost" for name in table["metric"])


def test_experiment_with_a_missing_seed_is_ranked_by_the_others():
    values = ladder(4, 3)
    values[1, 3] = np.nan
    found = ranking(values)
    assert found.ranks.set_index("loss")["n"].to_dict() == {
        "cross_entropy": 3,
        "focal_tversky_0": 3,
        "focal_tversky_1": 3,
        "focal_tversky_2": 2,
    }
    kept = found.stability["resamples"].item()
    # all three draws take the missing seed: 1 in 27
    assert stats.binomtest(400 - kept, 400, 1 / 27).pvalue > 0.001
    assert found.omnibus["blocks"].item() == 2


def test_experiment_that_never_finished_is_not_ranked():
    values = ladder(4, 3)
    values[:, 2] = np.nan
    found = ranking(values)
    assert pairs(4)[2] not in names(found.ranks)
    assert found.stability["experiments"].item() == 3
    assert (found.omnibus["blocks"].item(), found.omnibus["experiments"].item()) == (3, 3)


def test_nothing_finished_gives_tables_without_ranks():
    found = ranking(np.full((2, 3), np.nan))
    assert found.ranks.empty
    assert found.stability["resamples"].item() == 400
    assert np.isnan(found.stability["tau"].item())
    assert found.omnibus["warning"].item().endswith("they need three that finished, and there are 0.")


def test_only_experiment_is_first():
    found = ranking(ladder(1, 3))
    assert found.ranks[["rank", "mean_rank", "first", "top3"]].iloc[0].tolist() == [1, 1, 1, 1]
    assert np.isnan(found.stability["tau"].item())


def test_one_seed_has_no_tests_and_says_why():
    found = ranking(ladder(4, 1), noise=0.01)
    assert found.omnibus["warning"].item().endswith("they need two seeds, and there is 1.")
    assert found.pairs.empty
    assert found.block_ranks.empty


def test_two_experiments_are_ranked_but_not_tested():
    found = ranking(ladder(2, 3))
    assert len(found.ranks) == 2
    assert found.omnibus["warning"].item().endswith("they need three that finished, and there are 2.")


def test_equal_experiments_share_all_ranks():
    found = ranking(np.full((3, 4), 0.5))
    assert found.ranks["rank"].tolist() == [2.5] * 4
    assert found.ranks["first"].to_numpy() == pytest.approx(np.full(4, 0.25))
    assert np.isnan(found.stability["tau"].item())
    assert np.isnan(found.omnibus["statistic"].item())
    assert found.pairs["p_holm"].tolist() == [1] * 6


def test_three_seeds_are_said_to_be_too_few(sixteen):
    assert sixteen.omnibus["warning"].item() == (
        "No two experiments can be told apart here, however much they differ: 3 seeds cannot reach p < 0.05 in any "
        "exact paired test (the smallest two-sided p is 2 / 2^3 = 0.25), and Holm's correction over 120 pairs takes 13 "
        "seeds."
    )
    assert (sixteen.pairs["p_holm"] == 1).all()


def test_holm_alone_can_be_too_much():
    found = ranking(ladder(6, 8, step=0.5))
    assert found.omnibus["warning"].item().endswith("differ: Holm's correction over 15 pairs takes 10 seeds.")
    assert found.pairs["p_holm"].min() > 0.05


def test_the_number_of_seeds_it_takes_is_enough_and_no_less_is():
    """Differences of one sign, as far apart as can be: with 10 seeds the warning is gone and all pairs are told apart."""
    found = ranking(ladder(6, 10, step=0.5) + 10 * np.arange(6))
    assert found.omnibus["warning"].item() == ""
    assert (found.pairs["p_holm"] < 0.05).all()


def test_a_critical_difference_beyond_all_ranks_is_said():
    found = ranking(ladder(10, 2))
    assert found.omnibus["critical_difference"].item() > 9
    assert "exceeds the greatest possible difference of mean ranks, 9." in found.omnibus["warning"].item()


def test_datasets_are_the_blocks_where_there_are_two():
    """Each block is the mean over seeds."""
    values = [ladder(4, 3), ladder(4, 3)[:, ::-1]]
    scores = {(f"digits_{i}", "unet_tiny"): scores_of_values(each) for i, each in enumerate(values)}
    found = rankings(scores, board_of(scores), "miou", RULES)
    row = found.omnibus.iloc[0]
    assert (row["dataset"], row["model"], row["of"], row["blocks"]) == (ALL, ALL, "datasets", 2)
    assert found.block_ranks["mean_rank"].tolist() == [2.5] * 4
    assert len(found.stability) == 2


def test_models_and_datasets_together_are_blocks_too():
    scores = {(dataset, model): scores_of_values(ladder(3, 2)) for dataset in "ab" for model in "cd"}
    row = rankings(scores, board_of(scores), "miou", RULES).omnibus.iloc[0]
    assert (row["of"], row["blocks"]) == ("pairs of dataset and model", 4)


def test_experiment_that_failed_on_one_dataset_is_not_tested():
    failed = ladder(4, 2)
    failed[:, 1] = np.nan
    scores = {("a", "c"): scores_of_values(ladder(4, 2)), ("b", "c"): scores_of_values(failed)}
    found = rankings(scores, board_of(scores), "miou", RULES)
    assert found.omnibus["experiments"].item() == 3
    assert pairs(4)[1] not in names(found.block_ranks)


def test_dataset_on_which_nothing_finished_is_no_block():
    scores = {(name, "c"): scores_of_values(ladder(3, 2)) for name in "ab"}
    scores["x", "c"] = scores_of_values(np.full((2, 3), np.nan))
    assert rankings(scores, board_of(scores), "miou", RULES).omnibus["blocks"].item() == 2


def test_folds_are_called_repeats():
    """A repeat is a fold and a seed, so it is not one seed more."""
    scores = {PLACE: scores_of_values(ladder(3, 5), overlap=0.25)}
    assert rankings(scores, board_of(scores), "miou", RULES).omnibus["of"].item() == "repeats"


def test_tables_have_their_columns_even_when_empty():
    found = ranking(np.full((1, 1), np.nan))
    assert {name: list(table) for name, table in found._asdict().items()} == COLUMNS

"""Tables against plain arithmetic on the same counts."""

import numpy as np
import pytest

from pipeline.measure.metrics.table import METRICS
from pipeline.measure.statistics.estimates import holm
from pipeline.measure.tables.measured import Measured
from pipeline.measure.tables.scores import (
    cell_table,
    class_table,
    difference_table,
    leaderboard,
    noise_table,
    scores_of,
)
from pipeline.plumbing.cells import Cell
from tests.measure.tables.measuring import RULES, UNITS, measured_cells, region

CONTROL = {"loss": "cross_entropy", "strategy": "none"}
SEEDS = {
    ("cross_entropy", "none"): [2, 3, 2],
    ("dice", "none"): [4, 5, 4],
    ("focal", "none"): [None, 4, None],
    ("l1", "none"): [None, None, None],
}


def differences(cells: dict[Cell, Measured], again: dict[Cell, Measured] | None = None):
    scores = scores_of(cells, UNITS, "miou")
    noise = noise_table(again or {}, scores, CONTROL, "miou", RULES)
    return difference_table(scores, CONTROL, noise, "miou", RULES).set_index("loss")


def test_the_leaderboard_is_sorted_by_the_metric_and_puts_what_never_finished_last():
    board = leaderboard(measured_cells(SEEDS), UNITS, "miou", RULES)
    assert board["loss"].tolist() == ["dice", "focal", "cross_entropy", "l1"]
    assert board["n"].tolist() == [3, 1, 3, 0]


def test_the_leaderboard_has_every_metric_with_spread_and_interval():
    spread = [f"{name}{suffix}" for name in METRICS for suffix in ("", "_std", "_low", "_high")]
    board = leaderboard(measured_cells(SEEDS), UNITS, "miou", RULES)
    assert board.columns.tolist() == ["dataset", "model", "loss", "strategy", "n", *spread]


def test_mean_and_spread_by_hand():
    """Correct 2, 3, 2 of 5 in each class: IoU 2/8, 3/7, 2/8."""
    row = leaderboard(measured_cells(SEEDS), UNITS, "miou", RULES).set_index("loss").loc["cross_entropy"]
    scores = [2 / 8, 3 / 7, 2 / 8]
    assert row["miou"] == pytest.approx(np.mean(scores))
    assert row["miou_std"] == pytest.approx(np.std(scores, ddof=1))


def test_a_cell_has_its_state_and_no_score_unless_it_finished():
    table = cell_table(measured_cells(SEEDS)).set_index(["loss", "seed"])
    assert table.loc[("focal", 0), "state"] == "diverged at iteration 3"
    assert table.loc[("focal", 0), list(METRICS)].isna().all()
    assert table.loc[("focal", 1), "miou"] == pytest.approx(4 / 6)


def test_differences_are_paired_by_seed():
    """Dice has 4, 5, 4 right: IoU 4/6, 1, 4/6."""
    rows = differences(measured_cells(SEEDS))
    assert rows.loc["dice", "mean"] == pytest.approx(np.mean([4 / 6 - 2 / 8, 1 - 3 / 7, 4 / 6 - 2 / 8]))
    assert rows.loc["focal", ["n", "mean"]].tolist() == [1, pytest.approx(4 / 6 - 3 / 7)]
    assert "cross_entropy" not in rows.index


def test_differences_are_paired_by_image():
    """An image that is hard for both losses makes the interval of each wide, and that of their difference not."""
    images = {"cross_entropy": [[1, 4], [1, 3]], "dice": [[2, 5], [2, 4]]}
    cells = measured_cells({(loss, "none"): seeds for loss, seeds in images.items()})
    board = leaderboard(cells, UNITS, "miou_image", RULES).set_index("loss")
    row = differences(cells).loc["dice"]
    assert row["high"] - row["low"] < 0.5 * (board["miou_image_high"] - board["miou_image_low"]).min()


def test_only_tested_rows_count_for_the_correction_and_no_seed_pair_is_inconclusive():
    rows = differences(measured_cells(SEEDS))
    assert rows.loc["dice", "p_holm"] == rows.loc["dice", "p"]
    assert rows.loc[["focal", "l1"], "verdict"].tolist() == ["inconclusive", "inconclusive"]


def test_the_correction_spans_the_rows_of_a_dataset():
    seeds = SEEDS | {("focal", "none"): [3, 4, 2], ("l1", "none"): [1, 2, 2]}
    rows = differences(measured_cells(seeds))
    assert rows["p_holm"].to_numpy() == pytest.approx(holm(rows["p"].to_numpy()))


def test_without_a_finished_control_nothing_is_claimed():
    rows = differences(measured_cells({("cross_entropy", "none"): [None], ("dice", "none"): [4]}))
    assert rows["verdict"].tolist() == ["inconclusive"]
    assert rows["mean"].isna().all()


def test_the_control_alone_gives_an_empty_table_of_differences():
    assert differences(measured_cells({("cross_entropy", "none"): [4]})).empty


BETTER = {
    ("cross_entropy", "none"): [[200] * 8, [201] * 8, [199] * 8],
    ("dice", "none"): [[240] * 8, [242] * 8, [239] * 8],
}


@pytest.mark.parametrize(("again", "verdict"), [([200, 202, 198], "better"), ([260, 262, 261], "inconclusive")])
def test_what_the_control_differs_from_itself_is_no_finding(again, verdict):
    """However small its p: other seeds alone moved the control further."""
    cells = measured_cells(BETTER, pixels=300)
    repeated = measured_cells(
        {("cross_entropy", "none"): [[correct] * 8 for correct in again]}, pixels=300, first_seed=100
    )
    assert differences(cells)["verdict"].tolist() == ["better"]
    assert differences(cells, repeated)["verdict"].tolist() == [verdict]


def test_the_noise_floor_is_a_row_with_its_own_score_and_its_difference_from_the_control():
    cells = measured_cells(SEEDS)
    again = measured_cells({("cross_entropy", "none"): [3, 3, 2]}, first_seed=100)
    row = noise_table(again, scores_of(cells, UNITS, "miou"), CONTROL, "miou", RULES).iloc[0]
    assert row["score"] == pytest.approx(np.mean([3 / 7, 3 / 7, 2 / 8]))
    assert (row["n"], row["mean"]) == (3, pytest.approx((3 / 7 - 2 / 8) / 3))


def test_classes_stand_with_their_frequency_and_the_images_without_them():
    counts = np.concatenate([region(4, 5), region(4, 5)])
    counts[1, 1] = [0, 0, 0, 10]
    cells = measured_cells({("dice", "none"): [counts]})
    rows = class_table(cells, {"digits": ["a", "b"]}, {"digits": [0.9, 0.1]}, UNITS, RULES).set_index("class_name")
    assert rows["train_frequency"].tolist() == [0.9, 0.1]
    assert rows["absent"].tolist() == [0, 1]
    assert rows["iou"].tolist() == [pytest.approx(8 / 12), pytest.approx(4 / 6)]


def test_no_finished_cell_gives_an_empty_table_of_classes():
    cells = measured_cells({("dice", "none"): [None]})
    assert class_table(cells, {"digits": ["a"]}, {"digits": [1.0]}, UNITS, RULES).empty

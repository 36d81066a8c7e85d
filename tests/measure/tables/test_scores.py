"""Tables against plain arithmetic on the same counts."""

import numpy as np
import pandas as pd
import pytest

from pipeline.evaluate import as_table
from pipeline.measure.metrics.table import METRICS
from pipeline.measure.tables.scores import (
    Judged,
    cell_table,
    class_table,
    counts_from_table,
    difference_table,
    leaderboard,
)
from pipeline.plumbing.cells import Cell

CONTROL = {"loss": "cross_entropy", "strategy": "none"}


def counts(correct: int) -> np.ndarray:
    """One image of ten pixels, five of each of two classes; `correct` of them right in each class."""
    wrong = 5 - correct
    return np.array([[[correct, wrong, wrong, correct]] * 2])


def cells(scores: dict[tuple[str, str], list[int | None]]) -> dict[Cell, Judged]:
    """Cells with the given right pixels per loss, strategy and seed; None has diverged."""
    return {
        Cell("digits", "unet", *pair, seed): Judged("finished", ["a", "b"], counts(correct))
        if correct is not None
        else Judged("diverged at iteration 3", ["a", "b"], None)
        for pair, seeds in scores.items()
        for seed, correct in enumerate(seeds)
    }


@pytest.fixture
def table() -> pd.DataFrame:
    return cell_table(
        cells(
            {
                ("cross_entropy", "none"): [2, 3, 2],
                ("dice", "none"): [4, 5, 4],
                ("focal", "none"): [None, 4, None],
                ("l1", "none"): [None, None, None],
            }
        )
    )


def test_stored_counts_come_back_as_they_were():
    original = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    stored = as_table(original).sample(frac=1, random_state=0)
    assert (counts_from_table(stored) == original).all()


def test_the_leaderboard_is_sorted_by_the_metric_and_puts_what_never_finished_last(table):
    board = leaderboard(table, "miou", 0.95)
    assert board["loss"].tolist() == ["dice", "focal", "cross_entropy", "l1"]
    assert board["n"].tolist() == [3, 1, 3, 0]


def test_the_leaderboard_has_the_promised_columns(table):
    spread = [f"{name}{suffix}" for name in METRICS for suffix in ("", "_std", "_low", "_high")]
    assert leaderboard(table, "miou", 0.95).columns.tolist() == ["dataset", "model", "loss", "strategy", "n", *spread]


def test_mean_and_spread_by_hand(table):
    """Correct 2, 3, 2 of 5 in each class: IoU 2/8, 3/7, 2/8."""
    row = leaderboard(table, "miou", 0.95).set_index("loss").loc["cross_entropy"]
    scores = [2 / 8, 3 / 7, 2 / 8]
    assert row["miou"] == pytest.approx(np.mean(scores))
    assert row["miou_std"] == pytest.approx(np.std(scores, ddof=1))


def test_differences_are_paired_by_seed(table):
    """Dice has 4, 5, 4 right: IoU 4/6, 1, 4/6."""
    rows = difference_table(table, "miou", CONTROL, 0.95).set_index("loss")
    assert rows.loc["dice", "mean"] == pytest.approx(np.mean([4 / 6 - 2 / 8, 1 - 3 / 7, 4 / 6 - 2 / 8]))
    assert rows.loc["focal", ["n", "mean"]].tolist() == [1, pytest.approx(4 / 6 - 3 / 7)]
    assert "cross_entropy" not in rows.index


def test_only_tested_rows_count_for_the_correction_and_no_seed_pair_is_inconclusive(table):
    rows = difference_table(table, "miou", CONTROL, 0.95).set_index("loss")
    assert rows.loc["dice", "p_holm"] == rows.loc["dice", "p"]
    assert rows.loc[["focal", "l1"], "verdict"].tolist() == ["inconclusive", "inconclusive"]


def test_without_a_finished_control_nothing_is_claimed():
    table = cell_table(cells({("cross_entropy", "none"): [None], ("dice", "none"): [4]}))
    rows = difference_table(table, "miou", CONTROL, 0.95)
    assert rows["verdict"].tolist() == ["inconclusive"]
    assert rows["mean"].isna().all()


def test_the_control_alone_gives_an_empty_table_of_differences():
    assert difference_table(cell_table(cells({("cross_entropy", "none"): [4]})), "miou", CONTROL, 0.95).empty


def test_classes_stand_with_their_frequency_and_the_images_without_them():
    absent = counts(4)
    absent[0, 1] = [0, 0, 0, 10]
    judged = {
        Cell("digits", "unet", "dice", "none", 0): Judged("finished", ["a", "b"], np.concatenate([counts(4), absent]))
    }
    rows = class_table(judged, {"digits": [0.9, 0.1]}, 0.95).set_index("class_name")
    assert rows["train_frequency"].tolist() == [0.9, 0.1]
    assert rows["absent"].tolist() == [0, 1]
    assert rows["iou"].tolist() == [pytest.approx(8 / 12), pytest.approx(4 / 6)]


def test_no_finished_cell_gives_an_empty_table_of_classes():
    judged = {Cell("digits", "unet", "dice", "none", 0): Judged("missing", [], None)}
    assert class_table(judged, {"digits": [1.0]}, 0.95).empty

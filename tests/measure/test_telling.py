"""What the report tells of files as the stages write them: units, folds, and datasets of which nothing is finished."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from pipeline.measure.metrics.table import METRICS
from pipeline.measure.pools import Pool
from pipeline.measure.statistics.estimates import Resampled, Rules, Units, difference
from pipeline.measure.telling import image_weights_of, per_fold, tell, units_of
from pipeline.plumbing.cells import combinations
from tests.measure.recorded import record_cell, record_dataset, record_masks
from tests.measure.tables.measuring import counts_of, measured_cells, region

AXES = {"dataset": ["d"], "model": ["m"], "loss": ["cross_entropy", "dice"], "strategy": ["none"], "seed": ["0", "1"]}
VIDEOS = ["a", "a", "b", "b", "c", "c", "d", "d", "e", "e"]
DECISION = {"offsets": [0.0, 1.0], "val_miou_before": 0.5, "val_miou": 0.6}
RIGHT = {"cross_entropy": [[2, 3, 3], [3, 3, 4]], "dice": [[4, 3, 4], [4, 4, 5]], "focal": [[4, 4, 3], [2, 3, 3]]}
"""Pixels that are right, of 5 in each of two classes, by loss, seed and test image."""


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


def plan(**changes: Any) -> dict[str, Any]:
    return {
        "axes": AXES | changes.pop("axes", {}),
        "control": {"loss": "cross_entropy", "strategy": "none"},
        "primary_metric": "miou",
        "confidence": 0.95,
        "interval": "t",
        "rope": 0.005,
        "resamples": 200,
        "noise_floor": [],
        "gallery": 2,
    } | changes


def finish(axes: dict[str, list[str]], right: dict[str, list[list[int]]] = RIGHT) -> None:
    """All cells of the axes, trained and evaluated."""
    for cell in combinations(axes):
        tables = np.concatenate([region(each, 5) for each in right[cell.loss][cell.seed]])
        record_cell(cell, counts_of(tables))
        record_masks(cell, np.zeros((len(tables), 4, 6), np.uint8))


def mean_iou(right: list[int]) -> float:
    """Of images of which so many pixels of 5 are right in each of two classes."""
    return sum(right) / (10 * len(right) - sum(right))


def test_images_of_a_group_are_drawn_together():
    record_dataset("d", groups=VIDEOS)
    weights = image_weights_of("d", plan())
    assert (weights.units, weights.draws.shape) == (5, (200, 10))
    np.testing.assert_array_equal(weights.draws[:, ::2], weights.draws[:, 1::2])


def test_fewer_than_five_groups_are_too_few_to_draw_so_images_are():
    """The spread of four numbers says little of the spread of all."""
    record_dataset("d", groups=VIDEOS[:8])
    weights = image_weights_of("d", plan())
    assert weights.units == 8
    assert (weights.draws[:, ::2] != weights.draws[:, 1::2]).any()


def test_an_image_without_a_group_is_drawn_alone():
    record_dataset("d", groups=["", "", "", "a", "a", ""])
    assert image_weights_of("d", plan()).units == 5


def test_a_single_image_is_one_unit_that_never_varies():
    record_dataset("d", groups=[""])
    weights = image_weights_of("d", plan(interval="bca"))
    assert (weights.units, set(weights.draws.ravel())) == (1, {1.0})


def test_the_units_of_a_cross_validation_are_those_of_its_folds_and_overlap():
    entries = {name: {"counts": {"train": 60, "val": 20, "test": 20}} for name in ("d_0", "d_1")}
    for name, groups in (("d_0", VIDEOS), ("d_1", [""] * 7)):
        record_dataset(name, groups)
    weights = {name: image_weights_of(name, plan()) for name in entries}
    assert units_of(Pool("d", {"d_0": 0, "d_1": 1}), entries, weights) == Units(5 + 7, 20 / 60)
    assert units_of(Pool("d_0", {"d_0": 0}), entries, weights) == Units(5, 0.0)


def test_differences_of_folds_are_tested_as_nadeau_and_bengio_do():
    """Their corrected resampled t-test, "Inference for the Generalization Error", Machine Learning 52 (2003): the mean
    of J differences over sqrt((1/J + n_test/n_train) s^2), with J - 1 degrees of freedom."""
    entries = {f"d_{fold}": {"counts": {"train": 60, "val": 20, "test": 20}} for fold in range(5)}
    for name in entries:
        record_dataset(name, [""])
    pool = Pool("d", {name: fold for fold, name in enumerate(entries)})
    units = units_of(pool, entries, {name: image_weights_of(name, plan()) for name in entries})
    gains = np.array([0.03, 0.01, 0.04, 0.02, 0.05])
    found = difference(Resampled(gains), Resampled(np.zeros(5)), Rules(0.95, "t", 0.005), units)
    t = gains.mean() / np.sqrt((1 / 5 + 20 / 60) * gains.var(ddof=1))
    assert found.p == pytest.approx(2 * stats.t.sf(t, 4))


def test_the_seeds_of_a_fold_count_as_one_value_and_other_cells_as_they_are():
    cells = measured_cells({("dice", "none"): [2, 3, 4, 5]})
    named = dict(zip(("fold 0 seed 0", "fold 0 seed 1", "fold 1 seed 0", "fold 1 seed 1"), cells.items(), strict=True))
    judged = per_fold({cell._replace(seed=seed): each for seed, (cell, each) in named.items()})
    assert {cell.seed: each.metrics["miou"] for cell, each in judged.items()} == {
        "fold 0": pytest.approx((2 / 8 + 3 / 7) / 2),
        "fold 1": pytest.approx((4 / 6 + 1) / 2),
    }
    assert per_fold(cells) == cells


def test_folds_are_one_dataset_from_the_files_to_the_verdicts():
    """Two folds with two seeds each: a fold is one value, its noise floor is compared fold by fold."""
    axes = {**AXES, "dataset": ["d_fold_0", "d_fold_1"]}
    for fold, name in enumerate(axes["dataset"]):
        record_dataset(name, [""] * 3, fold=fold, fold_of="one digest")
    finish(axes)
    again = {**axes, "loss": ["cross_entropy"], "seed": ["7"]}
    for cell in combinations(again):
        record_cell(cell, counts_of(np.concatenate([region(5, 5)] * 3)))
    story = tell(plan(axes=axes, noise_floor=[7]))
    assert list(story.datasets) == ["d"]
    assert story.units == {"d": Units(6, 3 / 20)}
    assert story.leaderboard[["loss", "n"]].to_numpy().tolist() == [["dice", 2], ["cross_entropy", 2]]
    assert story.cells["seed"].unique().tolist() == [f"fold {fold} seed {seed}" for fold in (0, 1) for seed in (0, 1)]
    of_fold = np.mean([mean_iou(each) for each in RIGHT["cross_entropy"]])
    (noise,) = story.noise.to_dict("records")
    assert (noise["n"], noise["mean"]) == (2, pytest.approx(1 - of_fold))
    assert {shown.dataset for shown in story.gallery} == {"d"}


def test_a_dataset_without_a_finished_cell_stands_beside_one_that_is_finished():
    axes = {**AXES, "dataset": ["done", "waiting"], "loss": ["cross_entropy", "dice", "focal"]}
    record_dataset("done", groups=[""] * 3)
    record_dataset("waiting", groups=[""] * 9)
    finish({**axes, "dataset": ["done"]})
    story = tell(plan(axes=axes))
    assert story.leaderboard.groupby("dataset")["n"].sum().to_dict() == {"done": 6, "waiting": 0}
    assert story.cells.groupby("dataset")["state"].unique().map(list).to_dict() == {
        "done": ["finished"],
        "waiting": ["missing"],
    }
    waiting = story.leaderboard[story.leaderboard["dataset"] == "waiting"]
    assert waiting[list(METRICS)].isna().all(axis=None)
    assert list(story.evaluations) == list(story.fits) == ["done"]
    for table in (story.classes, story.curves, story.chosen, story.reliability, story.temperatures, story.seen):
        assert set(table["dataset"]) <= {"done"}
    assert set(story.differences.set_index("dataset").loc["waiting", "verdict"]) == {"inconclusive"}


def test_decisions_are_told_of_the_cells_that_have_one():
    axes = {**AXES, "loss": ["cross_entropy"], "strategy": ["none", "thresholds"], "seed": ["0"]}
    source, reused = combinations(axes)
    record_dataset("d", groups=[""])
    for cell, facts in ((source, {}), (reused, {"status": "reused", "weights_of": source.name})):
        counts = counts_of(region(3, 5))
        decided = {"decision": DECISION} if facts else {}
        record_cell(cell, counts._replace(evaluation=counts.evaluation | decided), **facts)
        record_masks(cell, np.zeros((1, 4, 6), np.uint8))
    found = tell(plan(axes=axes)).decisions[["strategy", "class_name", "offset", "val_miou_before", "val_miou"]]
    assert found.to_numpy().tolist() == [["thresholds", "ground", 0.0, 0.5, 0.6], ["thresholds", "pole", 1.0, 0.5, 0.6]]


def test_of_nothing_finished_every_table_has_its_columns_and_no_claim():
    record_dataset("d", groups=[""] * 3)
    nothing = tell(plan())
    finish(AXES)
    for name, table in tell(plan())._asdict().items():
        if hasattr(table, "columns"):
            assert list(getattr(nothing, name).columns) == list(table.columns), name
    assert set(nothing.differences["verdict"]) == {"inconclusive"}
    assert (nothing.gallery, nothing.evaluations, nothing.fits, nothing.origins) == ([], {}, {}, [])


@pytest.mark.parametrize("interval", ["t", "percentile", "bca"])
def test_one_image_one_seed_and_one_loss_are_a_score_without_interval(interval):
    axes = {**AXES, "loss": ["cross_entropy"], "seed": ["0"]}
    record_dataset("d", groups=[""])
    finish(axes, {"cross_entropy": [[3]]})
    story = tell(plan(axes=axes, interval=interval))
    (row,) = story.leaderboard.to_dict("records")
    assert (row["n"], row["miou"]) == (1, pytest.approx(3 / 7))
    assert np.isnan([row["miou_std"], row["miou_low"], row["miou_high"]]).all()
    assert story.differences.empty


@pytest.mark.parametrize("interval", ["t", "percentile", "bca"])
def test_a_class_that_never_occurs_has_no_score_and_takes_no_part(interval):
    """In no image true or predicted."""
    record_dataset("d", groups=[""] * 3)
    for cell in combinations(AXES):
        tables = np.concatenate([region(each, 5) for each in RIGHT[cell.loss][cell.seed]])
        tables[:, 1] = [0, 0, 0, 10]
        record_cell(cell, counts_of(tables))
        record_masks(cell, np.zeros((3, 4, 6), np.uint8))
    story = tell(plan(interval=interval))
    board = story.leaderboard.set_index("loss")
    assert board.loc["dice", "miou"] == pytest.approx(np.mean([mean_iou(each) for each in RIGHT["dice"]]))
    pole = story.classes[story.classes["class_name"] == "pole"]
    assert pole["absent"].tolist() == [3, 3]
    assert pole[["iou", "iou_std", "iou_low", "iou_high"]].isna().all(axis=None)

"""What the report reads of cells that judge the weights of other cells, from files as the stages write them."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluate import as_table
from pipeline.measure.evidence import (
    decisions,
    gallery,
    judge,
    learning_curves,
    origins,
    read_facts,
    reused_strategies,
    trained,
)
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.files import write_csv, write_json
from pipeline.plumbing.plan import COUNTS, MODELS, PREDICTIONS, PREPARED

AXES = {"dataset": ["d"], "model": ["m"], "loss": ["dice"], "strategy": ["none", "thresholds"], "seed": ["0"]}
SOURCE, REUSED = (Cell("d", "m", "dice", strategy, 0) for strategy in AXES["strategy"])
HISTORY = ("iteration", "lr", "train_loss", "val_miou", "val_iou/a", "val_iou/b")
COUNT = np.array([[[4, 1, 1, 4], [4, 1, 1, 4]]])


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch) -> Path:
    """A finished cell, and a second one that judges its weights once more; both are evaluated."""
    monkeypatch.chdir(tmp_path)
    record(SOURCE, {"status": "finished", "diverged_at": None}, [dict.fromkeys(HISTORY, 1)])
    record(REUSED, {"status": "reused", "weights_of": SOURCE.name}, [])
    write_json(COUNTS / f"{REUSED.name}.decision.json", {"offsets": [0, 1], "val_miou_before": 0.5, "val_miou": 0.6})
    COUNTS.mkdir(parents=True, exist_ok=True)
    for wrong, cell in enumerate((SOURCE, REUSED)):
        as_table(COUNT + wrong).to_parquet(COUNTS / f"{cell.name}.parquet", index=False)
    return tmp_path


def record(cell: Cell, result: dict, history: list[dict]) -> None:
    write_json(MODELS / cell.name / "cell.json", {"cell": cell._asdict(), "classes": ["a", "b"], **result})
    write_csv(MODELS / cell.name / "history.csv", history, HISTORY)
    write_json(MODELS / cell.name / "provenance.json", {"seconds": 3.0 if history else 0, "validated": []})


def judged(cell: Cell) -> tuple:
    found = judge(cell, read_facts(AXES)[cell])
    return found.state, None if found.counts is None else found.counts.tolist()


def test_a_reused_cell_has_finished_with_counts_of_its_own():
    assert judged(SOURCE) == ("finished", COUNT.tolist())
    assert judged(REUSED) == ("finished", (COUNT + 1).tolist())


def test_a_reused_cell_has_diverged_where_its_source_has():
    """Even if counts of an earlier run still lie there."""
    record(SOURCE, {"status": "diverged", "diverged_at": 7}, [])
    assert judged(REUSED) == ("diverged at iteration 7", None)


def test_a_reused_cell_is_missing_without_its_source():
    (MODELS / SOURCE.name / "cell.json").unlink()
    assert judged(REUSED) == ("missing", None)


@pytest.mark.parametrize("cell", [SOURCE, REUSED], ids=lambda cell: cell.strategy)
def test_a_cell_is_missing_until_it_is_evaluated(cell):
    (COUNTS / f"{cell.name}.parquet").unlink()
    assert judged(cell) == ("missing", None)


def test_a_reused_cell_has_no_curve_and_no_training_behind_it():
    facts = read_facts(AXES)
    assert list(trained(facts)) == [SOURCE]
    assert learning_curves(facts)["strategy"].tolist() == ["none"]
    assert [each["seconds"] for each in origins(facts)] == [3.0]
    assert reused_strategies(facts) == {"thresholds": "none"}


def test_only_reused_cells_give_empty_curves():
    facts = {REUSED: read_facts(AXES)[REUSED]}
    assert learning_curves(facts).columns.tolist() == [*Cell._fields, "iteration", "lr", "train_loss", "val_miou"]
    assert learning_curves(facts).empty


def test_decisions_are_read_where_they_lie():
    assert decisions(read_facts(AXES)) == {REUSED: {"offsets": [0, 1], "val_miou_before": 0.5, "val_miou": 0.6}}


def test_the_gallery_shows_the_predictions_of_a_reused_cell_beside_those_of_its_source():
    prepared = PREPARED / "d"
    prepared.mkdir(parents=True)
    np.save(prepared / "test_images.npy", np.zeros((2, 4, 4, 3), np.uint8))
    np.save(prepared / "test_masks.npy", np.zeros((2, 4, 4), np.uint8))
    write_json(prepared / "names.json", {"test": ["x.png", "y.png"]})
    PREDICTIONS.mkdir(parents=True)
    for index, cell in enumerate((SOURCE, REUSED)):
        masks = np.full((1, 4, 4), index, np.uint8)
        np.savez_compressed(PREDICTIONS / f"{cell.name}.npz", positions=np.array([1]), masks=masks)
    (shown,) = gallery("d", {"classes": ["a", "b"]}, read_facts(AXES))
    assert shown.name == "y.png"
    assert {cell: mask.max() for cell, mask in shown.predictions.items()} == {SOURCE: 0, REUSED: 1}

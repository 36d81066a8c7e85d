"""The curves of a cell, from its files."""

import pytest

from pipeline.mlflow_view.cells import CellFiles
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.files import write_csv
from pipeline.plumbing.tracking import Point

CELL = Cell("digits", "unet", "sum", "none", 0)
FACTS = {"classes": ["a", "b"], "status": "finished"}


@pytest.fixture
def curve(tmp_path, monkeypatch):
    """The points of a history of two validations with these columns more than every cell has."""
    monkeypatch.chdir(tmp_path)

    def of(**more):
        (tmp_path / "models" / CELL.name).mkdir(parents=True)
        rows = [
            {"iteration": step, "lr": 0.1, "train_loss": 3.0, "val_miou": 0.5, "val_iou/a": 0.5, "val_iou/b": 0.5}
            | {column: values[place] for column, values in more.items()}
            for place, step in enumerate((5, 10))
        ]
        write_csv(tmp_path / "models" / CELL.name / "history.csv", rows, rows[0])
        origin = {"validated": [100.0, 200.0], "ended": 200.0}
        return CellFiles(CELL, FACTS, origin, "finished", None).points({})

    return of


def test_each_term_of_a_sum_is_a_curve(curve):
    """Beside that of the loss, without the validations at which it had no weight."""
    columns = {"train_loss/cross_entropy": [1.0, 0.5], "train_loss/dice": [float("nan"), 0.25]}
    terms = [each for each in curve(**columns) if each.key.startswith("train/loss/")]
    assert set(terms) == {
        Point("train/loss/cross_entropy", 1.0, 5, 100.0),
        Point("train/loss/cross_entropy", 0.5, 10, 200.0),
        Point("train/loss/dice", 0.25, 10, 200.0),
    }


def test_a_loss_of_one_term_has_the_curves_it_had(curve):
    assert {each.key for each in curve()} == {"train/loss", "train/lr", "val/miou", "val/iou/a", "val/iou/b"}

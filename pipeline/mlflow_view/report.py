"""What the report says, as it stands in `results/`, and its page as a run of its own."""

from pathlib import Path
from typing import Any, NamedTuple, Self

import pandas as pd

from pipeline.measure.metrics.table import METRICS
from pipeline.measure.tables.scores import CELL, EXPERIMENT
from pipeline.mlflow_view.showcase import Exhibit
from pipeline.plumbing.files import digest, file_digest
from pipeline.plumbing.plan import read_plan
from pipeline.plumbing.spreadsheets import original_table
from pipeline.plumbing.tracking import Point, Store

RESULTS = Path("results")
PAGE = RESULTS / "report" / "index.html"


class Report(NamedTuple):
    """Its tables, in which names stay text, also such as 2024 or nan."""

    scores: dict[tuple[str, ...], dict[str, float]]
    """Metrics by the names of a cell in the report."""
    board: pd.DataFrame
    differences: dict[tuple[str, ...], dict[str, Any]]
    """By the names of an experiment, as the next two."""
    ranks: dict[tuple[str, ...], dict[str, Any]]
    classes: dict[tuple[str, ...], list[dict[str, Any]]]
    """A row per class."""
    gallery: dict[str, list[int]]
    """Places of the images of the gallery among the test images, by dataset."""

    @classmethod
    def read(cls) -> Self:
        cells, board = (_table(RESULTS / f"{name}.csv") for name in ("cells", "leaderboard"))
        differences, ranks, classes, gallery = (
            _table(RESULTS / "tables" / f"{name}.csv") for name in ("differences", "rank_ranks", "per_class", "gallery")
        )
        return cls(
            {tuple(row[axis] for axis in CELL): known(row, METRICS) for row in cells.to_dict("records")},
            board,
            {names_of(row): row for row in differences.to_dict("records")},
            {names_of(row): row for row in ranks.to_dict("records")},
            {names: rows.to_dict("records") for names, rows in classes.groupby(EXPERIMENT)},
            {name: rows["image"].tolist() for name, rows in gallery.groupby("dataset")},
        )


def page_exhibit(at: float) -> Exhibit:
    """The run that has the page of the report, which MLflow shows among its artifacts."""

    def fill(store: Store, run: Any) -> tuple[list[Point], dict[str, Any]]:
        store.add_files(run, PAGE, RESULTS / "leaderboard.md")
        store.finish(run, at)
        return [], {}

    content = digest([file_digest(PAGE), read_plan("publish")])
    return Exhibit("report", "report", at, {"kind": "report"}, content, fill)


def names_of(row: dict[str, Any]) -> tuple[str, ...]:
    """Dataset, model, loss and strategy."""
    return tuple(row[axis] for axis in EXPERIMENT)


def known(row: dict[str, Any], names: Any) -> dict[str, float]:
    """The named numbers of a row that are known, neither NaN nor None."""
    return {name: float(row[name]) for name in names if row[name] is not None and row[name] == row[name]}


def _table(path: Path) -> pd.DataFrame:
    table = pd.read_csv(path, dtype=dict.fromkeys(CELL, str), keep_default_na=False, na_values=[""])
    return original_table(table)

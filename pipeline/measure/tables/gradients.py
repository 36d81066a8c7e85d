"""The tables that the stage `gradients` writes and the report shows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from pipeline.plumbing.files import whole
from pipeline.plumbing.spreadsheets import harmless_table, original_table

START, END = "start", "end"  # the initial weights, and those that the loss itself has trained


class GradientTables(NamedTuple):
    """Gradients of every loss per dataset and model; `relative` means divided by that of cross-entropy."""

    norms: pd.DataFrame
    """A row per loss and point of training: norms, and the cosine with cross-entropy. Where there is no trained model,
    `state` says why and the numbers are NaN."""
    classes: pd.DataFrame
    """A row per loss, point and class: its share of the pixels, and of the gradient with respect to the logits."""
    cosines: pd.DataFrame
    """A row per pair of losses, at the initial weights."""

    def renamed(self, datasets: Mapping[str, str]) -> "GradientTables":
        """The same with other names of datasets."""
        return GradientTables(*(table.assign(dataset=table["dataset"].map(datasets)) for table in self))


_PLACE = ["dataset", "model", "loss"]
_NORMS = ["weights_norm", "weights_relative", "logits_norm", "logits_relative", "cosine"]
COLUMNS = GradientTables(
    norms=[*_PLACE, "at", "state", *_NORMS],
    classes=[*_PLACE, "at", "class_name", "pixel_share", "gradient_share"],
    cosines=[*_PLACE, "other", "cosine"],
)


def write_gradients(directory: Path, rows: dict[str, list[dict[str, Any]]]) -> None:
    """Write `directory/NAME.csv` for each table, all or nothing."""
    with whole(directory) as part:
        part.mkdir(parents=True)
        for name, columns in COLUMNS._asdict().items():
            table = pd.DataFrame(rows[name], columns=columns)
            harmless_table(table).to_csv(part / f"{name}.csv", index=False, float_format="%.6g")


def read_gradients(directory: Path, axes: dict[str, list[str]]) -> GradientTables:
    """The tables, of what `axes` name; without rows of a dataset and model of which no loss has been measured."""
    tables = {name: _read(directory / f"{name}.csv", columns) for name, columns in COLUMNS._asdict().items()}
    known = {**axes, "other": axes["loss"]}
    for name, table in tables.items():
        for column in (*_PLACE, "other"):
            if column in table:
                tables[name] = tables[name][tables[name][column].isin(known[column])]
    places = tables["norms"].loc[tables["norms"]["at"] == START, _PLACE[:2]].drop_duplicates()
    return GradientTables(**tables)._replace(norms=tables["norms"].merge(places))


def _read(file: Path, columns: list[str]) -> pd.DataFrame:
    """Names stay text, also such as 2024 or nan."""
    if not file.is_file():
        return pd.DataFrame(columns=columns)
    numbers = [column for column in columns if column in _NORMS or column.endswith("_share")]
    words = dict.fromkeys(set(columns) - set(numbers), str)
    table = pd.read_csv(file, dtype=words, keep_default_na=False, na_values={each: [""] for each in numbers})
    return original_table(table)

"""What `evaluate` stores of a cell's predictions of the test split, and how the report reads it.

A directory per cell:
    classes.parquet     a row per image and class: image, class_index, and the columns of the counting modules
    images.parquet      a row per image: image, valid pixels, and sums over them of the log-loss and the Brier score
    bins.parquet        a row per image, class and bin of probability that holds a pixel; class_index -1: the top label
    evaluation.json     size and tolerance that were counted with, the temperature, and the decision if one was fitted
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.measure.counts.calibration import BINS, IN_A_BIN
from pipeline.plumbing.files import read_json, write_json

TOP = -1  # class_index of the bins of the top label


class Counts(NamedTuple):
    """All that is stored of one cell, and what its training cost."""

    classes: dict[str, np.ndarray]
    """`n c` by column: int64, float64 where the column is a sum of distances or overlaps."""
    images: dict[str, np.ndarray]
    """`n` by column."""
    bins: np.ndarray
    """`2 n 1+c bins 3` float64: without and with temperature; the top label, then each class; see `IN_A_BIN`."""
    evaluation: dict[str, Any]
    """evaluation.json."""
    cost: dict[str, float]
    """Of the training, by metric of the family cost; NaN where unknown."""


def write_counts(directory: Path, counts: Counts) -> None:
    """Write the files of a cell into the new `directory`."""
    directory.mkdir(parents=True)
    images, classes = next(iter(counts.classes.values())).shape
    place = {"image": np.repeat(np.arange(images), classes), "class_index": np.tile(np.arange(classes), images)}
    columns = {name: each.reshape(-1) for name, each in counts.classes.items()}
    pd.DataFrame(place | columns).to_parquet(directory / "classes.parquet", index=False)
    pd.DataFrame({"image": np.arange(images)} | counts.images).to_parquet(directory / "images.parquet", index=False)
    _sparse(counts.bins).to_parquet(directory / "bins.parquet", index=False)
    write_json(directory / "evaluation.json", counts.evaluation)


def read_counts(directory: Path, cost: dict[str, float]) -> Counts:
    """The counts that `write_counts` wrote."""
    classes, images, bins = (pd.read_parquet(directory / f"{name}.parquet") for name in ("classes", "images", "bins"))
    shape = len(images), len(classes) // len(images)
    return Counts(
        classes={name: classes[name].to_numpy().reshape(shape) for name in classes.columns[2:]},
        images={name: images[name].to_numpy() for name in images.columns[1:]},
        bins=_dense(bins, *shape),
        evaluation=read_json(directory / "evaluation.json"),
        cost=cost,
    )


def _sparse(bins: np.ndarray) -> pd.DataFrame:
    """Rows of the bins that hold a pixel."""
    scaled, image, index, place = np.nonzero(bins[..., 0])
    where = {
        "scaled": scaled.astype(bool),
        "image": image.astype(np.int32),
        "class_index": (index + TOP).astype(np.int16),
        "bin": place.astype(np.int8),
    }
    return pd.DataFrame(where | dict(zip(IN_A_BIN, bins[scaled, image, index, place].T, strict=True)))


def _dense(table: pd.DataFrame, images: int, classes: int) -> np.ndarray:
    bins = np.zeros((2, images, 1 + classes, BINS, len(IN_A_BIN)))
    where = (table["scaled"].astype(int), table["image"], table["class_index"] - TOP, table["bin"])
    bins[tuple(each.to_numpy() for each in where)] = table[list(IN_A_BIN)].to_numpy()
    return bins

"""What the network really saw: the share of each class among the target pixels that the loss got in training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.measure.figures.style import present
from pipeline.measure.story import Story
from pipeline.measure.text import percent
from pipeline.plumbing.cells import Cell

COLUMNS = ["dataset", "strategy", "class_name", "train_share", "cells", "seen", "seen_low", "seen_high"]


def seen_table(facts: Mapping[Cell, Mapping[str, Any] | None], metas: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """A row per dataset, strategy and class: share of the train pixels, and of those that training saw.

    `seen` is the mean over models, losses and seeds (`cells` of them), `seen_low` and `seen_high` the least and
    greatest mean of a model and loss. Only of trainings that ran to the end; a strategy that trains nothing has no row.
    """
    rows = []
    for cell, known in facts.items():
        if known and known["status"] == "finished" and known.get("seen_pixels"):
            pixels = np.array(known["seen_pixels"], dtype=float)
            frequencies = metas[cell.dataset]["pixel_frequency"]
            for name, train, share in zip(known["classes"], frequencies, pixels / max(pixels.sum(), 1), strict=True):
                rows.append({**cell._asdict(), "class_name": name, "train_share": train, "share": share})
    columns = [*Cell._fields, "class_name", "train_share", "share"]
    keys = ["dataset", "strategy", "class_name", "train_share"]
    per_cell = pd.DataFrame(rows, columns=columns).astype({"share": float})
    over_seeds = per_cell.groupby([*keys, "model", "loss"], sort=False)["share"].mean()
    spread = over_seeds.groupby(keys, sort=False).agg(seen_low="min", seen_high="max")
    means = per_cell.groupby(keys, sort=False)["share"].agg(cells="count", seen="mean")
    return means.join(spread).reset_index()[COLUMNS]


def seen_rows(story: Story, dataset: str) -> list[dict[str, Any]]:
    """A row per strategy with its classes, the class rarest in training first, as text."""
    known = story.seen[story.seen["dataset"] == dataset].sort_values("train_share", kind="stable")
    groups = {name: known[known["strategy"] == name] for name in present(story, known, "strategy")}
    return [
        {"strategy": name, "cells": rows["cells"].iloc[0], "shares": [_share(row) for row in rows.to_dict("records")]}
        for name, rows in groups.items()
    ]


def _share(row: dict[str, Any]) -> dict[str, str]:
    """`1.2 %`, and the range where losses differ in what this shows."""
    low, high = (percent(row[name]) for name in ("seen_low", "seen_high"))
    spread = f" ({low.removesuffix(' %')} to {high})" if low != high else ""
    return {
        "class_name": row["class_name"],
        "train": percent(row["train_share"]),
        "seen": percent(row["seen"]) + spread,
    }

"""A workspace of hundreds of cells, made by copying the files of a finished one under other names."""

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from tests.miniature import Miniature

VALIDATIONS = 10
SOURCE = "digits-unet_tiny-dice-none-0"
TABLES = ("leaderboard", "cells", "tables/differences", "tables/rank_ranks", "tables/per_class")


def multiply(finished: Miniature, root: Path, losses: int, strategies: int, seeds: int) -> Miniature:
    """A copy of `finished` in which one cell stands for losses x strategies x seeds of them, each with a curve."""
    made = finished.copy(root)
    axes = {
        "loss": [f"loss_{index}" for index in range(losses)],
        "strategy": [f"strategy_{index}" for index in range(strategies)],
        "seed": [str(seed) for seed in range(seeds)],
    }
    for file in TABLES:
        _multiply_rows(root / "results" / f"{file}.csv", axes)
    _write(root / "data/plan/report.json", lambda plan: plan | {"axes": plan["axes"] | axes})
    for loss in axes["loss"]:
        for strategy in axes["strategy"]:
            for seed in axes["seed"]:
                _copy_cell(root, {"loss": loss, "strategy": strategy, "seed": int(seed)})
    return made


def _copy_cell(root: Path, names: dict[str, Any]) -> None:
    cell = "digits-unet_tiny-{loss}-{strategy}-{seed}".format(**names)
    for folder in ("models", "results/counts"):
        shutil.copytree(root / folder / SOURCE, root / folder / cell)
    shutil.copy(root / f"results/predictions/{SOURCE}.npz", root / f"results/predictions/{cell}.npz")
    model = root / "models" / cell
    _write(model / "cell.json", lambda facts: facts | {"cell": facts["cell"] | names, "fingerprint": f"of {cell}"})
    history = pd.concat([pd.read_csv(model / "history.csv")] * VALIDATIONS, ignore_index=True)
    history.assign(iteration=range(1, VALIDATIONS + 1)).to_csv(model / "history.csv", index=False)
    _write(model / "provenance.json", lambda origin: origin | {"validated": origin["validated"] * VALIDATIONS})


def _multiply_rows(file: Path, axes: dict[str, list[str]]) -> None:
    """One row, or those of all classes, stand for as many experiments or cells as there are in the axes."""
    table = pd.read_csv(file)
    rows = table[(table["loss"] == "dice") & (table["strategy"] == "none")]
    for axis in ("loss", "strategy", *(["seed"] if "seed" in rows else [])):
        rows = pd.concat([rows.assign(**{axis: name}) for name in axes[axis]])
    if file.stem == "leaderboard":  # all equal would have no best one
        rows["miou"] = [1 - index / len(rows) for index in range(len(rows))]
    rows.to_csv(file, index=False)


def _write(file: Path, change: Any) -> None:
    file.write_text(json.dumps(change(json.loads(file.read_text()))))

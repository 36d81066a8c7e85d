"""The plan: what `check` decided, one small file per stage and axis value, which DVC's stages depend on."""

from pathlib import Path
from typing import Any

from pipeline.plumbing.cells import Cell
from pipeline.plumbing.files import digest, read_json

PLAN = Path("data/plan")
RAW, ARCHIVES, PREPARED = Path("data/raw"), Path("data/archives"), Path("data/prepared")
TUNED, MODELS = Path("data/tuned"), Path("models")
COUNTS, PREDICTIONS = Path("results/counts"), Path("results/predictions")
GRADIENTS = Path("results/gradients")


def read_plan(*place: str) -> Any:
    """The content of `data/plan/PLACE.json`."""
    return read_json(PLAN.joinpath(*place[:-1], f"{place[-1]}.json"))


def read_cell_plan(cell: Cell) -> dict[str, Any]:
    """All that training a cell depends on but the data: per axis resolved options, code and versions, and the seed."""
    axes = {axis: read_plan("train", axis, getattr(cell, axis)) for axis in ("dataset", "model", "loss", "strategy")}
    return {**axes, **read_plan("train", "code"), "seed": cell.seed}


def options_of(planned: dict[str, Any]) -> dict[str, Any]:
    """The described plug-in in a file of the plan, without what else stands there."""
    return {key: value for key, value in planned.items() if key not in ("code", "versions", "weights_of")}


def read_rate(cell: Cell) -> dict[str, Any]:
    """What `tune` found for the dataset, model and loss of a cell; `lr` is the learning rate to train with."""
    return read_json(TUNED / cell.search / "rate.json")


def fingerprint(cell_plan: dict[str, Any], lr: float, data_digest: str) -> str:
    """One digest of everything a trained cell depends on."""
    return digest([cell_plan, lr, data_digest])

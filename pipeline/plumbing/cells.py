"""Cells: one combination of dataset, model, loss, strategy and seed."""

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple, Self

AXES = ("dataset", "model", "loss", "strategy", "seed")
NAME = re.compile(r"[a-z0-9_]+")  # DVC joins names by dashes: a dash or a dot in a name would lose or break cells


class Cell(NamedTuple):
    """One DVC stage `train@NAME`, one directory `models/NAME`, one MLflow run."""

    dataset: str
    model: str
    loss: str
    strategy: str
    seed: int

    @property
    def name(self) -> str:
        return "-".join(map(str, self))

    @property
    def stage(self) -> str:
        return f"train@{self.name}"

    @property
    def search(self) -> str:
        """DATASET-MODEL-LOSS: what shares a learning rate."""
        return "-".join(self[:3])

    @property
    def experiment(self) -> tuple[str, str, str, str]:
        """All axes but the seed: a row of the leaderboard."""
        return self[:4]

    @classmethod
    def parse(cls, name: str) -> Self:
        """The cell named by a directory or stage. Raises ValueError if it is not a cell's name."""
        dataset, model, loss, strategy, seed = name.rpartition("@")[2].split("-")
        return cls(dataset, model, loss, strategy, int(seed))


def combinations(axes: Mapping[str, Iterable[str]]) -> list[Cell]:
    """All cells of the axes, in the order of params.yaml."""
    return [Cell(*names, int(seed)) for *names, seed in itertools.product(*(axes[axis] for axis in AXES))]


def repeats(axes: Mapping[str, Iterable[str]], control: Mapping[str, str], seeds: Iterable[int]) -> list[Cell]:
    """The cells of the control with other seeds, which make the noise floor; stages `repeat@NAME`."""
    return combinations({**axes, "loss": [control["loss"]], "strategy": [control["strategy"]], "seed": map(str, seeds)})

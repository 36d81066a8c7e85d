"""Remove what params.yaml no longer names.

That is the directories of its cells, searches and datasets, what dvc.lock says of their stages, and their logs,
journals, checkpoints and evaluations in `.cache/`. Without `--yes` it only says what would go. DVC's cache keeps a copy
of every output that goes, so a key that is put back into params.yaml trains nothing; an output of which DVC has no such
copy stays. What is made of all cells, such as results/counts, the next `dvc repro` brings up to date.
"""

import argparse
import itertools
import re
from pathlib import Path
from typing import Any, NamedTuple, Self

from pipeline.check import PARAMS, make_plan
from pipeline.plumbing.cells import combinations, repeats
from pipeline.plumbing.dvclock import NOT_RECORDED, check_idle, locked_stages, obstacles_of, unlock
from pipeline.plumbing.errors import run_stage
from pipeline.plumbing.files import CACHE
from pipeline.plumbing.params import Params, read_params
from pipeline.plumbing.plan import MODELS, PREPARED, RAW, TUNED
from pipeline.plumbing.removal import in_words, remove, sizes

# Names in `.cache/` begin with a search and the rate of a trial, with a cell, or with a search.
TRACE = re.compile(r"(?:(\w+-\w+-\w+)-lr_[\d.e-]+|(\w+-\w+-\w+-\w+-\d+|\w+-\w+-\w+))(?:-[0-9a-f]{32})?(?:\.\w+)?")


class Named(NamedTuple):
    """What params.yaml names, by the names that directories have."""

    datasets: set[str]
    searches: set[str]
    cells: set[str]
    repeats: set[str]

    @classmethod
    def by(cls, params: Params) -> Self:
        again = repeats(params.axes, params.report.control.model_dump(), params.report.noise_floor)
        searches = itertools.product(*(params.axes[axis] for axis in ("dataset", "model", "loss")))
        return cls(
            datasets=set(params.axes["dataset"]),
            searches=set(map("-".join, searches)),
            cells={cell.name for cell in combinations(params.axes)},
            repeats={cell.name for cell in again},
        )

    def directories(self) -> dict[Path, set[str]]:
        """Where outputs lie, and which of them are named."""
        cells = self.cells | self.repeats
        return {RAW: self.datasets, PREPARED: self.datasets, TUNED: self.searches, MODELS: cells}

    def stages(self) -> dict[str, set[str]]:
        """The groups of stages that params.yaml multiplies, and which of each are named."""
        once = dict.fromkeys(("download", "prepare"), self.datasets)
        return {**once, "tune": self.searches, "train": self.cells, "repeat": self.repeats}


class Surplus(NamedTuple):
    """What is there without a name in params.yaml."""

    outputs: list[Path]
    """Directories that can go."""
    kept: dict[Path, str]
    """Directories that stay, and why."""
    stages: list[str]
    """Of dvc.lock."""
    traces: list[Path]
    """In `.cache/`."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--yes", action="store_true", help="remove it; without this, only say what would go")
    wanted = parser.parse_args().yes
    make_plan()  # a slip in params.yaml must end this here, and not remove the cells of a name that was spelt wrongly
    check_idle()
    found = surplus(Named.by(read_params(PARAMS)))
    for path, reason in found.kept.items():
        print(f"kept: {path}, {reason}. Delete it by hand if it may be lost.")
    if not (found.outputs or found.stages or found.traces):
        return print("There is nothing to remove.")
    describe(found)
    if not wanted:
        return print("Nothing is removed yet: `python -m pipeline.prune --yes` does it.")
    for path in found.outputs + found.traces:
        remove(path)
    if found.stages:  # last, so that what is interrupted is found again
        unlock(found.stages)
    print("Removed. DVC's cache still holds what it cached; `dvc gc --workspace` removes that too, for good.")


def surplus(named: Named) -> Surplus:
    """What params.yaml does not name, and what of it must stay. Asks DVC about what it recorded."""
    groups = named.stages()
    gone = {stage: entry for stage, entry in locked_stages().items() if is_surplus(stage, groups)}
    recorded = {Path(out["path"]): out for entry in gone.values() for out in entry["outs"]}
    unnamed = {path: out for path, out in recorded.items() if path.name not in named.directories().get(path.parent, ())}
    reasons = obstacles_of([as_tracked(path, out) for path, out in unnamed.items()])
    there = [
        path
        for place, names in named.directories().items()
        for path in sorted(place.glob("[!.]*"))
        if path.is_dir() and path.name not in names
    ]
    kept = {path: reason for path in there if (reason := reasons.get(path, NOT_RECORDED))}
    return Surplus(
        outputs=[path for path in there if path not in kept],
        kept=kept,
        stages=[stage for stage, entry in gone.items() if not any(Path(out["path"]) in kept for out in entry["outs"])],
        traces=traces(named, {path.name for path in kept}),
    )


def is_surplus(stage: str, groups: dict[str, set[str]]) -> bool:
    """Whether a stage of dvc.lock is of a group that params.yaml multiplies, and not named by it."""
    group, _, name = stage.partition("@")
    return group in groups and name not in groups[group]


def as_tracked(path: Path, out: dict[str, Any]) -> dict[str, Any]:
    """The entry of an output with what dvc.yaml says of it and dvc.lock does not: raw data is not cached."""
    return {**out, "cache": False} if path.parent == RAW else dict(out)


def traces(named: Named, kept: set[str]) -> list[Path]:
    """What `.cache/` has of cells and searches that are neither named nor kept."""
    names = named.cells | named.repeats | named.searches | kept
    found = [(path, TRACE.fullmatch(path.name)) for path in sorted(CACHE.glob("*/*"))]
    return [path for path, match in found if match and (match[1] or match[2]) not in names]


def describe(found: Surplus) -> None:
    """Print what can go, with its size."""
    going = found.outputs + found.traces
    taken = sizes(going)
    for path, size in zip(going, taken, strict=True):
        print(f"{in_words(size):>10}  {path}")
    print(f"{in_words(sum(taken)):>10}  in all; stages of dvc.lock: {len(found.stages)}. params.yaml names none of it.")


if __name__ == "__main__":
    run_stage(main)

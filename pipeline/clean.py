"""Free the disk of what comes back without training, and of nothing else.

That is the copies of outputs of which DVC's cache holds the whole, which `dvc checkout` or the next `dvc repro` puts
back; logs, journals, kept evaluations and gradients; and what tools and killed processes left behind. Everything that
DVC has not cached stays, and so do the checkpoints of trainings that are not finished, tried learning rates, archives,
raw data, the report with its tables, MLflow's store and `.venv`.
"""

import argparse
import itertools
import re
from collections.abc import Iterable
from pathlib import Path

from pipeline.plumbing.checkpoints import CHECKPOINTS, FINISHED
from pipeline.plumbing.dvclock import check_idle, obstacles
from pipeline.plumbing.errors import run_stage
from pipeline.plumbing.files import CACHE
from pipeline.plumbing.lifeline import runs
from pipeline.plumbing.plan import MODELS
from pipeline.plumbing.removal import in_words, remove, sizes

MADE_ANEW = [CACHE / name for name in ("evaluate", "gradients", "journal", "logs")]
OF_TOOLS = [Path(name) for name in (".hypothesis", ".pytest_cache", ".ruff_cache")]
CODE = [Path(name) for name in ("pipeline", "tests")]
WRITTEN = [Path(name) for name in ("data", "models", "results", CACHE)]
LEFT_BEHIND = re.compile(r"\..+\.(\d+)\.part")  # temporary names of `whole` and of `remove`, with their process


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    check_idle()
    found = obstacles()
    cached = [path for path, reason in found.items() if not reason]
    going = [*cached, *recorded_by(cached), *(path for path in MADE_ANEW + OF_TOOLS if path.exists())]
    going += [path for path in [*compiled(), *left_behind()] if not set(path.parents) & set(going)]
    print_sizes(going)
    for path in going:
        remove(path)
    print("Removed. `dvc checkout` puts the outputs back.")
    for path, reason in found.items():
        if reason:
            print(f"kept: {path}, {reason}.")


def recorded_by(cached: Iterable[Path]) -> list[Path]:
    """What finished trainings kept for the case that DVC is killed before it records them, where it has."""
    origins = {(path / "provenance.json").read_bytes() for path in cached if path.parent == MODELS}
    kept = CHECKPOINTS.glob(f"*/{FINISHED}/provenance.json")
    return [origin.parents[1] for origin in kept if origin.read_bytes() in origins]


def compiled() -> list[Path]:
    return [path for folder in CODE for path in sorted(folder.rglob("__pycache__"))]


def left_behind() -> list[Path]:
    """What killed processes left under temporary names."""
    found = [path for folder in WRITTEN for path in sorted(folder.rglob(".*.part"))]
    return [path for path in found if (name := LEFT_BEHIND.fullmatch(path.name)) and not runs(int(name[1]))]


def print_sizes(paths: list[Path]) -> None:
    """A line for each folder at the top, and the sum."""
    taken = sorted(zip((path.parts[0] for path in paths), sizes(paths), strict=True))
    for folder, entries in itertools.groupby(taken, key=lambda entry: entry[0]):
        print(f"{in_words(sum(size for _, size in entries)):>10}  {folder}")
    print(f"{in_words(sum(size for _, size in taken)):>10}  in all")


if __name__ == "__main__":
    run_stage(main)

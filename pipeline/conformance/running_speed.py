"""`make bench-run`: twelve trainings one after another by `dvc repro`, and side by side by `pipeline.run`.

Both in copies of one workspace with the data prepared, so that neither has anything of the other to take over. Needs
about a quarter of an hour on two cores, which should have nothing else to do.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from ruamel.yaml import YAML

from pipeline.conformance.sections import write_section
from pipeline.conformance.speed import hardware
from pipeline.plumbing.errors import UserError, run_stage
from pipeline.plumbing.files import read_json
from pipeline.plumbing.machine import cores

PAGE, CELLS = Path("docs/performance.md"), 12
CODE = ("pipeline", "dvc.yaml", ".dvcignore", "requirements.lock")
AXES = {
    "loss": ("cross_entropy", "dice"),
    "strategy": ("none", "class_weights", "oversample"),
    "seed": (0, 1),
}
ENDED = re.compile(r"^\[\d+/\d+\] (?:train|repeat)@(\S+)  ([\d.]+) s$")
DVC = (sys.executable, "-m", "dvc")


class Measured(NamedTuple):
    """Seconds of one way to run everything from the prepared data to MLflow."""

    wall: float
    loops: dict[str, float]
    """Of each cell's training loop, validations included."""
    cells: dict[str, float]
    """Of each cell as a whole, where that is told."""
    matrix: float
    """From the start of the first cell to the end of the last, where that is told."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-j", "--jobs", type=int, default=cores())
    jobs = parser.parse_args().jobs
    commands = {"`dvc repro`": [*DVC, "repro"], f"`-j {jobs}`": [sys.executable, "-m", "pipeline.run", "-j", str(jobs)]}
    with tempfile.TemporaryDirectory() as folder:
        prepared = workspace(Path(folder, "prepared"))
        found = {}
        for place, (name, command) in enumerate(commands.items()):
            root = Path(shutil.copytree(prepared, Path(folder, str(place)), symlinks=True))
            found[name] = measure(command, root)
            print(f"{name}: {found[name].wall:.0f} s", flush=True)
    write_section(PAGE, "bench-run", page(*found.values(), jobs))


def workspace(root: Path) -> Path:
    """A copy of the code with the shipped params in small, up to the prepared data and the learning rates."""
    root.mkdir()
    for name in CODE:
        (shutil.copytree if Path(name).is_dir() else shutil.copy)(name, root / name)
    params = YAML().load(Path("presets/digits.yaml"))
    params["fit"]["iterations"] = 150
    for axis, names in AXES.items():
        entries = params["axes"][axis]
        params["axes"][axis] = {name: entries[name] for name in names} if isinstance(entries, dict) else list(names)
    params["report"]["noise_floor"] = []
    YAML().dump(params, root / "params.yaml")
    for command in ("init --no-scm --quiet", "config core.analytics false", "repro --quiet tune"):
        list(lines([*DVC, *command.split()], root))
    return root


def measure(command: list[str], root: Path) -> Measured:
    """Run a command to its end, and read when each cell ended from what it prints."""
    started, ends, cells = time.monotonic(), [], {}
    for line in lines(command, root):
        if ended := ENDED.match(line):
            ends.append(time.monotonic())
            cells[ended[1]] = float(ended[2])
    wall = time.monotonic() - started
    loops = {file.parent.name: read_json(file)["seconds"] for file in (root / "models").glob("*/provenance.json")}
    if len(loops) != CELLS:
        raise UserError(f"{root}: {len(loops)} cells were trained, not {CELLS}.")
    first = min((end - seconds for end, seconds in zip(ends, cells.values(), strict=True)), default=0.0)
    return Measured(wall, loops, cells, max(ends, default=0.0) - first)


def lines(command: list[str], root: Path) -> Iterator[str]:
    """What a command prints in a workspace, as it comes. Raises UserError if it fails."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("DVC", "BENCHMARK"))}
    with subprocess.Popen(
        command,
        cwd=root,
        env={**environment, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield from process.stdout
    if process.returncode:
        raise UserError(f"`{' '.join(command)}` ended with exit code {process.returncode} in {root}.")


TEXT = """\
{cells} cells of the shipped run (two losses, three strategies, two seeds, 150 iterations), from prepared data to
MLflow, on {made}:

| | one after another, `dvc repro` | `python -m pipeline.run -j {jobs}` |
|---|---|---|
| all of it | {serial:.0f} s | {parallel:.0f} s |
| training loops, median of the cells | {serial_loop:.1f} s | {parallel_loop:.1f} s |
| a cell beyond its loop, median and most | | {beyond:.1f} s, {most:.1f} s |
| the matrix beyond sum of cells / {jobs} | | {ratio:.2f} |

Speed-up: {speed_up:.2f}.
"""


def page(serial: Measured, parallel: Measured, jobs: int) -> str:
    """The figures, with what they were made on."""
    beyond = [parallel.cells[cell] - seconds for cell, seconds in parallel.loops.items()]
    return TEXT.format(
        cells=CELLS,
        jobs=jobs,
        made=hardware(torch.device("cpu")),
        serial=serial.wall,
        parallel=parallel.wall,
        serial_loop=statistics.median(serial.loops.values()),
        parallel_loop=statistics.median(parallel.loops.values()),
        beyond=statistics.median(beyond),
        most=max(beyond),
        ratio=parallel.matrix / (sum(parallel.cells.values()) / jobs),
        speed_up=serial.wall / parallel.wall,
    )


if __name__ == "__main__":
    run_stage(main)

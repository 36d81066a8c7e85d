"""Many cells at once: `python -m pipeline.run -j N`.

Checks everything, runs the shared stages, then every stale cell through DVC itself, N at a time, with the cores divided
between them, then a plain `dvc repro` for the rest. It keeps no state of its own: DVC knows what is done, and
`dvc repro` alone does the same, one cell after another.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from pipeline.check import make_plan
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.errors import UserError, run_stage
from pipeline.plumbing.files import CACHE
from pipeline.plumbing.tracking import make_experiments

DVC = (sys.executable, "-m", "dvc")
LOGS = CACHE / "logs"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "-j", "--jobs", type=int, default=default_jobs(), help="cells at a time (default: %(default)s here)"
    )
    jobs = parser.parse_args().jobs
    if jobs < 1:
        raise UserError(f"--jobs {jobs}: must be 1 or more.")
    make_plan()  # the first mistake ends it here, before DVC is started
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])

    # Forced, since a `folder` dataset lies outside what DVC watches; with an unchanged plan nothing follows from it.
    _dvc("repro", "--force", "--single-item", "check")
    _dvc("repro", "prepare")
    cells = stale_cells()
    make_experiments(dict.fromkeys(cell.dataset for cell in cells))
    failed = train(cells, jobs)
    if failed:
        report_without(failed, len(cells))
    _dvc("repro", "report")
    try:
        _dvc("repro")
    finally:  # what may have failed is MLflow; the results are there
        print(Path("results/leaderboard.md").read_text(encoding="utf-8"))
    print("Report: results/report/index.html. Every run: `make ui`, then http://127.0.0.1:5000.")


def default_jobs() -> int:
    """As many cells as cores, but three where they share a GPU, whose memory more would fill."""
    on_gpu = Path("/dev/nvidia0").exists() and os.environ.get("BENCHMARK_DEVICE") != "cpu"
    return 3 if on_gpu else os.cpu_count() or 1


def stale_cells() -> list[Cell]:
    """Cells of params.yaml that DVC would train, in its order."""
    status = subprocess.run([*DVC, "status", "--json", "train"], capture_output=True, text=True)
    if status.returncode:
        raise UserError(f"`dvc status train` failed: {status.stderr.strip()}")
    stages = json.loads(status.stdout or "{}")
    return [Cell.parse(stage) for stage in stages if stage.startswith("train@")]


def train(cells: list[Cell], jobs: int) -> list[Cell]:
    """Train the cells, `jobs` at a time, a line for each when it ends; returns those that failed."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs))}
    LOGS.mkdir(parents=True, exist_ok=True)
    failed = []
    with ThreadPoolExecutor(jobs) as pool:
        try:
            waiting = {pool.submit(_train_cell, cell, environment): cell for cell in cells}
            for done, future in enumerate(as_completed(waiting), start=1):
                cell, (seconds, code) = waiting[future], future.result()
                print(f"[{done}/{len(cells)}] {cell.name}  {'failed' if code else f'{seconds:.0f} s'}", flush=True)
                if code:
                    failed.append(cell)
        except KeyboardInterrupt:  # the running cells get it too; those that wait must not start
            pool.shutdown(cancel_futures=True)
            raise
    return failed


def report_without(failed: list[Cell], of: int) -> None:
    """Report the cells that are there, then raise the UserError that names those that failed."""
    for stage in ("evaluate", "report"):
        _dvc("repro", "--single-item", stage)
    logs = ", ".join(str(_log(cell)) for cell in failed)
    raise UserError(f"{len(failed)} of {of} cells failed, the others are in the report; the reason stands in {logs}.")


def _train_cell(cell: Cell, environment: dict[str, str]) -> tuple[float, int]:
    """Seconds and exit code of one cell, run through DVC; what it prints goes into its log."""
    started = time.monotonic()
    command = [*DVC, "--wait-for-lock", "repro", "--single-item", cell.stage]
    with _log(cell).open("w", encoding="utf-8") as log:
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment).returncode
    return time.monotonic() - started, code


def _log(cell: Cell) -> Path:
    return LOGS / f"{cell.name}.log"


def _dvc(*arguments: str) -> None:
    if subprocess.run([*DVC, *arguments]).returncode:
        raise UserError(f"`dvc {' '.join(arguments)}` failed; its reason stands above.")


if __name__ == "__main__":
    run_stage(main)

"""Many cells at once: `python -m pipeline.run -j N`.

Checks everything, runs the shared stages, then every stale search for a learning rate and every stale cell through DVC
itself, N at a time, with the cores divided between them, then a plain `dvc repro` for the rest. It keeps no state of
its own: DVC knows what is done, and `dvc repro` alone does the same, one cell after another.
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
    run_stages(stale("tune"), jobs)  # a search that fails makes its cells fail, which then are named
    cells = stale("train") + stale("repeat")
    make_experiments(dict.fromkeys(Cell.parse(stage).dataset for stage in cells))
    failed = run_stages(cells, jobs)
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


def stale(group: str) -> list[str]:
    """Stages `group@...` that DVC would run, in the order of params.yaml."""
    status = subprocess.run([*DVC, "status", "--json", group], capture_output=True, text=True)
    if status.returncode:
        raise UserError(f"`dvc status {group}` failed: {status.stderr.strip()}")
    return [stage for stage in json.loads(status.stdout or "{}") if stage.startswith(f"{group}@")]


def run_stages(stages: list[str], jobs: int) -> list[str]:
    """Run the stages, `jobs` at a time, a line for each when it ends; returns those that failed."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // jobs))}
    LOGS.mkdir(parents=True, exist_ok=True)
    failed = []
    with ThreadPoolExecutor(jobs) as pool:
        try:
            waiting = {pool.submit(_run_stage, stage, environment): stage for stage in stages}
            for done, future in enumerate(as_completed(waiting), start=1):
                stage, (seconds, code) = waiting[future], future.result()
                print(f"[{done}/{len(stages)}] {stage}  {'failed' if code else f'{seconds:.0f} s'}", flush=True)
                if code:
                    failed.append(stage)
        except KeyboardInterrupt:  # the running stages get it too; those that wait must not start
            pool.shutdown(cancel_futures=True)
            raise
    return failed


def report_without(failed: list[str], of: int) -> None:
    """Report the cells that are there, then raise the UserError that names those that failed."""
    for stage in ("evaluate", "gradients", "report"):
        _dvc("repro", "--single-item", stage)
    logs = ", ".join(str(_log(stage)) for stage in failed)
    raise UserError(f"{len(failed)} of {of} cells failed, the others are in the report; the reason stands in {logs}.")


def _run_stage(stage: str, environment: dict[str, str]) -> tuple[float, int]:
    """Seconds and exit code of one stage, run through DVC; what it prints goes into its log."""
    started = time.monotonic()
    command = [*DVC, "--wait-for-lock", "repro", "--single-item", stage]
    with _log(stage).open("w", encoding="utf-8") as log:
        code = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, env=environment).returncode
    return time.monotonic() - started, code


def _log(stage: str) -> Path:
    return LOGS / f"{stage.partition('@')[2]}.log"


def _dvc(*arguments: str) -> None:
    if subprocess.run([*DVC, *arguments]).returncode:
        raise UserError(f"`dvc {' '.join(arguments)}` failed; its reason stands above.")


if __name__ == "__main__":
    run_stage(main)

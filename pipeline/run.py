"""Run the whole benchmark, many cells at once: on this machine, on its GPUs, or on a cluster.

Checks everything, runs the shared stages, then every stale search for a learning rate and every stale cell through DVC
itself, many at a time, then a plain `dvc repro` for the rest. It keeps no state of its own: DVC knows what is done, and
`dvc repro` alone does the same, one cell after another. `docs/running.md` says more.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import NoReturn

from pipeline.check import make_plan
from pipeline.plumbing.dvclock import check_idle
from pipeline.plumbing.errors import UserError, listed, run_stage
from pipeline.plumbing.live_view import LiveView
from pipeline.plumbing.machine import only_one
from pipeline.plumbing.plan import read_plan
from pipeline.running.cluster import ClusterFile
from pipeline.running.crew import Crew, run_stages
from pipeline.running.local import PER_GPU, local_crew, slots
from pipeline.running.process import dvc, dvc_at_once, dvc_says, environment
from pipeline.running.remote import check_remote
from pipeline.running.stage import log_of, name_of
from pipeline.running.warm import warm_process
from pipeline.running.workers import cluster_crew, connected, dask_crew

JUDGING = ("evaluate", "gradients")  # neither needs the other, and much of each runs on one core
PLACES = ("jobs", "gpus", "scheduler", "cluster")
SHOWN = {"BENCHMARK_LIVE": "driver"}  # tells trainings that they are shown in MLflow already

Hire = Callable[[], AbstractContextManager[Crew]]


def main() -> None:
    options = parsed()
    signal.signal(signal.SIGTERM, _terminated)
    make_plan()  # the first mistake ends it here, before DVC is started
    hire = crew_of(options)
    with only_one("run"):  # two would end each other: DVC lets no two commands write the plan
        check_idle()
        work(hire, options)


def work(hire: Hire, options: argparse.Namespace) -> None:
    """Run everything, or with --dry only `check`, and say what would run."""
    if options.pull:
        check_remote()
    if options.dry:
        check()
        return dry_run(options)
    with warm_process(environment() | threads(options)) as warm:  # it loads the libraries beside what comes first
        run_all(hire, options, warm)
    print("Report: results/report/index.html. Every run: `make ui`, then http://127.0.0.1:5000.")


def check() -> None:
    """Forced, since a `folder` dataset lies outside what DVC watches; from an unchanged plan nothing follows."""
    dvc("repro", "--force", "--single-item", "check")


def run_all(hire: Hire, options: argparse.Namespace, warm: dict[str, str]) -> None:
    """All stages, from `check` to `publish`; `warm` has the variables by which stages find the warm process."""
    pull = ["--pull"] if options.pull else []
    check()
    dvc("repro", *pull, "prepare")
    if options.pull:
        dvc("push", "--run-cache")  # what is here already
    os.environ.update(warm)  # what came before needs no large library, and would wait for them
    cells, failed = train_all(hire, options)
    dvc_at_once(*(["repro", *pull, "--single-item", stage] for stage in JUDGING))
    if failed:
        report_without(failed, len(cells))
    dvc("repro", *pull, "report")
    try:
        dvc("repro")
    finally:  # what may have failed is MLflow; the results are there
        print(Path("results/leaderboard.md").read_text(encoding="utf-8"))


def parsed() -> argparse.Namespace:
    """The options. Raises UserError if they contradict each other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-j", "--jobs", type=int, help="cells at a time on this machine (default: one for each core)")
    parser.add_argument("--gpus", help="GPUs of this machine, as in 0,1")
    parser.add_argument("--per-gpu", type=int, help=f"cells at a time on each of them (default: {PER_GPU})")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="send cells to the workers of a Dask scheduler")
    parser.add_argument("--cluster", metavar="FILE", type=Path, help="send cells to jobs on a cluster, see docs")
    parser.add_argument("--pull", action="store_true", help="exchange cells with other machines through a DVC remote")
    parser.add_argument("--dry", action="store_true", help="say what would run, with an estimate of time and disk")
    options = parser.parse_args()
    given = [name for name in PLACES if getattr(options, name) is not None]
    if len(given) > 1:
        raise UserError(f"--{given[0]} and --{given[1]} say two places where cells should run; choose one.")
    return options


def places(options: argparse.Namespace) -> list[dict[str, str]]:
    """Where stages run on this machine, as what each place adds to their environment."""
    return slots(options.jobs, options.gpus, options.per_gpu)


def threads(options: argparse.Namespace) -> dict[str, str]:
    """How many threads a training on this machine has, as a variable."""
    return {"OMP_NUM_THREADS": places(options)[0]["OMP_NUM_THREADS"]}


def crew_of(options: argparse.Namespace) -> Hire:
    """What gathers the crew that the options ask for, once there is work. Raises UserError if they cannot be met."""
    here = places(options)
    if options.scheduler:
        connected(options.scheduler).close()
        return partial(dask_crew, options.scheduler, options.pull, SHOWN)
    if options.cluster:
        return partial(cluster_crew, ClusterFile(options.cluster), options.pull, SHOWN)
    return partial(local_crew, here, options.pull, SHOWN)


def dry_run(options: argparse.Namespace) -> None:
    """Say what would run. On a cluster, how many stages run at once is not known before it has let them in."""
    from pipeline.dry import estimate  # imports torch

    at_once = 1 if options.scheduler or options.cluster else len(places(options))
    print(*estimate(stale, at_once, int(threads(options)["OMP_NUM_THREADS"])), sep="\n")


def train_all(hire: Hire, options: argparse.Namespace) -> tuple[list[str], list]:
    """Run the stale searches and cells; the cells, and those of them that failed."""
    with ExitStack() as gathered:
        crew = None
        if searches := stale("tune"):  # one that fails makes its cells fail, which then are named
            fetch_weights(searches, options)
            crew = gathered.enter_context(hire())
            run_stages(searches, crew)
        cells = stale("train", "repeat")
        if not cells:
            return [], []
        if not searches:  # or else they are here
            fetch_weights(cells, options)
        if options.pull:
            random.shuffle(cells)  # machines that share the work then seldom take up the same cell
        crew = crew or gathered.enter_context(hire())
        with LiveView():
            matrix = run_stages(cells, crew)
    failed = matrix.stages("failed")
    if options.pull and (options.scheduler or options.cluster):  # they lie in the clones of the workers
        dvc("repro", "--pull", "--single-item", *(stage for stage in cells if stage not in failed))
    return cells, failed


def fetch_weights(stages: list[str], options: argparse.Namespace) -> None:
    """Fetch the pretrained weights that these searches or cells begin with: what fails, fails once, and not in each.

    Not for machines that a scheduler knows, nor for cells that may come trained from a remote.
    """
    models = {name_of(stage).split("-")[1] for stage in stages}
    if options.scheduler or options.pull or not any(read_plan("train", "model", name)["weights"] for name in models):
        return
    if code := subprocess.run([sys.executable, "-m", "pipeline.pretrained"], env=environment()).returncode:
        sys.exit(code)  # it has said why


def stale(*groups: str) -> list[str]:
    """Stages `group@...` that DVC would run, in the order of the groups and of params.yaml."""
    found = json.loads(dvc_says("status", "--json", *groups) or "{}")
    return [stage for group in groups for stage in found if stage.startswith(f"{group}@")]


def report_without(failed: list[str], of: int) -> NoReturn:
    """Report the cells that are there, then raise the UserError that names those that failed."""
    dvc("repro", "--single-item", "report")
    logs = listed(map(log_of, failed))
    raise UserError(f"{len(failed)} of {of} cells failed, the others are in the report; the reason stands in {logs}.")


def _terminated(*_: object) -> NoReturn:
    """End as after Ctrl-C, which ends what runs first."""
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    run_stage(main)

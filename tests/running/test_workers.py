"""Stages on the workers of a real Dask scheduler, started as a user would start them."""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dask
import psutil
import pytest

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.machine import cores
from pipeline.running import cluster
from pipeline.running.cluster import ClusterFile
from pipeline.running.crew import run_stages
from pipeline.running.workers import cluster_crew, connected, dask_crew
from tests.running.conftest import LONG, wait_until

pytestmark = pytest.mark.xdist_group("dask")


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory) -> Iterator[str]:
    """The address of a scheduler, which does not know this project."""
    file = tmp_path_factory.mktemp("scheduler") / "scheduler.json"
    options = ["--no-dashboard", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)]
    process = subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_scheduler", *options], cwd=file.parent)
    wait_until(file.is_file)
    yield json.loads(file.read_text())["address"]
    process.kill()
    process.wait()


@contextlib.contextmanager
def worker(scheduler: str, folder: Path, *options: str) -> Iterator[subprocess.Popen]:
    """A worker in a directory, there until the end of the block."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler, "--no-dashboard", *options]
    process = subprocess.Popen(command, cwd=folder)
    with connected(scheduler) as client:
        client.wait_for_workers(1, timeout=LONG)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(LONG)
            wait_until(lambda: not client.scheduler_info()["workers"])


def environment_of(cell: str) -> set[str]:
    return set(Path(f"models/{cell}/environment").read_text().splitlines())


def test_stages_run_on_workers_and_tell_how_they_go_on(shells, scheduler):
    """Two at once share the cores of the machine; what failed has its log."""
    with (
        worker(scheduler, shells.root, "--nthreads", "2"),
        dask_crew(scheduler, False, {"BENCHMARK_LIVE": "x"}) as crew,
    ):
        matrix = run_stages(["train@one", "train@broken"], crew)
    assert (matrix.stages("done"), matrix.stages("failed")) == (["train@one"], ["train@broken"])
    assert matrix.rows["train@one"].began > matrix.started
    assert "broken on purpose" in Path(".cache/logs/broken.log").read_text()
    found = environment_of("one")
    assert {f"OMP_NUM_THREADS={max(1, cores() // 2)}", "BENCHMARK_LIVE=x"} <= found
    assert not [line for line in found if line.startswith(("MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"))]


def test_a_cache_that_is_deleted_meanwhile_costs_no_stage(shells, scheduler):
    """Neither on a worker that has run one, nor on one that comes later; with it goes the sign of the directory."""
    with dask_crew(scheduler, False, {}) as crew:
        with worker(scheduler, shells.root):
            assert crew.submit("train@one").result(LONG).code == 0
            shutil.rmtree(".cache")
            assert crew.submit("train@two").result(LONG).code == 0
        shutil.rmtree(".cache")
        list(crew.told())
        with worker(scheduler, shells.root):
            assert crew.submit("train@three").result(LONG).code == 0
    assert not list(Path(".cache/signs").iterdir())


def test_an_interrupt_ends_what_runs_on_workers_and_leaves_them(shells, scheduler):
    with worker(scheduler, shells.root, "--nthreads", "1") as process:
        with pytest.raises(KeyboardInterrupt), dask_crew(scheduler, False, {}) as crew:
            futures = [crew.submit(f"train@{cell}") for cell in ("slow", "one")]
            wait_until(lambda: any(each.name() == "sleep" for each in shells.processes()))
            raise KeyboardInterrupt
        assert not [each for each in shells.processes() if "dvc" in " ".join(each.cmdline()) or each.name() == "sleep"]
        assert process.poll() is None
    assert all(future.cancelled() for future in futures)
    assert not shells.trainings("one")


def test_a_killed_worker_costs_no_stage(shells, scheduler):
    """Another one takes it over, and of the first nothing goes on."""
    with worker(scheduler, shells.root, "--nthreads", "1") as first, dask_crew(scheduler, False, {}) as crew:
        future = crew.submit("train@slow")
        wait_until(lambda: any(each.name() == "sleep" for each in shells.processes()))
        dvc_process = next(each for each in shells.processes() if "pipeline.running.dvc" in each.cmdline())
        Path("work.sh").write_text(Path("work.sh").read_text().replace("sleep 10000", "sleep 0"))
        with worker(scheduler, shells.root, "--nthreads", "1"):
            for each in [*psutil.Process(first.pid).children(recursive=True), psutil.Process(first.pid)]:
                if "sleep" not in each.name():
                    each.kill()
            assert future.result(LONG).code == 0
            assert not dvc_process.is_running()
    assert shells.trainings("slow") == 1
    for each in shells.processes():  # of work.sh, which unlike a training does not end with DVC
        each.kill()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # dask_jobqueue forgets its processes
def test_a_job_that_ends_is_replaced(shells, monkeypatch):
    """As at its time limit. The stage that it ran goes on in the next."""
    monkeypatch.setattr(cluster, "AGAIN", 0.5)
    options = "scheduler_options: {dashboard_address: ':0', host: 127.0.0.1}"
    Path("cluster.yaml").write_text(f"kind: local\njobs: 1\ncores: 1\nmemory: 1GB\n{options}\n")
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "1s"}),
        cluster_crew(ClusterFile(Path("cluster.yaml")), False, {}) as crew,
    ):
        future = crew.submit("train@slow")
        wait_until(lambda: any(each.name() == "sleep" for each in shells.processes()))
        Path("work.sh").write_text(Path("work.sh").read_text().replace("sleep 10000", "sleep 0"))
        for each in shells.processes():
            if "distributed" in " ".join(each.cmdline()):
                each.kill()
        assert future.result(LONG).code == 0
    for each in shells.processes():  # of work.sh, which unlike a training does not end with DVC
        each.kill()


def test_a_worker_in_another_directory_is_refused(shells, scheduler, tmp_path):
    shutil.copytree(shells.root, tmp_path / "other")
    with worker(scheduler, tmp_path / "other"), pytest.raises(UserError, match="is in another directory than this one"):
        dask_crew(scheduler, False, {}).__enter__()
    with worker(scheduler, tmp_path), pytest.raises(UserError, match="is not in the root of a clone of this project"):
        dask_crew(scheduler, False, {}).__enter__()


def test_a_worker_with_a_clone_of_its_own_must_have_the_same_code(shells, scheduler, tmp_path):
    shutil.copytree(shells.root, tmp_path / "other")
    (tmp_path / "other" / "params.yaml").write_text("axes: {}")
    with worker(scheduler, tmp_path / "other"), pytest.raises(UserError, match=r"its code or params.yaml differ from"):
        dask_crew(scheduler, True, {}).__enter__()


def test_a_worker_that_does_not_find_this_project_says_how_to_start_it(shells, scheduler, monkeypatch):
    monkeypatch.delenv("PYTHONPATH")
    with (
        worker(scheduler, shells.root),
        pytest.raises(UserError, match=r"by `python -m distributed.cli.dask_worker ADD"),
    ):
        dask_crew(scheduler, False, {}).__enter__()


def test_where_no_scheduler_answers_it_is_one_sentence():
    with pytest.raises(UserError, match=r"^--scheduler tcp://127\.0\.0\.1:9: no scheduler answers \("):
        connected("tcp://127.0.0.1:9")

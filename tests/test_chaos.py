"""Kill -9 at random, ten times, and nothing is lost: `make chaos`."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pytest

from pipeline.measure.metrics.table import METRICS
from tests.exported_runs import runs
from tests.miniature import Miniature

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("chaos")]

KILLS = 10
COST = [name + end for name in METRICS if METRICS[name].family == "cost" for end in ("", "_std", "_low", "_high")]
CLUSTER = """
import sys, time
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        open("address", "w").write(cluster.scheduler_address)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Miniature:
    """Twelve cells, of which none is trained; each takes a few seconds."""
    made = Miniature.create(tmp_path_factory.mktemp("chaos") / "work")
    losses = {"cross_entropy": {}, "dice": {}, "focal": {}}
    made.edit_params(axes__loss=losses, axes__seed=[0, 1], fit__iterations=100, fit__validations=4)
    made.dvc("repro", "prepare")
    return made


@pytest.fixture(scope="module")
def undisturbed(prepared, tmp_path_factory) -> Miniature:
    made = prepared.copy(tmp_path_factory.mktemp("undisturbed") / "work")
    made.run("pipeline.run", "-j", "2")
    return made


@pytest.fixture
def workspace(prepared, tmp_path) -> Miniature:
    return prepared.copy(tmp_path / "work")


def at_work(root: Path) -> list[psutil.Process]:
    """The processes in a workspace."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(root) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue  # ended meanwhile
    return found


def of_the_pipeline(root: Path) -> list[psutil.Process]:
    """Those of them that run a stage, DVC, or what helps them; workers of a cluster are not among them."""
    return [process for process in at_work(root) if any("pipeline" in word for word in words_of(process))]


def words_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


class Driver:
    """`pipeline.run`, started again and again, and whoever works for it."""

    def __init__(self, workspace: Miniature, *options: str, spared: int | None = None) -> None:
        """`spared` is a process of the workspace that is never killed."""
        self.workspace, self.options, self.spared = workspace, options, spared
        self.start()

    def start(self) -> None:
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pipeline.run", *self.options],
            cwd=self.workspace.root,
            env={**os.environ, "PATH": path, "BENCHMARK_CHECKPOINT": "0.5"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def kill(self, how: str, chance: random.Random) -> str:
        """Kill -9 one of the processes, the driver, or its whole group; what was killed."""
        if how == "driver":
            self.process.kill()
        elif how == "group":
            os.killpg(self.process.pid, signal.SIGKILL)
        else:
            spared = (self.process.pid, self.spared)
            workers = [each for each in at_work(self.workspace.root) if each.pid not in spared]
            victim = chance.choice(workers or [psutil.Process(self.process.pid)])
            how = " ".join(words_of(victim)[1:5])
            victim.kill()
        return how


def disturb(driver: Driver, chance: random.Random) -> list[str]:
    """Kill ten times while it runs; what was killed."""
    killed = []
    while len(killed) < KILLS:
        time.sleep(chance.uniform(2, 24))  # it takes ten seconds until trainings run
        if driver.process.poll() is not None:
            if driver.process.returncode == 0:
                break  # nothing is left that could be killed
            driver.start()  # cells failed because they were killed; a user would run it again
            continue
        killed.append(driver.kill(chance.choice(["worker", "worker", "driver", "group"]), chance))
        if killed[-1] in ("driver", "group"):
            driver.process.wait()
            # The workers of a cluster end what they have begun as soon as they hear that nobody waits for it.
            assert eventually(lambda: not of_the_pipeline(driver.workspace.root)), "an orphan is left"
            driver.start()
    driver.process.wait()
    return killed


def eventually(true) -> bool:
    for _ in range(3000):
        if true():
            return True
        time.sleep(0.2)
    return False


def assert_as_if_nothing_had_happened(workspace: Miniature, undisturbed: Miniature) -> None:
    workspace.dvc("repro")
    assert workspace.status() == set()
    assert "up to date" in workspace.dvc("repro").stdout
    for name in ("cells", "leaderboard"):
        ours, theirs = (pd.read_csv(each.root / "results" / f"{name}.csv") for each in (workspace, undisturbed))
        pd.testing.assert_frame_equal(*(each.drop(columns=COST, errors="ignore") for each in (ours, theirs)))
    assert not any(map(psutil.pid_exists, locking(workspace)))
    assert eventually(lambda: not of_the_pipeline(workspace.root)), "an orphan is left"
    assert shown(workspace) == shown(undisturbed)


def locking(workspace: Miniature) -> set[int]:
    """The processes that DVC says have locked paths; of those that were killed it takes no notice."""
    locked = json.loads((workspace.root / ".dvc" / "tmp" / "rwlock").read_text() or "{}")
    readers = [reader for each in locked.get("read", {}).values() for reader in each]
    return {each["pid"] for each in [*readers, *locked.get("write", {}).values()]}


def shown(workspace: Miniature) -> list[tuple]:
    """What MLflow says of the runs that count: their names, states and curves."""
    return sorted(
        (run["name"], run["tags"]["kind"], run["status"], [point[:2] for point in run["history"].get("val/miou", [])])
        for run in runs(workspace)
        if run["tags"].get("state") == "current"
    )


@pytest.mark.parametrize("seed", [0])
def test_on_this_machine(workspace, undisturbed, seed, capsys):
    driver = Driver(workspace, "-j", "2")
    killed = disturb(driver, random.Random(seed))
    with capsys.disabled():
        print(f"\nkilled: {killed}")
    assert len(killed) == KILLS
    assert_as_if_nothing_had_happened(workspace, undisturbed)


@pytest.fixture
def scheduler(workspace) -> Iterator[tuple[str, int]]:
    """Address and process of a cluster with two workers, which start again when they are killed."""
    (workspace.root / "cluster.py").write_text(CLUSTER)
    process = subprocess.Popen([sys.executable, "cluster.py"], cwd=workspace.root, stdin=subprocess.PIPE)
    address = workspace.root / "address"
    assert eventually(lambda: address.is_file() and address.read_text())
    yield address.read_text(), process.pid
    process.stdin.close()
    process.wait()


@pytest.mark.parametrize("seed", [1])
def test_on_a_cluster(workspace, undisturbed, scheduler, seed, capsys):
    address, process = scheduler
    driver = Driver(workspace, "--scheduler", address, spared=process)
    killed = disturb(driver, random.Random(seed))
    with capsys.disabled():
        print(f"\nkilled: {killed}")
    assert len(killed) == KILLS
    assert_as_if_nothing_had_happened(workspace, undisturbed)

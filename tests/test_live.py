"""Trainings are shown in MLflow while they run, by a process that can neither stop them nor hold them up.

The training here is a small process that writes its journal as `pipeline.train` does; the stores and servers are real.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest

from tests.miniature import ROOT
from tests.mlflow_server import Server

pytestmark = [
    pytest.mark.xdist_group("live"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of libraries that MLflow uses
]

LONG = 600.0  # seconds after which what a test waits for never comes, however busy the machine is

TRAINING = """
import os, sys
from pipeline.plumbing import live_view
from pipeline.plumbing.journal import Journal
from tests.test_live import facts_of

cell, live_view.PATIENCE = sys.argv[1], float(os.environ.get("PATIENCE", 600))
journal = Journal(cell, facts_of(cell))
with live_view.LiveView(cell):
    print("begun", flush=True)
    for step in map(int, sys.stdin):
        journal.point({"train/loss": 1 / step, "val/miou": step / 100}, step, 1000.0 + step)
    journal.end("finished")
"""


def facts_of(cell: str) -> dict[str, Any]:
    """What cell.json says before a training."""
    dataset, model, loss, strategy, seed = cell.split("-")
    names = {"dataset": dataset, "model": model, "loss": loss, "strategy": strategy, "seed": int(seed)}
    plan = {"dataset": {"fit": {"iterations": 9}}, "model": {"depth": 3}, "loss": {"gamma": 2.0}, "strategy": {}}
    return {"cell": names, "plan": plan, "lr": 0.001, "fingerprint": f"print of {cell}", "data_digest": "data"}


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """`start(root, *arguments, **environment)`: a process of Python, which does not outlive the test."""
    with contextlib.ExitStack() as stack:

        def start(root: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
            inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "BENCHMARK"))}
            process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=root,
                env={**inherited, "PYTHONPATH": str(ROOT), **environment},
                **dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE),
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start


@pytest.fixture
def train(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., subprocess.Popen[str]]:
    """`train(root, cell, **environment)`: a training that has begun its journal; each number on stdin is a validation."""

    def train(root: Path, cell: str, **environment: str) -> subprocess.Popen[str]:
        training = start(root, "-c", TRAINING, cell, **environment)
        assert training.stdout.readline() == "begun\n"
        return training

    return train


def validate(training: subprocess.Popen[str], *steps: int) -> None:
    for step in steps:
        print(step, file=training.stdin, flush=True)


def until(wanted: Callable[[], Any]) -> Any:
    """What `wanted` gives as soon as that is something."""
    deadline = time.monotonic() + LONG
    while not (found := wanted()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.2)
    return found


def shown(uri: str) -> dict[str, dict[str, Any]]:
    """By loss, the steps, state and status of each run."""
    client = mlflow.MlflowClient(uri)
    places = [each.experiment_id for each in client.search_experiments()]
    return {
        run.data.tags["loss"]: {
            "steps": [point.step for point in client.get_metric_history(run.info.run_id, "val/miou")],
            "state": run.data.tags["state"],
            "status": run.info.status,
            "params": run.data.params,
        }
        for run in client.search_runs(places)
    }


def children(process: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def steps_of(uri: str) -> dict[str, list[int]]:
    """By loss, the validations that are shown; before the first, parameters of a run may not be there yet."""
    return {loss: run["steps"] for loss, run in shown(uri).items()}


def is_gone(process: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return True


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database that is there already: making one takes seconds."""
    file = tmp_path_factory.mktemp("made") / "mlflow.db"
    mlflow.MlflowClient(f"sqlite:///{file}").search_experiments()
    return file


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    shutil.copy(made, tmp_path / "mlflow.db")
    return tmp_path


@pytest.fixture
def uri(root: Path) -> str:
    return f"sqlite:///{root / 'mlflow.db'}"


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that accepts and never answers."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


CELL = "digits-net-dice-none-0"


def test_a_training_is_shown_while_it_runs_and_ended_with_it(train, root, uri):
    training = train(root, CELL)
    validate(training, 3)
    until(lambda: steps_of(uri) == {"dice": [3]})
    run = shown(uri)["dice"]
    assert (run["state"], run["status"]) == ("live", "RUNNING")
    assert {"loss": "dice", "loss.gamma": "2.0", "fit.lr": "0.001", "fit.iterations": "9"}.items() <= run[
        "params"
    ].items()
    validate(training, 6, 9)
    assert training.communicate(timeout=LONG)[1] == ""
    run = shown(uri)["dice"]
    assert (run["steps"], run["state"], run["status"]) == ([3, 6, 9], "live", "FINISHED")


def test_a_training_that_goes_on_is_begun_anew_with_all_its_points(train, root, uri):
    first = train(root, CELL)
    validate(first, 3, 6)
    until(lambda: steps_of(uri) == {"dice": [3, 6]})
    (view,) = children(first.pid)
    first.kill()
    first.communicate()
    until(lambda: is_gone(view))
    assert shown(uri)["dice"]["status"] == "RUNNING"
    second = train(root, CELL)
    validate(second, 3, 6, 9)
    until(lambda: steps_of(uri) == {"dice": [3, 6, 9]})
    assert second.communicate(timeout=LONG)[1] == ""
    client = mlflow.MlflowClient(uri)
    assert len(client.search_runs([client.get_experiment_by_name("digits").experiment_id])) == 1


def test_a_training_shorter_than_the_import_of_mlflow_waits_for_nothing(train, tmp_path):
    """Here the import takes longer than any training: it never ends."""
    endless = "import sys, time\nwhile 'pipeline.live' in sys.orig_argv: time.sleep(1)\n"
    (tmp_path / "mlflow.py").write_text(endless)
    training = train(tmp_path, CELL, PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]))
    (view,) = children(training.pid)
    validate(training, 3)
    assert training.communicate(timeout=LONG)[1] == "", "it gave up waiting"
    assert is_gone(view)
    assert not (tmp_path / "mlflow.db").exists()


@pytest.mark.parametrize("value", ["off", "driver"])
def test_a_training_starts_nothing_if_it_is_told_not_to(train, tmp_path, value):
    training = train(tmp_path, CELL, BENCHMARK_LIVE=value)
    assert children(training.pid) == []
    training.communicate(timeout=LONG)


@pytest.mark.parametrize("dead", ["http://127.0.0.1:9", "sqlite:////dev/null/mlflow.db"])
def test_a_dead_store_is_told_once_and_ends_nothing(train, tmp_path, dead):
    training = train(tmp_path, CELL, MLFLOW_TRACKING_URI=dead)
    validate(training, 3)
    said = training.stderr.readline()
    validate(training, 6)
    _, rest = training.communicate(timeout=LONG)
    assert said.startswith("warning: MLflow: ")
    assert said.endswith("Training is not affected; `make publish` adds the run later.\n")
    assert (rest, training.returncode) == ("", 0), "it waited for nothing"


def test_a_server_that_never_answers_is_given_up_after_a_while(train, tmp_path, silent):
    training = train(tmp_path, CELL, MLFLOW_TRACKING_URI=silent, PATIENCE="1")
    validate(training, 3)
    (view,) = children(training.pid)
    until(lambda: connected(view))
    _, said = training.communicate(timeout=LONG)
    assert said.startswith(f"warning: MLflow: no answer from {silent} in 1.0 s. ")
    assert said.count("warning") == 1
    assert (is_gone(view), training.returncode) == (True, 0)


def connected(process: int) -> bool:
    """Whether a process has opened a connection."""
    links = [os.readlink(each) for each in Path(f"/proc/{process}/fd").iterdir() if each.is_symlink()]
    return any(link.startswith("socket:") for link in links)


def test_a_server_that_dies_in_between_is_told_once(train, root):
    with Server(root) as server:
        training = train(root, CELL, MLFLOW_TRACKING_URI=server.uri)
        validate(training, 3)
        until(lambda: steps_of(server.uri) == {"dice": [3]})
    validate(training, 6)
    assert training.stderr.readline().startswith("warning: MLflow: ")
    validate(training, 9)
    _, rest = training.communicate(timeout=LONG)
    assert (rest, training.returncode) == ("", 0)
    assert steps_of(f"sqlite:///{root / 'mlflow.db'}") == {"dice": [3]}


DRIVER = "from pipeline import live; live.PAUSE = 2; live.main()"


def test_one_process_shows_all_trainings_that_begin_until_it_is_told_to_end(train, start, root, uri):
    """And none that began before."""
    train(root, "digits-net-focal-none-0", BENCHMARK_LIVE="driver").communicate(timeout=LONG)
    driver = start(root, "-c", DRIVER)
    assert driver.stdout.readline().startswith("Trainings are shown in MLflow at sqlite:///")
    losses = ["dice", "l1"]
    trainings = [train(root, f"digits-net-{loss}-none-0", BENCHMARK_LIVE="driver") for loss in losses]
    for training in trainings:
        validate(training, 3)
    until(lambda: steps_of(uri) == {loss: [3] for loss in losses})
    for training in trainings:
        validate(training, 6)
        training.communicate(timeout=LONG)
    assert driver.communicate(timeout=LONG)[1] == ""
    assert {loss: (run["steps"], run["status"]) for loss, run in shown(uri).items()} == {
        loss: ([3, 6], "FINISHED") for loss in losses
    }


def test_a_server_that_comes_back_gets_what_it_missed(train, start, root):
    server = Server(root)
    driver = start(root, "-c", DRIVER, MLFLOW_TRACKING_URI=server.uri)
    driver.stdout.readline()
    training = train(root, CELL, BENCHMARK_LIVE="driver")
    validate(training, 3)
    assert driver.stderr.readline().startswith("warning: MLflow: ")
    with server:
        validate(training, 6)
        until(lambda: steps_of(server.uri) == {"dice": [3, 6]})
        training.communicate(timeout=LONG)
        assert driver.communicate(timeout=LONG)[1] == ""
        assert shown(server.uri)["dice"]["status"] == "FINISHED"

"""MLflow's store under load, and made for the first time."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import pytest

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.tracking import Point, Store, failures_explained
from tests.miniature import ROOT

pytestmark = [
    pytest.mark.xdist_group("live"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of libraries that MLflow uses
]

# The library is loaded once and then shared by forks, which saves seconds for each; the store is each one's own.
WRITERS = """
import os, sys, time
from pipeline.plumbing.tracking import Point, Store, library
library()
writers = []
for number in range(8):
    writers.append(os.fork())
    if not writers[-1]:
        store = Store()
        experiment = store.experiment("digits", {"about": "digits"})
        run = store.start(experiment, f"cell {number}", time.time(), {"fingerprint": str(number)})
        for step in range(1, 13):
            points = [Point(f"val/iou/{index}", step / 100, step, step) for index in range(10)]
            store.log(run, points, {"seed": number}, {"state": "live"})
        store.finish(run, time.time())
        os._exit(0)
print([os.waitstatus_to_exitcode(os.waitpid(each, 0)[1]) for each in writers])
"""

# Each in a folder of its own, as in a clone that lies there.
FOLDERS = ["a?b", "a%20b", "ä;& '#b"]
CLONES = f"""
import os, time
from pathlib import Path
from pipeline.plumbing.tracking import Store, library
library()
writers = []
for name in {FOLDERS}:
    writers.append(os.fork())
    if not writers[-1]:
        os.mkdir(name)
        os.chdir(name)
        store = Store()
        run = store.start(store.experiment("digits"), "cell", time.time(), {{}})
        Path("cell.json").write_text("of " + name)
        store.add_files(run, Path("cell.json"))
        assert [each.path for each in store.client.list_artifacts(run.info.run_id)] == ["cell.json"]
        os._exit(0)
print([os.waitstatus_to_exitcode(os.waitpid(each, 0)[1]) for each in writers])
"""


def python(root: Path, code: str) -> subprocess.Popen[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=root,
        env={**inherited, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_eight_write_at_once_to_a_store_that_is_not_there_yet(tmp_path):
    with python(tmp_path, WRITERS) as process:
        said, complained = process.communicate(timeout=300)
    assert (said, complained) == (f"{[0] * 8}\n", "")
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    (experiment,) = (each for each in client.search_experiments() if each.name == "digits")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in runs) == [f"cell {number}" for number in range(8)]
    for run in runs:
        assert [point.step for point in client.get_metric_history(run.info.run_id, "val/iou/9")] == [*range(1, 13)]
    assert [file.name for file in tmp_path.glob("*mlflow.db*")] == ["mlflow.db"]


def test_a_store_lies_in_a_clone_of_any_name_with_its_artifacts(tmp_path):
    """And nothing is made beside it."""
    with python(tmp_path, CLONES) as process:
        said, complained = process.communicate(timeout=300)
    assert (said, complained) == (f"{[0] * len(FOLDERS)}\n", "")
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(FOLDERS)
    for name in FOLDERS:
        assert (tmp_path / name / "mlflow.db").is_file()
        (artifact,) = (tmp_path / name / "mlartifacts").rglob("cell.json")
        assert artifact.read_text() == f"of {name}"


def test_a_database_whose_making_was_killed_is_made_by_the_next(tmp_path):
    """What MLflow's migrations leave when they are broken off, it could never use again."""
    make = "from pipeline.plumbing.tracking import Store; print(len(Store().client.search_experiments()))"
    with python(tmp_path, make) as process:
        while not (begun := list(tmp_path.glob("*mlflow.db*"))) or begun[0].stat().st_size < 50_000:
            time.sleep(0.01)
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "mlflow.db").exists()
    with python(tmp_path, make) as process:
        assert process.communicate(timeout=300) == ("1\n", "")
    assert [file.name for file in tmp_path.glob("*mlflow.db*")] == ["mlflow.db"]


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("store"))
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return Store()


@pytest.fixture
def counted(store, monkeypatch) -> list[int]:
    """How many points went in each call that logs."""
    calls, log_batch = [], store.client.log_batch
    monkeypatch.setattr(
        store.client,
        "log_batch",
        lambda run, metrics, **rest: (calls.append(len(metrics)), log_batch(run, metrics, **rest)),
    )
    return calls


def test_more_points_than_mlflow_takes_at_once_are_all_logged(store, counted):
    run = store.start(store.experiment("many"), "run", 0.0, {"fingerprint": "a"})
    store.log(run, [Point("loss", float(step), step, step) for step in range(1700)], {"seed": 0}, {"content": "all"})
    assert counted == [800, 800, 100]
    (found,) = store.runs(store.experiment("many"), "a")
    assert (found.data.params, found.data.tags["content"]) == ({"seed": "0"}, "all")
    assert len(store.client.get_metric_history(run.info.run_id, "loss")) == 1700


def test_what_a_run_has_already_is_not_logged_again(store, counted):
    run = store.start(store.experiment("once"), "run", 0.0, {"fingerprint": "a", "state": "live"})
    store.log(run, [Point("loss", 0.5, 1, 1.0)], {"seed": 0})
    (run,) = store.runs(store.experiment("once"))
    assert store.missing(run, [Point("loss", 0.5, 1, 1.0), Point("loss", 0.4, 2, 2.0)]) == [Point("loss", 0.4, 2, 2.0)]
    counted.clear()
    store.log(run, [], {"seed": 0}, {"state": "live"})
    assert counted == []
    store.log(run, [], {"seed": 0}, {"state": "current"})
    assert counted == [0]


def test_a_deleted_experiment_comes_back(store):
    place = store.experiment("gone")
    store.client.delete_experiment(place)
    assert store.experiment("gone", {"about": "it"}) == place
    assert store.client.get_experiment(place).tags["about"] == "it"


LOGIN, QUERY = "SECRETUSER:SECRETWORD@", "?token=SECRETTOKEN#SECRETMARK"


class Elsewhere(BaseHTTPRequestHandler):
    """Sends everyone to an address with secrets where nobody answers."""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", f"http://{LOGIN}127.0.0.1:9/y{QUERY}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def moved() -> Iterator[str]:
    """Host and port of a server that redirects."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    "uri",
    [
        f"http://{LOGIN}127.0.0.1:9/x{QUERY}",
        f"http://{LOGIN}MOVED",
        f"foo://{LOGIN}host/x",
        f"{LOGIN}host:5000",
        f"postgresql://{LOGIN}127.0.0.1:9/db{QUERY}",
        f"sqlite:////dev/null/mlflow.db{QUERY}",
        f"http://{LOGIN}host:99999",
        f"http://{LOGIN}[host",
        f"http://{LOGIN.replace('WORD', '/WORD')}host",
        f"http://{LOGIN}ho\u2100st",
    ],
    ids=["dead", "redirect", "scheme", "no scheme", "database", "file", "port", "brackets", "slash", "sign"],
)
def test_no_secret_of_the_address_is_told_with_a_failure(tmp_path, monkeypatch, moved, uri):
    """Nor by MLflow, requests and SQLAlchemy, which repeat it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.replace("MOVED", moved))
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError) as error, failures_explained():
        Store().experiment("digits")
    assert "SECRET" not in str(error.value)
    assert "MLFLOW_TRACKING_URI" in str(error.value)


def test_nothing_is_written_where_another_clone_keeps_its_artifacts(store, tmp_path):
    """In a store that is not this clone's own, which is therefore left as it is."""
    place = tmp_path / "mlartifacts"
    experiment = store.client.create_experiment("shared", artifact_location=place.as_uri())
    with pytest.raises(UserError, match=f"'shared' has its artifacts in {place}: .* Rename the experiment"):
        store.experiment("shared", {"about": "it"})
    assert store.client.get_experiment(experiment).tags.get("about") is None
    assert not place.exists()
    store.client.rename_experiment(experiment, "theirs")
    assert store.experiment("shared") != experiment


def test_a_place_that_was_chosen_for_artifacts_is_kept(store, tmp_path):
    chosen = store.client.create_experiment("chosen", artifact_location=(tmp_path / "pictures").as_uri())
    assert store.experiment("chosen") == chosen

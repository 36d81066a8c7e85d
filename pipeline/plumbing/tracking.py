"""MLflow. The one module that imports it.

MLflow is a view of the files: `LiveRun` shows a training while it runs and may fail without harm; `Store` is what
`publish` uses to make MLflow show what the files say. Runs are found again by tags, never by an id kept in a file.
"""

import os
import queue
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

from pipeline.plumbing.cells import Cell
from pipeline.plumbing.errors import UserError

KEY = "fingerprint"  # tag that says which files a run shows
PATIENCE = 20  # seconds that the end of a training waits for a slow store


def tracking_uri() -> str:
    """`MLFLOW_TRACKING_URI`, by default the SQLite file of this project."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{Path('mlflow.db').resolve()}"


class Store:
    """The runs of this project in one MLflow store. Raises MLflow's own errors where the store cannot be reached."""

    def __init__(self) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # a dead server is not worth minutes
        import mlflow
        from mlflow.entities import Metric, Param, RunTag

        self.Metric, self.Param, self.RunTag = Metric, Param, RunTag
        self.client = mlflow.MlflowClient(tracking_uri())

    def experiment(self, name: str, note: str = "") -> str:
        """Id of the experiment of that name, made if there is none."""
        found = self.client.get_experiment_by_name(name)
        if found and found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        if found is None:
            local = tracking_uri().startswith("sqlite")
            place = Path("mlartifacts").resolve().as_uri() if local else None
            return self.client.create_experiment(name, artifact_location=place, tags={"mlflow.note.content": note})
        if note:
            self.client.set_experiment_tag(found.experiment_id, "mlflow.note.content", note)
        return found.experiment_id

    def runs(self, experiment: str) -> list[Any]:
        """All runs of an experiment that are not deleted."""
        found, token = [], None
        while True:
            page = self.client.search_runs([experiment], max_results=1000, page_token=token)
            found.extend(page)
            token = page.token
            if not token:
                return found

    def start(self, experiment: str, name: str, started: float) -> Any:
        """A new run. `started` in seconds since 1970, as all times here."""
        return self.client.create_run(experiment, start_time=_milliseconds(started), run_name=name)

    def describe(self, run: Any, tags: dict[str, str], params: dict[str, Any]) -> None:
        """Set tags and params; params that the run has already are left, since MLflow never changes one."""
        new = [self.Param(key, str(value)) for key, value in params.items() if key not in run.data.params]
        self.client.log_batch(run.info.run_id, params=new, tags=[self.RunTag(*tag) for tag in tags.items()])

    def log(self, run: Any, metrics: dict[str, float], step: int, at: float) -> None:
        points = [self.Metric(key, value, _milliseconds(at), step) for key, value in metrics.items()]
        self.client.log_batch(run.info.run_id, metrics=points)

    def complete(self, run: Any, points: Iterable[tuple[str, float, int, float]]) -> None:
        """Log the points (key, value, step, time) that the run does not have yet: logging one again would double it."""
        points = list(points)
        known = {
            (key, point.step)
            for key in {key for key, *_ in points} & run.data.metrics.keys()
            for point in self.client.get_metric_history(run.info.run_id, key)
        }
        missing = [
            self.Metric(key, value, _milliseconds(at), step)
            for key, value, step, at in points
            if (key, step) not in known
        ]
        for start in range(0, len(missing), 1000):  # the most that MLflow takes at once
            self.client.log_batch(run.info.run_id, metrics=missing[start : start + 1000])

    def add_files(self, run: Any, directory: Path) -> None:
        """Copy what a directory holds into the artifacts of a run."""
        self.client.log_artifacts(run.info.run_id, str(directory))

    def add_dataset(self, run: Any, name: str, digest: str, source: str) -> None:
        """Record the dataset that a run rests on, by its digest (at most 36 characters)."""
        from mlflow.data.code_dataset_source import CodeDatasetSource
        from mlflow.data.meta_dataset import MetaDataset
        from mlflow.entities import Dataset, DatasetInput, InputTag

        described = MetaDataset(CodeDatasetSource(tags={"source": source}), name=name, digest=digest).to_dict()
        entity = Dataset(**{key: described[key] for key in ("name", "digest", "source_type", "source")})
        context = InputTag("mlflow.data.context", "train, val, test")
        self.client.log_inputs(run.info.run_id, [DatasetInput(entity, [context])])

    def finish(self, run: Any, ended: float, status: str = "FINISHED") -> None:
        self.client.set_terminated(run.info.run_id, status, _milliseconds(ended))

    def delete(self, run: Any) -> None:
        self.client.delete_run(run.info.run_id)


class LiveRun:
    """Shows one training in MLflow while it runs.

    A thread does the talking, so neither a slow nor a dead store ever holds training up; the first failure prints one
    warning and ends the showing. What is missing then, `publish` adds from the files.
    """

    def __init__(self, facts: dict[str, Any], started: float) -> None:
        """`facts` as in cell.json."""
        self.facts, self.started = facts, started
        self.waiting: queue.SimpleQueue[tuple[dict[str, float], int, float] | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> Self:
        return self

    def log(self, metrics: dict[str, float], step: int, at: float) -> None:
        self.waiting.put((metrics, step, at))
        if not self.thread.ident:  # only now, since a thread beside the fork of loader workers may hang them
            self.thread.start()

    def __exit__(self, *_: object) -> None:
        if not self.thread.ident:
            return
        self.waiting.put(None)
        self.thread.join(PATIENCE)
        if self.thread.is_alive():
            _warn(f"no answer from {tracking_uri()} in {PATIENCE} s")

    def _show(self) -> None:
        try:
            store, cell = Store(), Cell(**self.facts["cell"])
            experiment = store.experiment(cell.dataset)
            for run in store.runs(experiment):
                if run.data.tags.get(KEY) == self.facts["fingerprint"]:
                    store.delete(run)  # the same cell, trained again
            run = store.start(experiment, cell.name, self.started)
            store.describe(run, {**cell_tags(self.facts), "state": "live"}, {})
            while (entry := self.waiting.get()) is not None:
                store.log(run, *entry)
        except Exception as reason:  # whatever it is, it must not stop a training
            _warn(_first_line(reason))


def make_experiments(names: Iterable[str]) -> None:
    """Make the experiments, and the store if there is none, before several trainings would do it at once.

    Prints a warning if that fails, since no training needs them.
    """
    try:
        for name in names:
            Store().experiment(name)
    except Exception as reason:  # as in LiveRun
        _warn(_first_line(reason))


@contextmanager
def failures_explained() -> Iterator[None]:
    """Turns the errors of a store that is missing, broken or not to be reached into a UserError."""
    try:
        yield
    except Exception as reason:
        of_the_store = type(reason).__module__.startswith(("mlflow", "sqlalchemy", "alembic", "requests"))
        if not of_the_store and not isinstance(reason, OSError | ImportError):
            raise
        raise UserError(
            f"MLflow at {tracking_uri()} cannot be used: {_first_line(reason)}. All results are safe in files; set "
            "MLFLOW_TRACKING_URI to a store that works, then run `make publish`."
        ) from None


def cell_tags(facts: dict[str, Any]) -> dict[str, str]:
    """Tags by which the run of a cell is found, grouped and filtered."""
    cell = Cell(**facts["cell"])
    reused = {"weights_of": facts["weights_of"]} if facts.get("status") == "reused" else {}
    return {
        "kind": "cell",
        KEY: facts["fingerprint"],
        "dataset": cell.dataset,
        "model": cell.model,
        "loss": cell.loss,
        "strategy": cell.strategy,
        "seed": str(cell.seed),
        "dvc.stage": cell.stage,
        "data.digest": facts["data_digest"],
        **reused,
    }


def _warn(reason: str) -> None:
    print(f"warning: MLflow: {reason}. Training is not affected; `make publish` adds the run later.", file=sys.stderr)


def _first_line(reason: Exception) -> str:
    return next(iter(str(reason).splitlines()), type(reason).__name__).rstrip(".")


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)

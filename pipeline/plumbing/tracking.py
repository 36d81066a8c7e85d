"""MLflow. The one module that imports it.

MLflow is a view of the files. Runs and models are found again by tags, never by an id kept in a file.
"""

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import numpy as np

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.messages import shown, told
from pipeline.plumbing.tracking_file import ARTIFACTS, FILE, address_of, new_file, other_clone, trust_memory

KEY = "fingerprint"  # tag that says which files a run shows
PATIENCE = 20  # seconds that a server may take to answer, and that a training that has ended waits for its view
AT_ONCE = 800  # points in one call; MLflow takes 1000 points, params and tags together
SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",  # what goes wrong is raised, and told once by whoever catches it
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": str(PATIENCE),
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # a dead server is not worth minutes
}


class Point(NamedTuple):
    """One value of a metric."""

    key: str
    value: float
    step: int
    at: float
    """Seconds since 1970, as all times here."""
    of_model: str | None = None
    """Id of a model of which it is a metric too, measured on the `dataset`."""
    dataset: tuple[str | None, str | None] = (None, None)
    """Name and digest."""


def tracking_uri() -> str:
    """`MLFLOW_TRACKING_URI`, by default the SQLite file of this project."""
    return os.environ.get("MLFLOW_TRACKING_URI") or address_of(FILE.resolve())


def library() -> ModuleType:
    """MLflow itself, which takes seconds to import; nothing is asked of a store yet."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it tells of each attempt
    import mlflow

    return mlflow


class Store:
    """The runs of this project in one MLflow store. Raises MLflow's own errors where the store cannot be reached."""

    def __init__(self, new: str | None = None) -> None:
        """Opens `new`, the address that `new_file` gave; without it the store in use, whose file is made if need be."""
        self.mlflow, self.entities, self.new = library(), library().entities, new
        if new:
            trust_memory()
            self.mlflow.set_tracking_uri(new)  # the files of a model are found by it, whatever the client was told
        else:
            with new_file(tracking_uri()) as empty:
                if empty:
                    self.mlflow.MlflowClient(empty).search_experiments()
        self.client = self.mlflow.MlflowClient(new or tracking_uri())

    def experiment(self, name: str, tags: Mapping[str, str] | None = None) -> str:
        """Id of the experiment of that name, made if there is none, with these tags.

        Raises UserError if its artifacts would be written into another clone.
        """
        found = self.client.get_experiment_by_name(name) or self._new_experiment(name)
        if place := other_clone(found.artifact_location):
            raise UserError(
                f"MLflow's experiment '{name}' has its artifacts in {place}: another clone's, or this one's before it "
                "was moved. Nothing is written there. Rename the experiment, or set MLFLOW_TRACKING_URI to another "
                "store, then run `make publish`."
            )
        if found.lifecycle_stage == "deleted":
            self.client.restore_experiment(found.experiment_id)
        for key, value in (tags or {}).items():
            if found.tags.get(key) != value:
                self.client.set_experiment_tag(found.experiment_id, key, value)
        return found.experiment_id

    def _new_experiment(self, name: str) -> Any:
        place = None if tracking_uri().startswith("http") else ARTIFACTS.resolve().as_uri()
        try:
            self.client.create_experiment(name, artifact_location=place)
        except self.mlflow.MlflowException as error:  # another process was faster
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return self.client.get_experiment_by_name(name)

    def runs(self, experiment: str, key: str | None = None) -> list[Any]:
        """The runs of an experiment that are not deleted: all, or those that show the files with fingerprint `key`."""
        only = f"tags.{KEY} = '{key}'" if key else ""
        return self.every(lambda token: self.client.search_runs([experiment], only, max_results=1000, page_token=token))

    def start(self, experiment: str, name: str, started: float, tags: Mapping[str, str]) -> Any:
        """A new run."""
        return self.client.create_run(experiment, _milliseconds(started), dict(tags), run_name=name)

    def log(
        self,
        run: Any,
        points: Iterable[Point] = (),
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Log points, params and then tags, in one call if they are not too many, and in none if there is nothing new.

        Params that the run has already are left, since MLflow never changes one.
        """
        metrics = [self._metric(point) for point in points]
        new = {key: value for key, value in (params or {}).items() if key not in run.data.params}
        changed = {**(tags or {})}.items() - run.data.tags.items()
        for place in range(0, len(metrics) or bool(new or changed), AT_ONCE):
            last = place + AT_ONCE >= len(metrics)
            self.client.log_batch(
                run.info.run_id,
                metrics=metrics[place : place + AT_ONCE],
                params=[] if place else [self.entities.Param(key, str(value)) for key, value in new.items()],
                tags=[self.entities.RunTag(*each) for each in sorted(changed)] if last else [],
            )

    def _metric(self, point: Point) -> Any:
        at = _milliseconds(point.at)
        return self.entities.Metric(point.key, point.value, at, point.step, point.of_model, *point.dataset)

    def missing(self, run: Any, points: Iterable[Point]) -> list[Point]:
        """The points that a run does not have yet: logging one again would double it."""
        points = list(points)
        known = {
            (key, point.step)
            for key in {each.key for each in points} & run.data.metrics.keys()
            for point in self.client.get_metric_history(run.info.run_id, key)
        }
        return [each for each in points if (each.key, each.step) not in known]

    def add_files(self, run: Any, *files: Path) -> None:
        """Copy files into the artifacts of a run."""
        for file in files:
            self.client.log_artifact(run.info.run_id, str(file))

    def add_picture(self, run: Any, key: str, picture: np.ndarray, at: float) -> None:
        """Log a picture `h w 3` uint8 for the image grid, which shows those of several runs side by side."""
        self.client.log_image(run.info.run_id, picture, key=key, step=0, timestamp=_milliseconds(at), synchronous=True)

    def add_dataset(self, run: Any, name: str, digest: str, source: str) -> None:
        """Record the dataset that a run rests on, by its digest (at most 36 characters)."""
        from mlflow.data.code_dataset_source import CodeDatasetSource
        from mlflow.data.meta_dataset import MetaDataset

        described = MetaDataset(CodeDatasetSource(tags={"source": source}), name=name, digest=digest).to_dict()
        fields = {key: described[key] for key in ("name", "digest", "source_type", "source")}
        context = self.entities.InputTag("mlflow.data.context", "train, val, test")
        given = self.entities.DatasetInput(self.entities.Dataset(**fields), [context])
        self.client.log_inputs(run.info.run_id, [given])

    def finish(self, run: Any, ended: float, status: str = "FINISHED") -> None:
        self.client.set_terminated(run.info.run_id, status, _milliseconds(ended))

    def delete(self, run: Any) -> None:
        self.client.delete_run(run.info.run_id)

    def every(self, page_of: Callable[[str | None], Any]) -> list[Any]:
        """All that a search finds, which MLflow hands out in pages: `page_of` their token."""
        found, token = [], None
        while True:
            page = page_of(token)
            found.extend(page)
            token = page.token
            if not token:
                return found


@contextmanager
def failures_explained() -> Iterator[None]:
    """Turns the errors of a store that is missing, broken or not to be reached into a UserError."""
    uri = tracking_uri()  # now: a new store is opened under a temporary name, which MLflow keeps in the environment
    _check_uri(uri)
    try:
        yield
    except Exception as reason:
        of_the_store = type(reason).__module__.startswith(("mlflow", "sqlalchemy", "sqlite3", "alembic", "requests"))
        if not of_the_store and not isinstance(reason, OSError | ImportError):
            raise
        raise UserError(
            f"MLflow at {shown(uri)} cannot be used: {first_line(reason)}. All results are safe in files; set "
            "MLFLOW_TRACKING_URI to a store that works, then run `make publish`."
        ) from None


def first_line(reason: Exception) -> str:
    """What an error says, fit to be printed; SQLAlchemy speaks of itself before it names the reason."""
    lines = [line for line in str(reason).splitlines() if not line.startswith("(raised as a result of")]
    return told(next(iter(lines), type(reason).__name__), tracking_uri()).rstrip(".")


def _check_uri(uri: str) -> None:
    try:
        urlsplit(uri if uri.startswith("http") else "").port  # noqa: B018
    except ValueError:  # whose words may hold the password
        raise UserError(f"MLFLOW_TRACKING_URI: {shown(uri)} is no address, such as http://HOST:5000.") from None


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)

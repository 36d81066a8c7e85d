"""One experiment of MLflow while it is made to show the files."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Self

from pipeline.mlflow_view.names import PARENT
from pipeline.plumbing.tracked_models import delete_models
from pipeline.plumbing.tracking import KEY, Point, Store

CONTENT, STATE = "content", "state"  # tags: digest of what a run shows; live, current or superseded


class Exhibit(NamedTuple):
    """What one run is to show."""

    key: str
    """The fingerprint by which the run is found."""
    name: str
    started: float
    tags: Mapping[str, str]
    content: str
    """Digest of all that `fill` logs and returns."""
    fill: Callable[[Store, Any], tuple[Iterable[Point], Mapping[str, Any]]]
    """Logs what belongs to the run, finishes it, and returns its points and params."""

    def below(self, parent: str | None) -> Self:
        """The same, below the run with that id if there is one."""
        return self._replace(tags={**self.tags, PARENT: parent}) if parent else self


class Showcase:
    """The runs of one dataset by their keys. Those that were not shown when it closes are superseded."""

    def __init__(self, store: Store, experiment: str, runs: dict[str, Any]) -> None:
        self.store, self.experiment, self.runs = store, experiment, runs
        self.shown: set[str] = set()

    @classmethod
    def open(cls, store: Store, name: str, tags: Mapping[str, str]) -> Self:
        """With all runs that the experiment of that name has; it is made if there is none."""
        made = cls(store, store.experiment(name, tags), {})
        for run in store.runs(made.experiment):
            if KEY in run.data.tags and made.runs.setdefault(run.data.tags[KEY], run) is not run:
                store.delete(run)  # of two, which two processes began at once
        return made

    def has(self, exhibit: Exhibit) -> bool:
        """Whether a run shows it already."""
        run = self.runs.get(exhibit.key)
        return run is not None and run.data.tags.get(CONTENT) == exhibit.content

    def shows(self, exhibit: Exhibit) -> bool:
        """The same; and if so, its tags are brought up to date."""
        if self.has(exhibit):
            self.store.log(self.runs[exhibit.key], tags={**exhibit.tags, STATE: "current"})
            self.shown.add(exhibit.key)
        return self.has(exhibit)

    def show(self, exhibit: Exhibit) -> Any:
        """The run that shows it: the one that does already, or the one that showed a training live, completed, or a new
        one in the place of any other, since what MLflow has logged cannot be changed."""
        if self.shows(exhibit):
            return self.runs[exhibit.key]
        store, run, tags = self.store, self.runs.get(exhibit.key), {**exhibit.tags, KEY: exhibit.key}
        if run and run.data.tags.get(STATE) != "live":
            self._withdraw(run)
            store.delete(run)
            run = None
        run = run or store.start(self.experiment, exhibit.name, exhibit.started, tags)
        points, params = exhibit.fill(store, run)
        # The tag of the content is written last: a publication that was broken off is done again.
        store.log(run, store.missing(run, points), params, {**tags, CONTENT: exhibit.content, STATE: "current"})
        self.take(exhibit.key, run)
        return run

    def take(self, key: str, run: Any) -> None:
        """Count as shown what another process has shown."""
        self.runs[key] = run
        self.shown.add(key)

    def close(self) -> None:
        """Mark the runs that belong to nothing in params.yaml any more."""
        for key in self.runs.keys() - self.shown:
            run = self.runs[key]
            # A summary that has lost its entry among the models is made anew when it is wanted again.
            changed = {CONTENT: ""} if self._withdraw(run) else {}
            self.store.log(run, tags={STATE: "superseded", **changed})

    def _withdraw(self, run: Any) -> bool:
        """Take the entry of a summary away from the models, which are a leaderboard; of no other run."""
        if run.data.tags.get("kind") != "summary" or run.data.tags.get(STATE) == "superseded":
            return False
        delete_models(self.store, run)
        return True

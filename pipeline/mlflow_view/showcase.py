"""One experiment of MLflow while it is made to show the files."""

from collections.abc import Callable, Mapping
from typing import Any

from pipeline.plumbing.tracked_models import delete_models
from pipeline.plumbing.tracking import KEY, Store

CONTENT, STATE = "content", "state"  # tags: digest of what a run shows; live, current or superseded


class Showcase:
    """The runs of one dataset, each found by the tag `KEY`. Those that were not shown when it closes are superseded."""

    def __init__(self, store: Store, name: str, tags: Mapping[str, str]) -> None:
        self.store = store
        self.experiment = store.experiment(name, tags)
        self.runs: dict[str, Any] = {}
        self.shown: set[str] = set()
        for run in store.runs(self.experiment):
            if KEY in run.data.tags and self.runs.setdefault(run.data.tags[KEY], run) is not run:
                store.delete(run)  # of two, which two processes began at once

    def show(
        self,
        key: str,
        content: str,
        name: str,
        started: float,
        tags: Mapping[str, str],
        fill: Callable[[Any], None],
    ) -> Any:
        """The run of that key, showing the `content`, a digest of everything that `fill` logs.

        One that shows it already is left alone. One that showed a training live is completed. Any other is replaced:
        what MLflow has logged cannot be changed.
        """
        self.shown.add(key)
        tags = {**tags, KEY: key}
        run = self.runs.get(key)
        if run and run.data.tags.get(CONTENT) != content and run.data.tags.get(STATE) != "live":
            self._withdraw(run)
            self.store.delete(run)
            run = None
        run = self.runs[key] = run or self.store.start(self.experiment, name, started, tags)
        if run.data.tags.get(CONTENT) != content:
            fill(run)
        # Last: a publication that was broken off is done again.
        self.store.log(run, tags={**tags, CONTENT: content, STATE: "current"})
        return run

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

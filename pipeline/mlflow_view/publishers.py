"""Processes that help to show many cells: what takes time is Python's own work for each call to MLflow."""

import multiprocessing
import os
import signal
from collections.abc import Iterable
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from typing import Any, Self

from tqdm import tqdm

from pipeline.mlflow_view.showcase import Exhibit, Showcase
from pipeline.plumbing.lifeline import die_with_parent
from pipeline.plumbing.machine import cores
from pipeline.plumbing.tracking import Store, failures_explained, library

ALONE = 24  # exhibits; for fewer, loading the libraries in each process takes longer than showing them
MOST = 8  # processes: more would only wait for the store

_store: Store | None = None


class Publishers:
    """As many processes as there are cores, while many exhibits are to be shown; otherwise none."""

    def __init__(self, showcase: Showcase, exhibits: int) -> None:
        self.showcase = showcase
        self.given: list[Future[tuple[str, Any]]] = []
        self.processes = min(cores(), MOST) if exhibits > ALONE else 0
        self.pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        if self.processes:
            # New processes, not forks: a connection to a database must not be used on both sides of a fork.
            context = multiprocessing.get_context("spawn")
            self.pool = ProcessPoolExecutor(self.processes, context, initializer=_begin, initargs=(os.getpid(),))
            for _ in range(self.processes):
                self.pool.submit(library)  # which takes seconds, in which there is other work
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        """Wait until all are shown; after a failure, what has not begun does not begin."""
        if self.pool is None:
            return
        try:
            if not failure:
                shown = as_completed(self.given)
                for done in tqdm(shown, total=len(self.given), unit="run", dynamic_ncols=True, disable=None):
                    self.showcase.take(*done.result())
        finally:
            self.pool.shutdown(cancel_futures=True)

    def show(self, exhibits: Iterable[Exhibit]) -> None:
        """Show these, or have them shown by another process, which may go on when this returns."""
        showcase = self.showcase
        for each in exhibits:
            # The first is shown here: it may bring a new dataset, which no two processes must make at once.
            if self.pool is None or not showcase.shown:
                showcase.show(each)
            elif not showcase.shows(each):
                new, older = showcase.store.new, showcase.runs.get(each.key)
                self.given.append(self.pool.submit(_show, new, showcase.experiment, each, older))


def _begin(parent: int) -> None:
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent


def _show(new: str | None, experiment: str, exhibit: Exhibit, older: Any) -> tuple[str, Any]:
    """In another process: show it, in the place of an older run if there is one; its key and its run."""
    global _store
    with failures_explained():
        _store = _store or Store(new)
        return exhibit.key, Showcase(_store, experiment, {exhibit.key: older} if older else {}).show(exhibit)

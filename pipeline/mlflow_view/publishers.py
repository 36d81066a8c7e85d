"""Processes that help to show many cells: what takes time is Python's own work for each call to MLflow."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, Self

from tqdm import tqdm

from pipeline.mlflow_view.showcase import Exhibit, Showcase
from pipeline.plumbing.lifeline import die_with_parent
from pipeline.plumbing.tracking import Store, failures_explained, library

ALONE = 24  # exhibits; for fewer, loading the libraries in each process takes longer than showing them
MOST = 8  # processes: more would only wait for the store

_store: Store | None = None


class Publishers:
    """As many processes as there are cores, while there are many exhibits to show; otherwise none."""

    def __init__(self, exhibits: int) -> None:
        self.processes = min(os.cpu_count() or 1, MOST) if exhibits > ALONE else 0
        self.pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        if self.processes:
            # New processes, not forks: a connection to a database must not be used on both sides of a fork.
            context = multiprocessing.get_context("spawn")
            self.pool = ProcessPoolExecutor(self.processes, context, initializer=_begin, initargs=(os.getpid(),))
            for _ in range(self.processes):
                self.pool.submit(library)  # which takes seconds, in which there is other work
        return self

    def __exit__(self, *_: object) -> None:
        if self.pool:
            self.pool.shutdown(cancel_futures=True)  # after a failure, what has not begun must not begin

    def show(self, showcase: Showcase, exhibits: Sequence[Exhibit], meanwhile: Callable[[], None]) -> None:
        """Show all, the first of them before anything else, and do what there is to do meanwhile."""
        waiting = [each for each in exhibits if not showcase.shows(each)]
        for each in waiting[:1]:
            showcase.show(each)  # alone: it may bring a new dataset, which no two processes must make at once
        if self.pool is None:
            for each in _progress(waiting[1:]):
                showcase.show(each)
            return meanwhile()
        given = [
            self.pool.submit(_show, showcase.experiment, each, showcase.runs.get(each.key)) for each in waiting[1:]
        ]
        meanwhile()
        for done in _progress(as_completed(given), len(given)):
            showcase.take(*done.result())


def _begin(parent: int) -> None:
    die_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent


def _show(experiment: str, exhibit: Exhibit, older: Any) -> tuple[str, Any]:
    """In another process: show it, in the place of an older run if there is one; its key and its run."""
    global _store
    with failures_explained():
        _store = _store or Store()
        return exhibit.key, Showcase(_store, experiment, {exhibit.key: older} if older else {}).show(exhibit)


def _progress(exhibits: Any, total: int | None = None) -> Any:
    return tqdm(exhibits, total=total, unit="run", dynamic_ncols=True, disable=None)

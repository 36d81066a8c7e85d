"""Shows trainings in MLflow while they run: follows their journals, in a process of its own.

    python -m pipeline.live CELL    until the journal ends, the training that writes it is gone, or stdin is closed
    python -m pipeline.live         every journal that is begun from now on, until stdin is closed

A training starts the first for itself, `pipeline.run` the second for all (`pipeline/plumbing/live_view.py`). The first
failure of the store is told; after any, what waits for a run is tried again a minute later, and left to `publish` if
the training ends before. A run that shows the same files already is deleted and begun anew, since a training that goes
on from a checkpoint writes its whole journal anew.
"""

import argparse
import os
import select
import sys
import time
from collections import deque
from collections.abc import Iterable
from typing import Any

from pipeline.mlflow_view.names import cell_name, cell_params, cell_tags
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.errors import run_stage
from pipeline.plumbing.journal import JOURNALS, Follower
from pipeline.plumbing.lifeline import die_with_parent, runs
from pipeline.plumbing.live_view import tell_failure
from pipeline.plumbing.messages import shown
from pipeline.plumbing.tracking import Point, Store, first_line, library, tracking_uri

EVERY = 0.5  # seconds between two looks at the journals
PAUSE = 60  # seconds after a failure before the same run is tried again


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cell", nargs="?", help="DATASET-MODEL-LOSS-STRATEGY-SEED; without it, all that begin now")
    parser.add_argument("--parent", type=int, help="the process with which it ends; default: its parent")
    options = parser.parse_args()
    die_with_parent(options.parent)
    cell = options.cell
    os.nice(5)  # training comes first
    known = {} if cell else all_showings({})
    for showing in known.values():
        showing.follower.new()  # what was begun before is not shown
    library()
    print(f"Trainings are shown in MLflow at {shown(tracking_uri())}.", flush=True)  # the sign that `LiveView` may wait
    if cell:
        follow_one(Showing(cell))
    else:
        follow_all(known)


class Showing:
    """One training: its run in MLflow, and the lines of its journal that the run does not show yet."""

    def __init__(self, cell: str) -> None:
        self.follower = Follower(cell)
        self.waiting: deque[dict[str, Any]] = deque()
        self.run: Any = None
        self.process: int | None = None
        self.ended = False
        self.not_before = 0.0
        """Of the clock `time.monotonic`; after a failure."""

    def read(self) -> None:
        for line in self.follower.new():
            if line["kind"] == "start":
                self.waiting.clear()
                self.run, self.process, self.ended = None, line["process"], False
            self.ended = self.ended or line["kind"] == "end"
            if line["kind"] != "progress" and self.process is not None:
                self.waiting.append(line)

    def send(self, store: Store) -> None:
        """Show all lines that wait; one stays until it is shown, so a failure loses none."""
        while self.waiting:
            self._send_line(store, self.waiting[0])
            self.waiting.popleft()

    def _send_line(self, store: Store, line: dict[str, Any]) -> None:
        if line["kind"] == "start":
            facts, cell = line["facts"], Cell(**line["facts"]["cell"])
            experiment = store.experiment(cell.dataset)
            for older in store.runs(experiment, facts["fingerprint"]):
                store.delete(older)
            tags = {**cell_tags(facts), "state": "live"}
            self.run = store.start(experiment, cell_name(cell), line["started"], tags)
            store.log(self.run, params=cell_params(facts))
        elif line["kind"] == "point":
            store.log(self.run, [Point(key, value, line["step"], line["at"]) for key, value in line["metrics"].items()])
        else:
            store.finish(self.run, time.time(), "FINISHED" if line["status"] == "finished" else "FAILED")

    @property
    def over(self) -> bool:
        """Whether nothing more will come."""
        return self.ended or (self.process is not None and not runs(self.process))


class Screen:
    """The store, reached when it is first needed; what fails is told once."""

    def __init__(self) -> None:
        self.store: Store | None = None
        self.told = False

    def show(self, showings: Iterable[Showing]) -> None:
        """Show what has come since the last call. The failure of one keeps no other from being shown."""
        for showing in showings:
            showing.read()
            if not showing.waiting or time.monotonic() < showing.not_before:
                continue
            try:
                self.store = self.store or Store()
                showing.send(self.store)
            except Exception as reason:  # whatever it is, the others go on
                showing.not_before = time.monotonic() + PAUSE
                if not self.told:
                    tell_failure(first_line(reason))
                self.told = True


def follow_one(showing: Showing) -> None:
    screen, over = Screen(), False
    while not over:
        # Asked before the last look, since what came before the end must be seen.
        over = _stdin_is_closed(EVERY) or showing.over
        screen.show([showing])


def follow_all(showings: dict[str, Showing]) -> None:
    screen, over = Screen(), False
    while not over:
        over = _stdin_is_closed(EVERY)
        all_showings(showings)
        screen.show(showings.values())


def all_showings(known: dict[str, Showing]) -> dict[str, Showing]:
    """Adds to the known ones those of new journals."""
    for journal in JOURNALS.glob("*.jsonl"):
        if journal.stem not in known:
            known[journal.stem] = Showing(journal.stem)
    return known


def _stdin_is_closed(wait: float) -> bool:
    return bool(select.select([sys.stdin], [], [], wait)[0]) and not os.read(sys.stdin.fileno(), 1024)


if __name__ == "__main__":
    run_stage(main)

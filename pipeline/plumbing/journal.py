"""What a training says while it runs: lines of JSON in `.cache/journal/<cell>.jsonl`.

The training writes, others read: the table of `pipeline.run`, and `pipeline.live`, which shows it in MLflow. Each line
has a `kind`:
    start     `facts` as in cell.json, `started` in seconds since 1970, `process`
    progress  `iteration` done of `iterations`, `images_per_second`
    point     `metrics`, `step`, `at`
    end       `status`: finished or diverged, `at`; without this line the training was killed, or still runs
A journal is a view, as MLflow is: what cannot be written to it is lost without harm. One that is deleted meanwhile goes
on in a new file, which lacks what was in the old one.
"""

import contextlib
import json
import os
import time
from typing import Any

from pipeline.plumbing.files import CACHE

JOURNALS = CACHE / "journal"
EVERY = 0.5  # seconds between two lines of progress


class Journal:
    """The journal of one training, begun anew."""

    def __init__(self, cell: str, facts: dict[str, Any]) -> None:
        self.path = JOURNALS / f"{cell}.jsonl"
        self._last_progress = 0.0
        self._write("start", "w", facts=facts, started=time.time(), process=os.getpid())

    def progress(self, iteration: int, iterations: int, images_per_second: float) -> None:
        """How far training has come; most calls write nothing."""
        if time.monotonic() - self._last_progress < EVERY:
            return
        self._last_progress = time.monotonic()
        self._write("progress", iteration=iteration, iterations=iterations, images_per_second=images_per_second)

    def point(self, metrics: dict[str, float], step: int, at: float) -> None:
        self._write("point", metrics=metrics, step=step, at=at)

    def end(self, status: str) -> None:
        self._write("end", status=status, at=time.time())

    def _write(self, kind: str, mode: str = "a", **content: Any) -> None:
        with contextlib.suppress(OSError):  # a full disk is met, and explained, where results are written
            JOURNALS.mkdir(parents=True, exist_ok=True)
            with self.path.open(mode, encoding="utf-8") as file:
                file.write(json.dumps({"kind": kind, **content}) + "\n")


class Follower:
    """Reads a journal as it grows, also one that is not there yet or that is begun anew."""

    def __init__(self, cell: str) -> None:
        self.path = JOURNALS / f"{cell}.jsonl"
        self._first = b""
        self._read = 0

    def new(self) -> list[dict[str, Any]]:
        """The whole lines that were added since the call before; all of them if it was begun anew.

        A line that a full disk has cut off is left out, and so is a journal that cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                first = file.readline()
                if first != self._first:  # it names process and time
                    self._first, self._read = first, 0
                file.seek(self._read)
                text = file.read()
        except OSError:
            return []
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        found = []
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):
                found.append(json.loads(line))
        return found

"""How far the stages of a run have come: what the table shows."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from pipeline.running.stage import Result

STATES = ("running", "failed", "diverged", "done", "restored", "waiting")


@dataclass
class Row:
    """One stage. Times are those of the matrix's clock."""

    stage: str
    state: str = "waiting"
    """One of STATES. Restored: DVC took it from its cache or its remote."""
    began: float = 0.0
    seconds: float = 0.0
    """From its begin to its end."""
    iteration: int = 0
    iterations: int = 0
    """0 until the training has told."""
    images_per_second: float = 0.0
    first: tuple[int, float] | None = None
    """The first iteration of which was told, and when: what came before it was no training."""

    def left(self, now: float) -> float | None:
        """Seconds that its training still takes at its speed so far; None while nothing is known."""
        if not self.first or self.iteration <= self.first[0]:
            return None
        return (self.iterations - self.iteration) * (now - self.first[1]) / (self.iteration - self.first[0])


class Matrix:
    """All stages of one run, in their order."""

    def __init__(self, stages: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        self.rows = {stage: Row(stage) for stage in stages}
        self.clock = clock
        self.started = clock()

    def tell(self, stage: str, line: dict[str, Any]) -> None:
        """Take in what a stage tells: that it begins, or how far its training has come, as its journal has it."""
        row = self.rows[stage]
        match line:
            case {"kind": "begin"}:  # on a cluster it may be the second time, after a worker has died
                self.rows[stage] = Row(stage, "running", self.clock())
            case {"kind": "progress"}:
                row.first = row.first or (line["iteration"], self.clock())
                row.iteration, row.iterations = line["iteration"], line["iterations"]
                row.images_per_second = line["images_per_second"]

    def end(self, stage: str, result: Result) -> None:
        row = self.rows[stage]
        row.seconds = result.seconds
        ended = "diverged" if result.diverged else "done" if result.ran else "restored"
        row.state = "failed" if result.code else ended

    def counts(self) -> Counter[str]:
        """How many stages are in each state."""
        return Counter(row.state for row in self.rows.values())

    def stages(self, state: str) -> list[str]:
        return [row.stage for row in self.rows.values() if row.state == state]

    def seconds(self) -> float:
        return self.clock() - self.started

    def left(self) -> float | None:
        """Seconds until all are done, if those that wait take as long as those that ran; None while none can be told.

        As many run at once as do now.
        """
        now = self.clock()
        running = [row for row in self.rows.values() if row.state == "running"]
        known = [(now - row.began + left, left) for row in running if (left := row.left(now)) is not None]
        took = [row.seconds for row in self.rows.values() if row.state in ("done", "diverged")]
        took += [whole for whole, _ in known]
        if not running or not took:
            return None
        typical = sum(took) / len(took)
        soon = sum(left for _, left in known) + sum(
            max(0.0, typical - (now - row.began)) for row in running if row.left(now) is None
        )
        return (soon + typical * self.counts()["waiting"]) / len(running)

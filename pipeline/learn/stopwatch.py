"""How long the parts of a training take."""

import time
from collections import Counter
from collections.abc import Mapping

import torch


class Stopwatch:
    """Sums the seconds of named laps on one device.

    On a GPU, marks are queued with the work and read later: to wait for the device at every lap would slow the training
    that is measured.
    """

    def __init__(self, device: torch.device, before: Mapping[str, float] | None = None) -> None:
        """`before`: seconds of an earlier stopwatch, to which those of this one are added."""
        self._queued = device.type == "cuda"
        self._totals = Counter(before or {})
        self._marks = [("", self._now())]

    def lap(self, name: str) -> None:
        """What was done since the lap before belongs to `name`."""
        self._marks.append((name, self._now()))

    def seconds(self) -> Counter[str]:
        """Total of each name; 0 for a name without a lap. Waits for the device."""
        for (_, before), (name, after) in zip(self._marks, self._marks[1:], strict=False):
            self._totals[name] += self._between(before, after)
        del self._marks[:-1]
        return Counter(self._totals)

    def _now(self) -> float | torch.cuda.Event:
        if not self._queued:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def _between(self, before: float | torch.cuda.Event, after: float | torch.cuda.Event) -> float:
        if not self._queued:
            return after - before
        after.synchronize()
        return before.elapsed_time(after) / 1000

"""The last state of a training that is not finished, from which a killed training goes on."""

import os
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import torch

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import whole

INTERVAL = 30.0  # seconds between two states, unless `BENCHMARK_CHECKPOINT` says otherwise
SHARE = 0.02  # of the time, the most that writing may take


class UnusableState(Exception):
    """Why no training can go on from a state."""


class Checkpoint:
    """A file that holds the newest state of one training, written whole or not at all."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "state.pt"
        self._refused = False
        self.interval = interval()
        self._ended, self._took = time.monotonic(), 0.0
        self._warned = False

    def due(self) -> bool:
        """Whether enough time has passed since the last one: the longer writing takes, the rarer it is done."""
        return time.monotonic() - self._ended >= max(self.interval, self._took / SHARE)

    def write(self, state: dict[str, Any]) -> None:
        """Replace the state. One that cannot be written costs a warning, not the training."""
        started = time.monotonic()
        try:
            with whole(self.path) as part, part.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())  # a machine that loses power must not keep the name without the bytes
        except (OSError, RuntimeError) as reason:  # torch raises the second on a full disk
            if not self._warned:
                print(f"warning: {self.path}: not written ({reason}); a kill now costs more work.", file=sys.stderr)
            self._warned = True
        self._ended = time.monotonic()
        self._took = self._ended - started

    def read(self) -> dict[str, Any] | None:
        """The state on the CPU; None if there is none, if it is damaged, or after `refuse`."""
        if self._refused or not self.path.exists():
            return None
        try:
            with zipfile.ZipFile(self.path) as records:  # torch writes a checksum of each, and never looks at it
                if damaged := records.testzip():
                    raise UnusableState(f"{damaged} is damaged")
            return torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as reason:  # whatever two libraries make of any bytes
            self.refuse(reason)
            return None

    def refuse(self, reason: Exception) -> None:
        """Tell that training starts anew, and read the state no more; the next one takes its place."""
        print(f"warning: {self.path}: cannot be used ({reason}); training starts anew.", file=sys.stderr)
        self._refused = True


def interval() -> float:
    """`BENCHMARK_CHECKPOINT`, in seconds; 0 keeps every iteration, as tests do."""
    text = os.environ.get("BENCHMARK_CHECKPOINT") or str(INTERVAL)
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not seconds >= 0:
        raise UserError(f"BENCHMARK_CHECKPOINT={text}: must be a number of seconds between checkpoints, 0 or more.")
    return seconds

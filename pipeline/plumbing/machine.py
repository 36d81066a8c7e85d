"""What the processes on a machine share: its cores, and things to be done by one at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.plumbing.files import CACHE


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Wait until no other process or thread in this directory is in a block of that name."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

"""The SQLite file of an MLflow store, where there is none yet: filled under a temporary name, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.plumbing.files import whole
from pipeline.plumbing.machine import one_at_a_time


@contextmanager
def new_file(uri: str) -> Iterator[str | None]:
    """The address under which to fill the file of the store at `uri`, which is there, whole, when the block has ended
    without an error. None where there is nothing to make: the file exists, or the store is a server.

    MLflow makes its tables by dozens of migrations; broken off among them, they leave a file that it can never use.
    """
    path = Path(uri.removeprefix("sqlite:///").partition("?")[0])
    if not uri.startswith("sqlite:///") or path.exists():
        yield None
        return
    with one_at_a_time("mlflow"):  # of several trainings that begin at once, one makes it
        if path.exists():
            yield None
            return
        for leftover in path.parent.glob(f".{path.name}.*.part*"):  # of `whole` in a killed process, and its journal
            leftover.unlink()
        with whole(path) as part:
            yield f"sqlite:///{part}"
            with part.open("rb") as file:
                os.fsync(file.fileno())


def trust_memory() -> None:
    """Let this process write to SQLite without waiting for the disk: only for a file that a crash may take away."""
    from sqlalchemy import Engine, event  # late: with MLflow, which takes seconds

    @event.listens_for(Engine, "connect")
    def without_waiting(connection: Any, _: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

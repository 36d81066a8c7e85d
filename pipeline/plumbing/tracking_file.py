"""The SQLite file of an MLflow store and the folder of its artifacts: where they lie, and how the file is made.

MLflow keeps the place of artifacts as an absolute path. In a clone that was moved or copied it names the old place, in
which nothing may be written; the file of this project is then filled anew, and the old one stays beside it.
"""

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from pipeline.plumbing.files import whole
from pipeline.plumbing.machine import one_at_a_time

FILE, ARTIFACTS = Path("mlflow.db"), Path("mlartifacts")
SCHEME = "sqlite:///"
PATIENCE = 20  # seconds to wait for a process that writes to the file, as MLflow does


def address_of(path: Path) -> str:
    """The address of a SQLite file, in which SQLAlchemy decodes `%` and ends the path at `?`.

    MLflow makes the folder of the address as it is written there, not decoded. So where the path holds one of the two,
    the address is relative to the current directory.
    """
    named = os.path.relpath(path) if {"%", "?"} & set(str(path)) else str(path)
    return SCHEME + named.replace("%", "%25").replace("?", "%3F")


def path_at(address: str) -> Path | None:
    """The SQLite file at an address; None for a server, another database, or one in memory."""
    path = unquote(address.removeprefix(SCHEME).partition("?")[0])
    return Path(path) if address.startswith(SCHEME) and path and not path.startswith((":memory:", "file:")) else None


def other_clone(location: str) -> Path | None:
    """The folder of artifacts at `location`, a URI, if it is that of another clone, or of this one at another place.

    None if it is that of this one, or anywhere else, which somebody has chosen.
    """
    place = Path(url2pathname(urlsplit(location).path))
    of_a_clone = location.startswith("file:") and place.name == ARTIFACTS.name
    return place if of_a_clone and place.resolve() != ARTIFACTS.resolve() else None


@contextmanager
def new_file(address: str) -> Iterator[str | None]:
    """The address under which to fill the file of the store at `address`, which is there, whole, when the block has
    ended without an error. None where there is nothing to make: the file exists, or the store is a server.

    MLflow makes its tables by dozens of migrations; broken off among them, they leave a file that it can never use.
    """
    path = path_at(address)
    if path is None or not _to_be_made(path):
        yield None
        return
    with one_at_a_time("mlflow"):  # of several trainings that begin at once, one makes it
        if not _to_be_made(path):
            yield None
            return
        for leftover in path.parent.glob(f".{path.name}.*.part*"):  # of `whole` in a killed process, and its journal
            leftover.unlink()
        with whole(path) as part:
            part.touch()  # where that is not allowed, MLflow would try for two minutes
            yield address_of(part)
            with part.open("rb") as file:
                os.fsync(file.fileno())
            if path.exists():
                _set_aside(path)


def _to_be_made(path: Path) -> bool:
    return not path.exists() or _left_behind(path) is not None


def _left_behind(path: Path) -> Path | None:
    """Where the artifacts of the file lie if it came here from another clone. None for a file that is not this
    project's own: nobody but its owner replaces it.

    Raises sqlite3.Error where the file cannot be read, which MLflow would try for two minutes.
    """
    own = path.resolve() == Path.cwd() / FILE  # not behind a link, which a copy of the clone shares with its original
    with closing(sqlite3.connect(path, PATIENCE)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
        if not own or ("experiments",) not in tables:
            return None
        found = connection.execute("SELECT artifact_location FROM experiments ORDER BY experiment_id").fetchall()
    locations = [location for (location,) in found if location]
    if ARTIFACTS.resolve().as_uri() in locations:  # then others are guests
        return None
    return next(filter(None, map(other_clone, locations)), None)


def _set_aside(path: Path) -> None:
    """Keep the file under the next free name: it may hold runs that no file of this project speaks of."""
    place, number = _left_behind(path), 1
    while (kept := path.with_name(f"{path.name}.moved-{number}")).exists():
        number += 1
    path.rename(kept)
    print(
        f"warning: MLflow: {path.name} has its artifacts in {place}, since this clone was moved or copied. It is kept "
        f"as {kept.name}; `publish` fills a new one.",
        file=sys.stderr,
    )


def trust_memory() -> None:
    """Let this process write to SQLite without waiting for the disk: only for a file that a crash may take away."""
    from sqlalchemy import Engine, event  # late: with MLflow, which takes seconds

    @event.listens_for(Engine, "connect")
    def without_waiting(connection: Any, _: object) -> None:
        connection.execute("PRAGMA synchronous = OFF")

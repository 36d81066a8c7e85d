"""A SQLite file that is filled under a temporary name."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.plumbing.tracking_file import new_file


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(address: str, table: str) -> None:
    with closing(sqlite3.connect(address.removeprefix("sqlite:///"))) as file:
        file.execute(f"CREATE TABLE {table} (one)")


def tables(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as file:
        return [name for (name,) in file.execute("SELECT name FROM sqlite_master")]


def test_the_file_is_there_when_the_block_has_ended(here):
    with new_file(f"sqlite:///{here}/store.db?timeout=5") as new:
        fill(new, "runs")
        assert not (here / "store.db").exists()
    assert tables(here / "store.db") == ["runs"]
    assert [file.name for file in here.glob("*store.db*")] == ["store.db"]


def test_a_failure_leaves_no_file_and_the_next_begins_anew(here):
    with pytest.raises(KeyboardInterrupt), new_file(f"sqlite:///{here}/store.db") as new:
        fill(new, "half")
        raise KeyboardInterrupt
    assert not (here / "store.db").exists()
    with new_file(f"sqlite:///{here}/store.db") as new:
        fill(new, "runs")
    assert tables(here / "store.db") == ["runs"]


@pytest.mark.parametrize("uri", ["http://127.0.0.1:5000", "postgresql://somewhere/runs", "sqlite:///{here}/there.db"])
def test_nothing_is_made_where_there_is_something(here, uri):
    fill(f"sqlite:///{here}/there.db", "runs")
    with new_file(uri.format(here=here)) as new:
        assert new is None
    assert tables(here / "there.db") == ["runs"]


def test_of_two_that_begin_at_once_one_makes_it(here):
    found, inside = [], threading.Event()

    def other() -> None:
        inside.wait()
        with new_file(f"sqlite:///{here}/store.db") as new:
            found.append(new)

    beside = threading.Thread(target=other)
    beside.start()
    with new_file(f"sqlite:///{here}/store.db") as new:
        inside.set()
        beside.join(0.3)
        assert found == [], "it waits"
        fill(new, "runs")
    beside.join()
    assert found == [None]
    assert tables(here / "store.db") == ["runs"]

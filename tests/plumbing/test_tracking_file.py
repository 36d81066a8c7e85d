"""The SQLite file of a store: its address, how it is made, and when it is made anew."""

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from pipeline.plumbing.tracking_file import address_of, new_file, other_clone, path_at

ODD = [
    "a b",
    "a?b",
    "a%20b",
    "100%",
    "a#b",
    "ä;&'b",
    'q"`$(x)',
    "a:b@c",
    "a\\b",
    "a\nb",
    "[a]*{b}",
    "~",
    "a+b=c",
    "é猫",
]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fill(address: str, table: str) -> None:
    with closing(sqlite3.connect(make_url(address).database)) as file:
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


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_an_address_is_what_sqlalchemy_reads_in_it(here, name):
    path = here / name / "store.db"
    said = make_url(address_of(path))
    assert (here / said.database, dict(said.query)) == (path, {})
    assert here / path_at(address_of(path)) == path


@pytest.mark.parametrize(
    "address",
    [
        "sqlite:////x/m.db?timeout=5",
        "sqlite:////x/a%20b/m.db",
        "sqlite:////x/a%3Fb/m%25.db?timeout=5",
        "sqlite:///m.db",
        "sqlite:////x/a b/ä.db",
    ],
)
def test_an_address_that_was_given_is_read_as_sqlalchemy_reads_it(address):
    assert str(path_at(address)) == make_url(address).database


@pytest.mark.parametrize(
    "address", ["sqlite:///:memory:", "sqlite://", "sqlite:///file:/x/m.db?uri=true", "http://a/b"]
)
def test_what_is_no_plain_file_is_left_to_mlflow(here, address):
    with new_file(address) as new:
        assert new is None
    assert path_at(address) is None


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_a_file_is_made_in_a_folder_of_any_name(here, monkeypatch, name):
    (here / name).mkdir()
    monkeypatch.chdir(here / name)
    with new_file(address_of(Path("mlflow.db").resolve())) as new:
        fill(new, "runs")
    assert tables(here / name / "mlflow.db") == ["runs"]
    assert [os.fsencode(each.name) for each in here.iterdir()] == [os.fsencode(name)]


def test_where_no_file_can_be_made_it_is_said_at_once():
    """MLflow would try for two minutes. In /proc nobody may write, not even the owner of the machine."""
    with pytest.raises(OSError, match="/proc"), new_file("sqlite:////proc/store.db"):
        pytest.fail("it begins")


def folder_of_that_name(path: Path) -> None:
    path.mkdir()


def no_database(path: Path) -> None:
    path.write_text("no database")


@pytest.mark.parametrize("make", [folder_of_that_name, no_database])
def test_a_file_that_cannot_be_read_is_said_at_once(here, make):
    make(here / "mlflow.db")
    with pytest.raises(sqlite3.Error), new_file(f"sqlite:///{here}/mlflow.db"):
        pytest.fail("it begins")


def store_with(path: Path, *locations: str) -> Path:
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE experiments (experiment_id, artifact_location)")
        file.executemany("INSERT INTO experiments VALUES (?, ?)", enumerate(locations))
        file.commit()
    return path


DEFAULT = "/gone/mlruns/0"  # the experiment that MLflow makes by itself


@pytest.mark.parametrize("name", ODD, ids=ascii)
@pytest.mark.parametrize("gone", [True, False], ids=["moved", "copied"])
def test_the_file_of_another_clone_is_kept_and_a_new_one_filled(here, monkeypatch, capsys, name, gone):
    """Twice: nothing that was kept is replaced."""
    (here / "clone").mkdir()
    monkeypatch.chdir(here / "clone")
    for number in (1, 2):
        other = here / name / str(number) / "mlartifacts"
        if not gone:
            other.mkdir(parents=True)
        path = store_with(here / "clone" / f"made-{number}", DEFAULT, other.as_uri()).replace("mlflow.db")
        before = path.read_bytes()
        with new_file(address_of(path.resolve())) as new:
            assert path.read_bytes() == before, "until the new one is whole"
            fill(new, "runs")
        kept = Path(f"mlflow.db.moved-{number}")
        assert (kept.read_bytes(), tables(path)) == (before, ["runs"])
        said = capsys.readouterr().err
        assert f"{other}, since this clone was moved or copied. It is kept as {kept}" in said
        assert len(said.strip().splitlines()) == 1 + name.count("\n")
        assert gone or [*other.iterdir()] == []
    assert sorted(each.name for each in Path().glob("*mlflow.db*")) == [
        "mlflow.db",
        *(f"mlflow.db.moved-{n}" for n in (1, 2)),
    ]


def test_the_old_file_stays_in_use_where_a_new_one_cannot_be_filled(here):
    before = store_with(here / "mlflow.db", "file:///gone/mlartifacts").read_bytes()
    with pytest.raises(KeyboardInterrupt), new_file(f"sqlite:///{here}/mlflow.db") as new:
        fill(new, "half")
        raise KeyboardInterrupt
    assert (here / "mlflow.db").read_bytes() == before
    assert [each.name for each in here.glob("*mlflow.db*")] == ["mlflow.db"]


@pytest.mark.parametrize(
    "locations",
    [
        [],
        [DEFAULT],
        ["{here}/mlartifacts", DEFAULT],
        ["{here}/mlartifacts", "file:///guest/mlartifacts"],
        ["{here}/link/mlartifacts"],
        ["file:///data/pictures"],
        ["s3://bucket/mlartifacts"],
        ["mlflow-artifacts:/1"],
        [""],
    ],
    ids=str,
)
def test_a_file_of_this_clone_stays_and_so_does_a_place_that_was_chosen(here, capsys, locations):
    """Also where the clone is reached by a link, as one that was moved and left a link in its place."""
    (here / "link").symlink_to(here)
    filled = [each.format(here=here.as_uri()) for each in locations]
    before = store_with(here / "mlflow.db", *filled).read_bytes()
    with new_file(f"sqlite:///{here}/mlflow.db") as new:
        assert new is None
    assert (here / "mlflow.db").read_bytes() == before
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("link", [False, True], ids=["given by its address", "behind a link"])
def test_a_file_that_is_not_this_clones_own_is_never_replaced(here, monkeypatch, link):
    """A copy of a clone shares what lies behind a link with its original."""
    (here / "clone").mkdir()
    monkeypatch.chdir(here / "clone")
    path = store_with(here / "mlflow.db", "file:///gone/mlartifacts")
    if link:
        Path("mlflow.db").symlink_to(path)
    with new_file(address_of(Path("mlflow.db").resolve()) if link else f"sqlite:///{path}") as new:
        assert new is None
    assert [each.name for each in here.glob("mlflow*")] == ["mlflow.db"]


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_the_artifacts_of_another_clone_are_told_from_those_here(here, monkeypatch, name):
    (here / name).mkdir()
    other = here / name / "mlartifacts"
    assert other_clone(other.as_uri()) == other
    monkeypatch.chdir(here / name)
    assert other_clone(other.as_uri()) is None

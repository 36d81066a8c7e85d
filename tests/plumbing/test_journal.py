"""Lines that one process writes and others read as they come."""

import json
import os
import shutil

import pytest

from pipeline.plumbing import journal
from pipeline.plumbing.journal import Follower, Journal

FACTS = {"cell": {"seed": 0}, "fingerprint": "abc"}


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def kinds(lines: list[dict]) -> list[str]:
    return [line["kind"] for line in lines]


def test_a_follower_gets_each_line_once():
    follower = Follower("a")
    assert follower.new() == []
    written = Journal("a", FACTS)
    (start,) = follower.new()
    assert (start["facts"], start["process"]) == (FACTS, os.getpid())
    written.progress(3, 10, 25.0)
    written.point({"val/miou": 0.5}, 5, 1234.5)
    assert [{key: value for key, value in line.items() if key != "kind"} for line in follower.new()] == [
        {"iteration": 3, "iterations": 10, "images_per_second": 25.0},
        {"metrics": {"val/miou": 0.5}, "step": 5, "at": 1234.5},
    ]
    written.end("finished")
    assert [line["status"] for line in follower.new()] == ["finished"]
    assert follower.new() == []


def test_a_line_that_is_not_whole_yet_is_left_for_later():
    follower, written = Follower("a"), Journal("a", FACTS)
    text = json.dumps({"kind": "end", "status": "finished"}) + "\n"
    with written.path.open("a") as file:
        file.write(text[:9])
    assert kinds(follower.new()) == ["start"]
    with written.path.open("a") as file:
        file.write(text[9:])
    assert kinds(follower.new()) == ["end"]


def test_a_line_that_a_full_disk_has_cut_off_is_left_out():
    follower, written = Follower("a"), Journal("a", FACTS)
    with written.path.open("a") as file:
        file.write('{"kind": "progress", "iter')
    written.point({"val/miou": 0.5}, 5, 1.0)  # ends up in the line that was cut off
    written.end("finished")
    assert kinds(follower.new()) == ["start", "end"]


def test_a_journal_that_is_begun_anew_is_read_from_its_start():
    """As by a training that was killed and goes on, also where the new one is as long already."""
    follower = Follower("a")
    Journal("a", FACTS).point({"val/miou": 0.5}, 5, 1.0)
    assert kinds(follower.new()) == ["start", "point"]
    Journal("a", FACTS).point({"val/miou": 0.7}, 5, 1.0)
    assert [line.get("metrics") for line in follower.new()] == [None, {"val/miou": 0.7}]


def test_a_journal_that_is_deleted_goes_on_in_a_new_file():
    """What was in the old one is lost; whoever follows it loses nothing of the rest."""
    follower, written = Follower("a"), Journal("a", FACTS)
    written.point({"val/miou": 0.5}, 5, 1.0)
    assert kinds(follower.new()) == ["start", "point"]
    shutil.rmtree(".cache")
    assert follower.new() == []
    written.point({"val/miou": 0.7}, 10, 2.0)
    written.end("finished")
    assert kinds(follower.new()) == ["point", "end"]


def test_progress_is_written_now_and_then(monkeypatch):
    clock = [100.0]
    monkeypatch.setattr(journal.time, "monotonic", lambda: clock[0])
    written = Journal("a", FACTS)
    for iteration in range(1, 101):
        clock[0] += 0.02
        written.progress(iteration, 100, 1.0)
    seen = [line["iteration"] for line in Follower("a").new() if line["kind"] == "progress"]
    assert 3 <= len(seen) <= 5  # two seconds in all


def test_a_journal_that_cannot_be_written_stops_nothing(tmp_path):
    (tmp_path / ".cache").write_text("a file where the folder should be")
    written = Journal("a", FACTS)
    written.progress(1, 2, 3.0)
    written.end("finished")

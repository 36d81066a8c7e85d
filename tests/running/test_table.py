"""The table that lives on a terminal, from journals as trainings write them."""

import io
import itertools

import pytest
from rich.console import Console

from pipeline.plumbing.journal import Follower, Journal
from pipeline.running.matrix import STATES, Matrix
from pipeline.running.stage import Result
from pipeline.running.table import duration, line, render, summary

CELLS = [f"digits-unet_tiny-cross_entropy-class_weights-{seed}" for seed in range(12)]


@pytest.fixture
def matrix(tmp_path, monkeypatch) -> Matrix:
    """Twelve cells after 100 s: four have ended in each way, two run, of which one has not said anything yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.plumbing.journal.EVERY", 0)
    now = itertools.chain([0.0], itertools.repeat(100.0))
    made = Matrix([f"train@{cell}" for cell in CELLS], lambda: next(now))
    for number, facts in enumerate([{"code": 1}, {"diverged": True}, {}, {"ran": False}]):
        ended = {"code": 0, "seconds": 40.0, "ran": True, "diverged": False, "log": ""} | facts
        made.end(f"train@{CELLS[number]}", Result(**ended))
    for cell in CELLS[4:6]:
        made.tell(f"train@{cell}", {"kind": "begin"})
    journal = Journal(CELLS[4], {"cell": CELLS[4]})
    for iteration in (30, 60):
        journal.progress(iteration, 150, 37.4)
        journal.point({"val/miou": 0.5}, iteration, 0.0)
    for told in Follower(CELLS[4]).new():
        made.tell(f"train@{CELLS[4]}", told)
    row = made.rows[f"train@{CELLS[4]}"]
    row.first = (30, 70.0)  # 30 iterations in 30 s
    return made


def shown(matrix: Matrix, width: int, height: int) -> list[str]:
    console = Console(record=True, width=width, file=io.StringIO())
    console.print(render(matrix, width, height))
    return [each.rstrip() for each in console.export_text().splitlines()]


def test_what_runs_comes_first_and_what_waits_last(matrix):
    lines = shown(matrix, 120, 30)
    assert len(lines) == 2 + 12
    assert [each.split()[1] for each in lines[2:]] == [
        *("running", "running", "failed", "diverged", "done", "restored"),
        *["waiting"] * 6,
    ]
    assert [state for state in STATES if state in lines[1]] == []


def test_a_row_has_iteration_speed_and_time(matrix):
    running, silent, failed, *_ = shown(matrix, 120, 30)[2:]
    cell, state, iteration, bar, speed, *left = running.split()
    assert (cell, state, iteration, speed) == (f"train@{CELLS[4]}", "running", "60/150", "37")
    assert set(bar) <= set("━╸╺")
    assert " ".join(left) == "2 min left", "90 iterations, one a second"
    assert silent.split() == [f"train@{CELLS[5]}", "running"]
    assert failed.split() == [f"train@{CELLS[0]}", "failed", "40", "s"]


@pytest.mark.parametrize("width", [60, 120])
@pytest.mark.parametrize("height", [10, 14, 40])
def test_it_never_is_higher_than_the_terminal(matrix, width, height):
    assert len(shown(matrix, width, height)) <= height


def test_what_has_no_room_is_counted(matrix):
    lines = shown(matrix, 120, 8)
    assert [each.split()[1] for each in lines[2:-1]] == ["running", "running", "failed", "diverged"]
    assert lines[-1] == "… and 1 done, 1 restored, 6 waiting"


def test_a_narrow_terminal_shows_the_end_of_a_name(matrix):
    """That is where names differ."""
    lines = shown(matrix, 80, 30)
    assert all(len(each) <= 80 for each in lines)
    assert lines[2].split()[0].endswith("class_weights-4")


def test_the_summary_counts_all(matrix):
    assert summary(matrix).startswith(
        "4 of 12 ended: 1 failed, 1 diverged, 1 done, 1 restored; 2 running, 6 waiting; 2 min passed, "
    )
    assert summary(Matrix(["train@a"], lambda: 0.0)) == "0 of 1 ended; 1 waiting; 0 s passed"


@pytest.mark.parametrize(("number", "end"), [(0, "failed"), (1, "40 s, diverged"), (2, "40 s"), (3, "restored")])
def test_elsewhere_each_end_is_a_line(matrix, number, end):
    assert line(matrix, f"train@{CELLS[number]}") == f"[4/12] train@{CELLS[number]}  {end}"


def test_durations():
    assert [duration(seconds) for seconds in (0.4, 89, 91, 720, 5399, 5401, 36000)] == [
        *("0 s", "89 s", "2 min", "12 min", "90 min", "1.5 h", "10.0 h")
    ]

"""The loop that hands stages to a crew, and what it shows."""

import os
import pty
import re
import subprocess
import sys
from concurrent.futures import Future
from pathlib import Path

from pipeline.running.crew import run_stages
from pipeline.running.stage import Result, log_of
from tests.miniature import ROOT

GOOD = Result(0, 12.3, ran=True, diverged=False, log="")


class Crew:
    """One that has done all its work: of each stage, what came of it."""

    def __init__(self, results: dict[str, Result | Exception]) -> None:
        self.results = results
        self.lines = [(stage, {"kind": "begin"}) for stage in results]

    def submit(self, stage: str) -> Future:
        future = Future()
        result = self.results[stage]
        future.set_exception(result) if isinstance(result, Exception) else future.set_result(result)
        return future

    def told(self):
        while self.lines:
            yield self.lines.pop()


def test_every_end_is_a_line_where_there_is_no_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    bad = GOOD._replace(code=1, log="the reason\n")
    matrix = run_stages(["train@a", "train@b"], Crew({"train@a": GOOD, "train@b": bad}))
    assert sorted(each[6:] for each in capsys.readouterr().out.splitlines()) == ["train@a  12 s", "train@b  failed"]
    assert (matrix.stages("done"), matrix.stages("failed")) == (["train@a"], ["train@b"])


def test_the_log_of_what_failed_in_another_clone_is_here_too(tmp_path, monkeypatch):
    """And none of an earlier run."""
    monkeypatch.chdir(tmp_path)
    log_of("train@a").parent.mkdir(parents=True)
    log_of("train@a").write_text("of yesterday\n")
    run_stages(["train@a"], Crew({"train@a": GOOD._replace(code=1, log="of today\n")}))
    assert log_of("train@a").read_text() == "of today\n"


def test_a_log_that_is_here_already_is_left(tmp_path, monkeypatch):
    """All of it, while what a worker sends is the end."""
    monkeypatch.chdir(tmp_path)

    class Here(Crew):
        def submit(self, stage: str) -> Future:
            log_of(stage).parent.mkdir(parents=True)
            log_of(stage).write_text("all of it\n")
            return super().submit(stage)

    run_stages(["train@a"], Here({"train@a": GOOD._replace(code=1, log="it\n")}))
    assert log_of("train@a").read_text() == "all of it\n"


def test_a_worker_that_is_lost_is_a_failed_stage_with_a_reason(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    matrix = run_stages(["train@a"], Crew({"train@a": RuntimeError("it died 10 times")}))
    assert matrix.stages("failed") == ["train@a"]
    assert log_of("train@a").read_text() == "RuntimeError: it died 10 times\n"


def test_a_reason_that_cannot_be_written_ends_nothing(tmp_path, monkeypatch):
    """On a full disk, for one."""

    def full(path: Path, text: str) -> None:
        raise OSError("No space left on device")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pipeline.running.crew.write_text", full)
    crew = Crew({"train@a": RuntimeError("broken"), "train@b": GOOD})
    assert run_stages(["train@a", "train@b"], crew).counts() == {"failed": 1, "done": 1}


def on_a_terminal(folder: Path, name: str, **variables: str) -> str:
    """What a run of one stage says there, in lines of 100 characters."""
    stages = "lambda: run_stages([sys.argv[1]], Crew({sys.argv[1]: GOOD}))"
    code = f"from tests.running.test_crew import *; from pipeline.plumbing.errors import run_stage; run_stage({stages})"
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "PYTHONPATH": str(ROOT), "COLUMNS": "100", "LINES": "30"}
    command = [sys.executable, "-c", code, name]
    subprocess.run(command, cwd=folder, env=environment | variables, stdout=theirs, check=True)
    os.close(theirs)
    return os.read(ours, 2**16).decode()


def test_on_a_terminal_there_is_a_table(tmp_path):
    said = on_a_terminal(tmp_path, "train@a")
    assert re.search(r"1 of 1 ended: 1 done; \d+ s passed", said)
    assert "train@a" in said
    assert "[1/1]" not in said


def test_on_a_terminal_of_ascii_the_table_has_its_columns(tmp_path):
    """A name that is too long for its column ends in an ellipsis elsewhere."""
    name = "train@" + "a-long-name-" * 9
    plain, ascii_ = (on_a_terminal(tmp_path, name, PYTHONIOENCODING=each) for each in ("utf-8", "ascii"))
    row = next(line for line in plain.splitlines() if "…" in line)
    assert row.replace("…", "?") in ascii_

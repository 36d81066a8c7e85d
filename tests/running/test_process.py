"""Processes that end before the one that started them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipeline.plumbing.errors import UserError
from pipeline.running import process
from pipeline.running.process import dvc, dvc_at_once, dvc_says, end, environment, start
from tests.running.conftest import wait_until

STUBBORN = (
    "import os, signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print(os.getpid()); time.sleep(10_000)"
)


def test_stages_find_the_python_that_runs_this():
    found = subprocess.run(["sh", "-c", "command -v python"], env=environment(), capture_output=True, text=True)
    assert Path(found.stdout.strip()).parent == Path(sys.executable).parent


def test_what_does_not_end_when_asked_is_killed(monkeypatch, tmp_path):
    """With all of its group."""
    monkeypatch.setattr(process, "PATIENCE", 0.5)
    with (tmp_path / "said").open("w") as said:
        shell = start(["sh", "-c", f'"{sys.executable}" -u -c "{STUBBORN}" & wait'], os.environ, said)
    wait_until(lambda: (tmp_path / "said").read_text().endswith("\n"))
    end(shell)
    assert shell.returncode == -signal.SIGINT
    wait_until(lambda: not psutil.pid_exists(int((tmp_path / "said").read_text())))


def test_a_command_of_dvc_that_fails_is_one_sentence(shells, capfd):
    with pytest.raises(UserError, match=r"^`dvc repro train@none` failed; its reason stands above\.$"):
        dvc("repro", "train@none")
    assert "Stage 'train@none' not found" in capfd.readouterr().err
    with pytest.raises(UserError, match=r"`dvc status train@none` failed: ERROR: .*'train@none'"):
        dvc_says("status", "train@none")


def test_of_commands_side_by_side_one_that_fails_ends_no_other(shells):
    with pytest.raises(UserError, match=r"^`dvc repro train@none` failed; its reason stands above\.$"):
        dvc_at_once(["repro", "train@none"], ["repro", "train@one"])
    assert shells.trainings("one") == 1

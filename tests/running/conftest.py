"""A DVC workspace whose stages are shell commands, so that what runs them is tested without a training."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from pipeline.running.process import environment
from pipeline.running.stage import Place
from pipeline.running.warm import ADDRESS
from tests.miniature import ROOT

STAGES = """
stages:
  train:
    matrix:
      cell: [one, two, three, broken, slow]
    cmd: sh work.sh ${item.cell}
    deps:
      - data
    outs:
      - models/${item.cell}
"""
WORK = """
case $1 in
  broken) echo broken on purpose; exit 3;;
  slow) sleep 10000;;
esac
mkdir -p models/$1
env > models/$1/environment
echo trained >> trained_$1
"""


class Shells:
    """The workspace, and what its stages have told."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.told: list[dict] = []
        self.ending = threading.Event()

    def place(self, **variables: str) -> Place:
        return Place(environment() | variables, self.told.append, self.ending.is_set)

    def trainings(self, cell: str) -> int:
        """How often a stage has run its command."""
        file = self.root / f"trained_{cell}"
        return len(file.read_text().splitlines()) if file.is_file() else 0

    def processes(self) -> list[psutil.Process]:
        """All that work in this workspace, but the tests."""
        return [each for each in psutil.process_iter() if each.pid != os.getpid() and _folder(each) == str(self.root)]


def _folder(process: psutil.Process) -> str:
    try:
        return process.cwd()
    except psutil.Error:
        return ""


def dvc(*command: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *command], check=True)


LONG = 600.0  # seconds after which what a test waits for never comes, however busy the machine is


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture(scope="session")
def initialised(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("shells") / "work"
    root.mkdir()
    (root / "dvc.yaml").write_text(STAGES)
    (root / "work.sh").write_text(WORK)
    (root / "data").write_text("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        dvc("init", "--no-scm", "--quiet")
        dvc("config", "core.analytics", "false")
    return root


@pytest.fixture
def shells(initialised, tmp_path, monkeypatch) -> Shells:
    """A fresh workspace; the test works in it, and its processes find the modules of this project."""
    root = tmp_path / "work"
    shutil.copytree(initialised, root)
    monkeypatch.chdir(root)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv(ADDRESS, "none")  # nothing here needs the libraries of a training
    return Shells(root)

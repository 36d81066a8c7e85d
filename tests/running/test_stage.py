"""One stage through DVC: what came of it, and what is tried again."""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipeline.plumbing.checkpoints import checkpoint_directory
from pipeline.running.stage import log_of, run
from tests.running.conftest import dvc, wait_until

LOCKED = Path(".dvc/tmp/rwlock")  # by which DVC's processes tell each other what they read and write


def test_a_stage_is_run_once_and_then_taken_from_the_cache(shells):
    first = run("train@one", shells.place(), pull=False)
    assert (first.code, first.ran) == (0, True)
    shutil.rmtree("models")
    Path("dvc.lock").unlink()
    again = run("train@one", shells.place(), pull=False)
    assert (again.code, again.ran) == (0, False)
    assert shells.trainings("one") == 1
    assert Path("models/one/environment").is_file()


def test_what_fails_by_itself_is_not_tried_again(shells):
    found = run("train@broken", shells.place(), pull=False)
    assert (found.code != 0, found.ran) == (True, True)
    assert found.log.count("broken on purpose") == 1
    assert log_of("train@broken").read_text() == found.log


def test_what_meets_another_command_of_dvc_is_tried_again(shells):
    """Another process, for which this one stands, writes the data that the stage reads, for a while."""
    writer = {"write": {str(Path("data").resolve()): {"pid": os.getpid(), "cmd": "a command"}}, "read": {}}
    LOCKED.parent.mkdir(exist_ok=True)
    LOCKED.write_text(json.dumps(writer))

    def let_go() -> None:
        wait_until(lambda: log_of("train@one").is_file() and "is busy" in log_of("train@one").read_text())
        LOCKED.write_text("{}")

    other = threading.Thread(target=let_go)
    other.start()
    found = run("train@one", shells.place(), pull=False)
    other.join()
    assert (found.code, found.ran, shells.trainings("one")) == (0, True, 1)


def test_what_is_to_end_ends_with_all_its_processes_and_leaves_nothing_locked(shells):
    def stop() -> None:
        wait_until(lambda: any(each.name() == "sleep" for each in shells.processes()))
        shells.ending.set()

    other = threading.Thread(target=stop)
    other.start()
    found = run("train@slow", shells.place(), pull=False)
    other.join()
    assert found.code != 0
    assert not shells.processes()
    assert not json.loads(LOCKED.read_text()).get("write")


def test_it_tells_that_it_begins_how_a_training_goes_on_and_that_it_is_gone(shells):
    """The work writes a journal, as a training does; of one from before nothing is told."""
    journal = Path(".cache/journal/one.jsonl")
    journal.parent.mkdir(parents=True)
    progress = [{"kind": "progress", "iteration": done, "iterations": 3, "images_per_second": 1.0} for done in range(4)]
    start = {"kind": "start", "started": time.time() + 1000, "process": 1}
    journal.write_text(json.dumps({"kind": "start", "started": 0}) + "\n" + json.dumps(progress[0]) + "\n")
    later = [start, *progress[1:], {"kind": "end", "status": "diverged", "at": time.time() + 1000}]
    Path("later").write_text("".join(json.dumps(line) + "\n" for line in later))
    with Path("work.sh").open("a") as work:
        work.write(f"cp later {journal}\n")
    found = run("train@one", shells.place(), pull=False)
    assert shells.told == [{"kind": "begin"}, *progress[1:], {"kind": "gone"}]
    assert found.diverged


def test_a_broken_line_of_a_journal_harms_nothing(shells):
    """As a full disk leaves it."""
    with Path("work.sh").open("a") as work:
        work.write("mkdir -p .cache/journal; printf 'kind\\n' > .cache/journal/one.jsonl; sleep 1\n")
    found = run("train@one", shells.place(), pull=False)
    assert (found.code, found.ran, found.diverged) == (0, True, False)


@pytest.mark.parametrize(("cell", "code"), [("one", 0), ("broken", 255)])
def test_a_cache_that_is_deleted_while_a_stage_runs_costs_nothing(shells, cell, code):
    """All of it may be deleted at any time. What the stage said before and after is known all the same."""
    work = Path("work.sh").read_text()
    Path("work.sh").write_text(f"echo before\nrm -r .cache\necho after\n{work}")
    found = run(f"train@{cell}", shells.place(), pull=False)
    assert (found.code, found.ran) == (code, True)
    assert "before\nafter\n" in found.log
    assert not log_of(f"train@{cell}").exists()
    again = run(f"train@{cell}", shells.place(), pull=False)
    assert (again.code, again.ran, log_of(f"train@{cell}").exists()) == (code, bool(code), not code)


def test_a_training_whose_journal_is_deleted_has_diverged_all_the_same(shells):
    Path("after.py").write_text(
        "import shutil; from pipeline.plumbing.journal import Journal; journal = Journal('one', {}); "
        "shutil.rmtree('.cache'); journal.end('diverged')"
    )
    with Path("work.sh").open("a") as work:
        work.write(f"{sys.executable} after.py\n")
    assert run("train@one", shells.place(), pull=False).diverged


def test_a_plain_command_of_dvc_beside_a_stage_is_refused_and_disturbs_nothing(shells):
    """By DVC: the two would write the same. Other stages it does run."""
    other = threading.Thread(target=run, args=("train@slow", shells.place(), False))
    other.start()
    wait_until(lambda: any(each.name() == "sleep" for each in shells.processes()))
    refused = subprocess.run([sys.executable, "-m", "dvc", "repro", "train@slow"], capture_output=True, text=True)
    assert (refused.returncode, "is busy" in refused.stderr) == (255, True)
    dvc("repro", "train@one")
    assert other.is_alive()
    shells.ending.set()
    other.join()


def test_what_is_kept_for_a_kill_goes_once_dvc_has_the_outputs(shells):
    kept = {name: checkpoint_directory(name, "all it depends on") for name in ("one", "broken")}
    for directory in kept.values():
        directory.mkdir(parents=True)
    for name in kept:
        run(f"train@{name}", shells.place(), pull=False)
    assert (kept["one"].exists(), kept["broken"].exists()) == (False, True)


@pytest.fixture
def remote(shells, tmp_path) -> Path:
    dvc("remote", "add", "--default", "--quiet", "shared", str(tmp_path / "remote"))
    return tmp_path / "remote"


def test_through_a_remote_a_clone_takes_over_what_another_has_run(shells, remote, tmp_path, monkeypatch):
    shutil.copytree(shells.root, tmp_path / "other")
    assert run("train@one", shells.place(), pull=True).ran
    monkeypatch.chdir(tmp_path / "other")
    found = run("train@one", shells.place(), pull=True)
    assert (found.code, found.ran) == (0, False)
    ours, theirs = (each / "models/one/environment" for each in (shells.root, tmp_path / "other"))
    assert ours.read_bytes() == theirs.read_bytes()


def test_what_cannot_be_pushed_has_failed(shells, remote):
    """Others could not take it over."""
    remote.write_text("no directory")
    found = run("train@one", shells.place(), pull=True)
    assert (found.code != 0, found.ran) == (True, True)
    assert "failed to transfer" in found.log

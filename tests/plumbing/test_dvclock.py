"""What is said of DVC is asked of DVC itself, in a small project of its own."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.plumbing.dvclock import (
    CHANGED,
    NOT_RECORDED,
    NOT_WHOLE,
    check_idle,
    locked_stages,
    obstacles,
    obstacles_of,
    unlock,
)
from pipeline.plumbing.errors import UserError

pytestmark = pytest.mark.xdist_group("small dvc project")

CELLS = ("plain", "changed", "not_whole", "without_list", "deleted", "not_recorded")
PIPELINE = """\
stages:
  train:
    matrix: {name: ["NAMES"]}
    cmd: mkdir -p models/${item.name}/model && echo ${item.name} > models/${item.name}/model/weights
    outs: ["models/${item.name}"]
  table:
    cmd: echo 1 > table.csv
    outs: [{table.csv: {cache: false}}]
"""


def dvc(*arguments: str) -> str:
    return subprocess.run([sys.executable, "-m", "dvc", *arguments], check=True, capture_output=True, text=True).stdout


def write_pipeline(*names: str) -> None:
    Path("dvc.yaml").write_text(PIPELINE.replace('"NAMES"', ", ".join(names)))


def cache_object(digest: str) -> Path:
    return Path(".dvc/cache/files/md5") / digest[:2] / digest[2:]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A project with an output of each kind, named by what is wrong with it."""
    root = tmp_path_factory.mktemp("dvc")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        dvc("init", "--no-scm", "--quiet")
        write_pipeline(*CELLS)
        dvc("repro", "--quiet")
        (root / "models/changed/more").write_text("")
        files = json.loads(cache_object(locked_stages()["train@not_whole"]["outs"][0]["md5"]).read_text())
        cache_object(files[0]["md5"]).unlink()
        cache_object(locked_stages()["train@without_list"]["outs"][0]["md5"]).unlink()
        shutil.rmtree(root / "models/deleted")
        unlock(["train@not_recorded"])
    return root


@pytest.fixture
def project(made, tmp_path, monkeypatch) -> Path:
    shutil.copytree(made, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


EXPECTED = {"plain": "", "changed": CHANGED, "not_whole": NOT_WHOLE, "without_list": NOT_WHOLE}


def test_what_dvc_could_bring_back_of_the_pipeline(project):
    """Says nothing of what is not there, nor of a table that dvc.yaml says not to cache."""
    expected = {**EXPECTED, "not_recorded": NOT_RECORDED}
    assert obstacles() == {Path("models", name): reason for name, reason in expected.items()}


def test_what_it_could_bring_back_of_stages_that_are_gone(project):
    outputs = [out for name, stage in locked_stages().items() if "@" in name for out in stage["outs"]]
    write_pipeline("other")
    assert obstacles_of(outputs) == {
        Path("models", name): reason for name, reason in {**EXPECTED, "deleted": ""}.items()
    }
    assert [path.name for path in project.iterdir() if path.is_file() and path.suffix == ".dvc"] == []


def test_of_no_outputs_dvc_is_not_asked(tmp_path, monkeypatch):
    """It would be an error here, where there is no project."""
    monkeypatch.chdir(tmp_path)
    assert obstacles_of([]) == {}


def test_what_is_left_of_the_lock_is_what_dvc_writes(project):
    """Neither the removal nor what DVC writes next changes another line."""
    before = Path("dvc.lock").read_text()
    unlock(["train@plain", "train@changed"])
    left = Path("dvc.lock").read_text()
    assert set(locked_stages()) == {"train@not_whole", "train@without_list", "train@deleted", "table"}
    begin = before.index("  train@plain:"), before.index("  train@changed:")
    ends = [before.index("\n  train@", start + 1) + 1 for start in begin]
    removed = [before[start:end] for start, end in zip(begin, ends, strict=True)]
    assert left == before.replace(removed[0], "").replace(removed[1], "")
    dvc("commit", "--force", "table")
    assert Path("dvc.lock").read_text() == left


def test_without_a_lock_nothing_is_recorded(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert locked_stages() == {}


def test_outside_a_project_dvc_gives_the_reason(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^`dvc data status .*` failed: .*not inside of a DVC repository"):
        obstacles()


def at_work(process: int, how: str) -> None:
    """As DVC writes it."""
    entry = {"pid": process, "cmd": "dvc repro train@plain"}
    Path(".dvc/tmp").mkdir(parents=True, exist_ok=True)
    content = {"write": {"models/plain": entry}} if how == "write" else {"read": {"data": [entry]}}
    Path(".dvc/tmp/rwlock").write_text(json.dumps(content))


@pytest.mark.parametrize("how", ["read", "write"])
def test_a_command_at_work_is_named(tmp_path, monkeypatch, how):
    monkeypatch.chdir(tmp_path)
    at_work(os.getpid(), how)
    with pytest.raises(UserError, match=rf"^process {os.getpid()} is at work here: dvc repro train@plain\. "):
        check_idle()


def test_one_that_was_killed_is_not_at_work(tmp_path, monkeypatch):
    """DVC leaves its entry and takes no notice of it either."""
    monkeypatch.chdir(tmp_path)
    ended = subprocess.Popen(["true"])
    ended.wait()
    at_work(ended.pid, "write")
    check_idle()


def test_before_the_first_command_none_is_at_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_idle()


def test_dvc_writes_who_is_at_work_where_it_is_looked_for(project):
    """While a stage runs, and with the number of a process that is there."""
    Path("dvc.yaml").write_text(PIPELINE.replace('"NAMES"', "slow").replace("mkdir", "sleep 10000 && mkdir"))
    process = subprocess.Popen([sys.executable, "-m", "dvc", "repro", "--quiet", "train"], start_new_session=True)
    try:
        with pytest.raises(UserError, match=rf"^process {process.pid} is at work here: .* repro --quiet train\. "):
            while process.poll() is None:
                time.sleep(0.05)
                check_idle()
    finally:
        os.killpg(process.pid, 9)
        process.wait()
    check_idle()

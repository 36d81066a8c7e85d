"""DVC's command line for many cells: what it writes is what DVC writes, and a kill leaves it whole."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import dvc.dvcfile
import dvc.utils.serialize
import pytest
from dvc.fs import LocalFileSystem

from pipeline.running.dvc import modify, open_file, parse, shell_command
from pipeline.running.process import dvc_command
from tests.miniature import ROOT
from tests.running.conftest import wait_until

# Words that mean a number or a truth value in one version of YAML, so that they need quotes, and lines that are folded.
WORDS = ["12e34", "5e7", "1e-3", "012345", "0o17", "1_000", "12:30", "on", "no", "True", "~", "null", "", "0x1f", ".5"]
WORDS += ["python -m pipeline.train " + "a_long_name-" * 20, "a: b", "- a", "é", "train@a", "# no comment"]
ENTRY = {"cmd": "python -m pipeline.train a", "deps": [{"path": "data", "hash": "md5", "md5": "12e34", "size": 12}]}
LOCK = {"schema": "2.0", "stages": {f"train@{word}": ENTRY | {"cmd": word} for word in WORDS}}


def written(change, **stages) -> bytes:
    """dvc.lock after `change`, which is DVC's way or ours to modify it, has added or replaced stages."""
    dvc.utils.serialize.dump_yaml("dvc.lock", LOCK)
    with change("dvc.lock", LocalFileSystem()) as content:
        content["stages"].update(stages)
    return Path("dvc.lock").read_bytes()


@pytest.mark.parametrize("name", ["train@b", "train@12e34", "train@" + "a_long_name-" * 20])
def test_dvc_lock_is_written_as_dvc_writes_it(name, tmp_path, monkeypatch):
    """A new stage, one that is there, and one with a name of the kind that YAML writes in another form."""
    monkeypatch.chdir(tmp_path)
    more = {name: {"cmd": WORDS[-6], "outs": [{"path": "models/b", "md5": "1234e5678", "nfiles": 6}]}}
    assert written(modify, **more) == written(dvc.utils.serialize.modify_yaml, **more)


def test_a_first_stage_is_written_as_dvc_writes_it(tmp_path, monkeypatch):
    for way in (modify, dvc.utils.serialize.modify_yaml):
        for before in ("", "schema: '2.0'\n", "schema: '2.0'\nstages: {}\n"):
            folder = tmp_path / way.__module__ / str(len(before))
            folder.mkdir(parents=True)
            if before:
                (folder / "dvc.lock").write_text(before)
            with way(str(folder / "dvc.lock"), LocalFileSystem()) as content:
                content.update({"schema": "2.0", "stages": {"train@a": ENTRY}})
            assert (folder / "dvc.lock").read_text() == dvc.utils.serialize.dumps_yaml(content)


def test_dvc_lock_is_read_as_dvc_reads_it(tmp_path):
    """With quotes where DVC writes them, and without any."""
    plain = [word for word in WORDS[:15] if word != "012345"]
    text = dvc.utils.serialize.dumps_yaml(LOCK) + "".join(["words:\n", *(f"- {word}\n" for word in plain)])
    assert parse(text, "dvc.lock") == dvc.utils.serialize.parse_yaml(text, "dvc.lock")


def test_the_lock_of_this_project_keeps_its_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = (ROOT / "dvc.lock").read_bytes()
    Path("dvc.lock").write_bytes(before)
    with modify("dvc.lock"):
        pass
    assert Path("dvc.lock").read_bytes() == before


def test_a_lock_that_is_none_gets_the_words_of_dvc():
    with pytest.raises(dvc.utils.serialize.YAMLFileCorruptedError):
        parse("stages: [", "dvc.lock")


def test_other_files_are_left_to_dvc(tmp_path):
    """Comments of dvc.yaml would be lost otherwise."""
    file = tmp_path / "dvc.yaml"
    file.write_text("stages: # of the pipeline\n  a: {cmd: a}\n")
    with modify(str(file)) as content:
        content["stages"]["b"] = {"cmd": "b"}
    assert "# of the pipeline" in file.read_text()


@pytest.mark.parametrize("name", ["dvc.lock", "rwlock"])
def test_a_kill_while_it_is_written_leaves_the_file_whole(name, tmp_path):
    file = tmp_path / name
    file.write_text("before")
    process = os.fork()
    if not process:
        with open_file(LocalFileSystem(), str(file), "w", encoding="utf-8") as part:
            part.write("half of ")
            part.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
    assert file.read_text() == "before"
    with open_file(LocalFileSystem(), str(file), "w") as part:
        part.write("after")
    assert file.read_text() == "after"


def test_a_killed_process_takes_dvc_and_its_stage_with_it(shells):
    """Whoever runs DVC, and however deep the shells are in which DVC runs a stage."""
    code = "import subprocess; from pipeline.running.process import *; subprocess.run(dvc_command(*{!r}))"
    arguments = ("repro", "--single-item", "train@slow")
    driver = subprocess.Popen([sys.executable, "-c", code.format(arguments)])
    wait_until(lambda: any(each.name() == "sleep" for each in shells.processes()))
    assert len(shells.processes()) == 4, "driver, DVC, the shell of work.sh, and what it does"
    driver.kill()
    driver.wait()
    # work.sh, unlike a training, does not end with DVC; all else does.
    wait_until(lambda: [each.name() for each in shells.processes()] == ["sh", "sleep"])
    for each in shells.processes():
        each.kill()


def test_it_does_not_begin_for_a_process_that_is_gone(shells):
    command = dvc_command("repro", "--single-item", "train@one")
    gone = subprocess.Popen(["true"])
    gone.wait()
    command[3] = str(gone.pid)
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert not shells.trainings("one")


def test_a_stage_takes_the_place_of_its_shell_and_knows_the_process_of_dvc():
    handed = f"exec python -m pipeline.running.handed {os.getpid()} pipeline.train a"
    assert shell_command(None, "python -m pipeline.train a") == ["/bin/sh", "-c", handed]
    assert shell_command(None, "sh work.sh a") == ["/bin/sh", "-c", "exec sh work.sh a"]

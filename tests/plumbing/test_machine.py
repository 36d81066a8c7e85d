"""What the processes on a machine share."""

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.plumbing import machine
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.machine import cores, is_gpu, one_at_a_time, only_one

ROOT = Path(__file__).parents[2]
LONG = 600  # seconds after which what a test waits for never comes
TAKES_TURNS = """
import os, sys
sys.path.insert(0, sys.argv[1])
from pipeline.plumbing.machine import one_at_a_time
log = os.open("turns", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
for _ in range(300):
    with one_at_a_time("test"):
        os.write(log, b"in ")
        os.write(log, b"out ")
"""
STAYS = """
import sys
sys.path.insert(0, sys.argv[1])
from pipeline.plumbing.machine import one_at_a_time, only_one
with {block}("test"):
    print("in", flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be bound to cores here")
def test_cores_are_those_that_the_process_may_use():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, before)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def started(code: str, **more) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, str(ROOT)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more)


def test_processes_take_turns(folder):
    """Each leaves the block before the next enters it; in a block of another name none of them waits."""
    with one_at_a_time("another"):
        for each in [started(TAKES_TURNS) for _ in range(3)]:
            each.communicate(timeout=LONG)
    assert (folder / "turns").read_text() == "in out " * 900


def test_a_turn_ends_with_its_process(folder):
    """One that is killed in its turn holds nobody up."""
    with started(STAYS.format(block="one_at_a_time")) as other:
        assert other.stdout.readline() == "in\n"
        other.kill()
    with started(TAKES_TURNS) as next_one:
        next_one.communicate(timeout=LONG)
    assert (folder / "turns").read_text() == "in out " * 300


def test_of_two_that_must_not_meet_the_second_is_refused_and_the_first_named(folder):
    """Whether it waits, works or is stopped; not in another directory, nor under another name."""
    with started(STAYS.format(block="only_one")) as first:
        assert first.stdout.readline() == "in\n"
        sentence = rf"^process {first.pid} is at work here: .*, on \S+\. Wait for it to end, or end it\.$"
        for _ in range(2):  # a refusal changes nothing
            with pytest.raises(UserError, match=re.compile(sentence, re.DOTALL)), only_one("test"):
                pass
        with only_one("another"):
            pass
        (folder / "elsewhere").mkdir()
        with started(STAYS.format(block="only_one"), cwd=folder / "elsewhere") as other:
            assert other.communicate(timeout=LONG)[0] == "in\n"
        first.kill()
    with only_one("test"):
        pass


def test_one_that_has_not_said_yet_who_it_is_is_refused_all_the_same(folder):
    with only_one("test"):
        (folder / ".cache" / "test.lock").write_text("")
        with pytest.raises(UserError, match=r"^another process is at work here\. Wait for it to end, or end it\.$"):
            only_one("test").__enter__()


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.ENOLCK, errno.EIO])
def test_where_files_cannot_be_locked_nobody_is_refused(folder, monkeypatch, number):
    """As on some network file systems, for which this function stands."""

    def flock(*_) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(machine.fcntl, "flock", flock)
    with only_one("test"), only_one("test"):
        pass


NAMES = ["0", "7", "-1", "none", "GPU-8f1c", "MIG-8f1c", "MIG-GPU-8f1c/1/0"]


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="a GPU is here")
@pytest.mark.parametrize("name", NAMES)
def test_without_a_gpu_no_name_is_one(name):
    assert not is_gpu(name)


@pytest.mark.skipif(not Path("/dev/nvidiactl").exists(), reason="no GPU here")
def test_a_gpu_has_its_number_and_its_names_and_others_have_none():
    listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"UUID: ((?:GPU|MIG)-[\w-]+)", listed)
    assert is_gpu("0")
    assert is_gpu(found[-1])  # where a GPU is in parts, one of these
    assert not any(map(is_gpu, ["99", "-1", "none", "GPU-none"]))

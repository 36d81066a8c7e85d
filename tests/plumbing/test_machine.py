"""What the processes on a machine share."""

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.plumbing.machine import cores, one_at_a_time

ROOT = Path(__file__).parents[2]
TAKES_A_TURN = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pipeline.plumbing.machine import one_at_a_time
with one_at_a_time("test"):
    entered = time.monotonic()
    time.sleep(0.2)
    print(entered, time.monotonic())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be bound to cores here")
def test_cores_are_those_that_the_process_may_use():
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        assert cores() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_processes_take_turns(tmp_path):
    """Each leaves the block before the next enters it; in a block of another name none of them waits."""
    command = [sys.executable, "-c", TAKES_A_TURN, str(ROOT)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        with one_at_a_time("another"):
            started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
            said = [each.communicate(timeout=60)[0] for each in started]
    turns = sorted(tuple(map(float, each.split())) for each in said)
    assert all(left <= entered for (_, left), (entered, _) in itertools.pairwise(turns))


def test_a_turn_ends_with_its_process(tmp_path, monkeypatch):
    """One that is killed in its turn holds nobody up."""
    monkeypatch.chdir(tmp_path)
    endless = TAKES_A_TURN.replace("time.sleep(0.2)", "print('in', flush=True); time.sleep(600)")
    with subprocess.Popen([sys.executable, "-c", endless, str(ROOT)], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "in\n"
        other.kill()
        began = time.monotonic()
        with one_at_a_time("test"):
            assert time.monotonic() - began < 30

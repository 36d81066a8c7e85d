"""A process that ends with the one that started it, also if that has ended before."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there the kernel is asked")

CHILD = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from pipeline.plumbing.lifeline import die_with_parent
parent, known = map(int, sys.argv[2:])
while os.getppid() == parent:
    time.sleep(0.01)
print("an orphan", flush=True)
die_with_parent(parent if known else None)
print("lives on", flush=True)
"""
PARENT = "import os, subprocess, sys; subprocess.Popen([*sys.argv[2:-1], str(os.getpid()), sys.argv[-1]]); os._exit(0)"


@pytest.mark.parametrize("known", [0, 1])
def test_a_parent_that_ended_before_is_noticed(known):
    """With its number, and without: whoever takes over the orphan is of another session."""
    child = [sys.executable, "-c", CHILD, str(ROOT)]
    command = [sys.executable, "-c", PARENT, str(ROOT), *child, str(known)]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert found.stdout == "an orphan\n"


@pytest.mark.parametrize("leads", [False, True])
@pytest.mark.parametrize(
    ("number", "code"),
    [("None", 0), (str(os.getpid()), 0), ("1", -signal.SIGKILL)],
    ids=["no number", "the parent", "another"],  # workers that collect tests have numbers of their own
)
def test_a_process_whose_parent_is_there_lives_on(number, code, leads):
    """In the session of its parent or in one of its own; unless it is told of another parent."""
    work = f"from pipeline.plumbing.lifeline import die_with_parent; die_with_parent({number})"
    assert subprocess.run([sys.executable, "-c", work], cwd=ROOT, start_new_session=leads).returncode == code

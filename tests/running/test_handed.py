"""The work of a stage ends with the process of DVC that started it, also if that is killed before the work begins."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pipeline.running.process import environment
from tests.running.conftest import LONG, wait_until

WORK = """
import time
open("begun", "w").close()
while True:
    time.sleep(1)  # without a lifeline of its own
"""
DRIVER = """
import subprocess
from pipeline.running.process import dvc_command
subprocess.run(dvc_command("repro", "--single-item", "train@one"))
"""


@pytest.fixture
def endless(shells) -> None:
    """A stage that never ends by itself."""
    Path("dvc.yaml").write_text(Path("dvc.yaml").read_text().replace("sh work.sh", "python -m work"))
    Path("work.py").write_text(WORK)


def of_the_stage(driver: psutil.Process) -> list[psutil.Process]:
    """What DVC, the child of the driver, has started."""
    return [each for dvc in driver.children() for each in dvc.children(recursive=True)]


@pytest.mark.parametrize(
    ("victim", "how", "begun"),
    [
        ("driver", signal.SIGKILL, False),
        ("driver", signal.SIGHUP, False),
        ("DVC", signal.SIGKILL, False),
        ("driver", signal.SIGKILL, True),
    ],
)
def test_a_kill_leaves_no_orphan(endless, victim, how, begun):
    """At the very start of the stage, before it could ask for anything, or later."""
    with subprocess.Popen([sys.executable, "-c", DRIVER], env=environment(), stderr=subprocess.DEVNULL) as process:
        driver = psutil.Process(process.pid)
        wait_until(lambda: of_the_stage(driver) and (not begun or Path("begun").exists()))
        (dvc,), stage = driver.children(), of_the_stage(driver)
        (driver if victim == "driver" else dvc).send_signal(how)
    _, left = psutil.wait_procs([dvc, *stage], LONG)
    for each in left:
        each.kill()
    assert not left

"""The one door: `python -m pipeline`."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.__main__ import COMMANDS, summary

ROOT = Path(__file__).parents[1]


def door(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "pipeline", *arguments], cwd=ROOT, capture_output=True, text=True)


@pytest.mark.parametrize("asked", [(), ("--help",), ("help",)], ids=["nothing", "--help", "help"])
def test_the_door_lists_every_command_with_what_it_does(asked):
    listed = door(*asked)
    assert listed.returncode == 0
    for command in COMMANDS:
        assert any(line.split()[:1] == [command] and summary(command) in line for line in listed.stdout.splitlines())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_says_what_it_does_and_does_nothing_more(command):
    """All but the options of `run`, `prune` and their like is that line."""
    helped = door(command, "--help")
    assert (helped.returncode, helped.stderr) == (0, "")
    assert helped.stdout.startswith("usage: ")
    assert " ".join(summary(command).split()) in " ".join(helped.stdout.split())


def test_a_misspelt_command_is_named_with_the_nearest():
    refused = door("rnu")
    assert refused.returncode == 1
    assert refused.stderr == f"error: rnu: no such command. Did you mean 'run'? Known: {', '.join(sorted(COMMANDS))}.\n"


def test_a_command_gets_its_options():
    """Through the door and beside it: the same refusal."""
    refused = door("run", "--jobs", "2", "--gpus", "0")
    assert refused.returncode == 1
    assert refused.stderr == "error: --jobs and --gpus say two places where cells should run; choose one.\n"

"""The README shows what is true: its leaderboard is the committed one, and what it names exists."""

import re
from pathlib import Path

import pytest

from pipeline.plumbing import plugins

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_its_leaderboard_is_that_of_the_shipped_run():
    board = (ROOT / "results" / "leaderboard.md").read_text(encoding="utf-8")
    table = [line for line in board.splitlines() if line.startswith("|")]
    assert table
    assert "\n".join(table) in README


@pytest.mark.parametrize("folder", ["datasets", "losses", "strategies"])
def test_it_names_every_plug_in(folder):
    assert [kind for kind in plugins.kinds(folder) if f"`{kind}`" not in README] == []


def test_the_files_and_targets_that_it_names_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"`make (\w+)`", README)) | set(re.findall(r"^make (\w+)", README, re.M)):
        assert f"\n{target}:" in makefile, f"make {target}"
    for path in re.findall(r"`((?:pipeline|presets|docs|tests|results)/[\w/.]+)`", README):
        assert (ROOT / path).exists(), path


def test_its_example_of_a_loss_is_the_code():
    code = (ROOT / "pipeline" / "losses" / "l1.py").read_text(encoding="utf-8")
    shown = re.search(r"```python\n(.*?)```", README, re.S)[1]
    assert shown.splitlines()[0] in code
    assert "\n".join(shown.splitlines()[1:]) in code

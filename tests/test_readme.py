"""The README shows what is true: its leaderboard is the committed one, and what it names exists."""

import re
from pathlib import Path

import pytest

from pipeline.measure.metrics.table import AVERAGES, FAMILIES, METRICS
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


def test_it_names_every_metric_and_family():
    """Of the averages of a score it names one and says what the end of a key means."""
    legend = README.partition("\n## Metrics\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (\w+) \| (.*) \|$", legend, re.M)[1:])
    ends = [*filter(None, AVERAGES), "_scaled"]
    assert list(rows) == list(FAMILIES)
    assert [end for end in ends if f"`{end}`" not in legend] == []
    for family, text in rows.items():
        named = [key for key in re.findall(r"`(\w+)`", text) if key not in ends]
        assert [key for key in named if key not in METRICS] == []
        stems = {re.sub(f"({'|'.join(ends)})$", "", key) for key, metric in METRICS.items() if metric.family == family}
        assert {re.sub(f"({'|'.join(ends)})$", "", key) for key in named} == stems


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

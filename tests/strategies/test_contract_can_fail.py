"""The contract notices what matters: strategies with a planted defect fail it, and a sound one passes.

The files are planted in a copy of the project. As any new strategy they are tested by being there.
"""

import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # it tests tests

ROOT = Path(__file__).parents[2]
IGNORED = shutil.ignore_patterns("__pycache__", ".pytest_cache")
HEAD = '''"""Planted: for a test."""

import numpy as np

from pipeline.strategies.base import Crop, Draws, Strategy, Treatment


class Planted(Strategy):
    """Does what the test of the contract wants to see.

    Use: never.

    Calibration: unknown.

    Family: weighting.
    """

'''
DRAWS = "def draws(self, common, statistics, batch_size, random):"
BODIES = {
    "sound": """
        acts_on = ("class weights",)
        def class_weights(self, statistics):
            return np.sqrt(statistics.pixel_frequency)
        """,
    "ignores_the_seed": f"""
        acts_on = ("images",)
        {DRAWS}
            return Draws.of(np.random.default_rng(0).permutation(common.images))
        """,
    "crops_around_an_absent_class": f"""
        acts_on = ("crops",)
        {DRAWS}
            return common._replace(focus=random.integers(statistics.pixels.shape[1], size=len(common.images)))
        def treatment(self, statistics):
            return Treatment(crop=Crop(0.5, 0.5))
        """,
    "shortens_the_draws": f"""
        acts_on = ("images",)
        {DRAWS}
            return Draws.of(random.permutation(common.images)[: len(common.images) // 2])
        """,
    "keeps_void": """
        acts_on = ("pixels",)
        def kept_pixels(self, logits, target):
            p = logits.softmax(dim=1).max(dim=1).values
            return p <= p.flatten(1).median(dim=1).values.view(-1, 1, 1)
        """,
    "acts_on_more_than_it_says": """
        acts_on = ("class weights",)
        def class_weights(self, statistics):
            return np.sqrt(statistics.pixel_frequency)
        def logit_shift(self, statistics):
            return statistics.log_prior
        """,
}
NOTICED_BY = {
    "ignores_the_seed": "test_what_chance_decides_follows_the_seed[planted_ignores_the_seed]",
    "crops_around_an_absent_class": "test_answers_are_of_their_form[planted_crops_around_an_absent_class-ordinary]",
    "shortens_the_draws": "test_answers_are_of_their_form[planted_shortens_the_draws-ordinary]",
    "keeps_void": "test_void_pixels_are_never_kept[planted_keeps_void]",
    "acts_on_more_than_it_says": "test_it_acts_on_what_it_says_and_on_nothing_else[planted_acts_on_more_than_it_says]",
}


@pytest.fixture(scope="module")
def failed(tmp_path_factory):
    """Names of the tests of the contract that failed for planted strategies."""
    root = tmp_path_factory.mktemp("planted")
    for folder in ("pipeline", "tests"):
        shutil.copytree(ROOT / folder, root / folder, ignore=IGNORED)
    shutil.copy(ROOT / "pyproject.toml", root)
    for name, body in BODIES.items():
        code = HEAD + textwrap.indent(textwrap.dedent(body).strip(), "    ") + "\n"
        (root / "pipeline" / "strategies" / f"planted_{name}.py").write_text(code)
    files = [f"tests/strategies/test_contract{part}.py" for part in ("", "_in_training")]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "--tb=no",
        "-p",
        "no:cacheprovider",
        "-k",
        "planted and not any_counts",
        *files,
    ]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    return re.findall(r"^FAILED \S+::(\S+)", done.stdout, re.M)


@pytest.mark.parametrize("defect", NOTICED_BY)
def test_planted_defect_is_noticed(failed, defect):
    assert NOTICED_BY[defect] in failed


def test_sound_strategy_passes(failed):
    assert [name for name in failed if "planted_sound" in name] == []


def test_every_defect_is_looked_for():
    assert set(NOTICED_BY) == set(BODIES) - {"sound"}

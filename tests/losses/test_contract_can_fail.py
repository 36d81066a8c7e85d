"""The contract notices what matters: with one rule deleted from one loss, its tests fail."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # it tests tests

ROOT = Path(__file__).parents[2]
IGNORED = shutil.ignore_patterns("__pycache__", ".pytest_cache")


@pytest.mark.parametrize(
    ("file", "old", "new", "noticed_by", "case"),
    [
        (
            "base.py",
            "self.compute(logits.float(),",
            "self.compute(logits,",
            "test_half_precision_is_computed_in_float32",
            "focal-False-dtype0",
        ),
        (
            "base_counts.py",
            "@ mask.flatten(1)",
            "@ (0 * mask + 1).flatten(1)",
            "test_masking_a_border_is_cropping_it",
            "dice-border0",
        ),
        ("base_overlap.py", "(n.pixels > 0)", "(n.pixels >= 0)", "test_value_is_that_of_the_reference", "tversky"),
    ],
    ids=["float32", "ignore mask", "class rule"],
)
def test_deleting_a_rule_of_a_loss_is_noticed(tmp_path, file, old, new, noticed_by, case):
    for folder in ("pipeline", "tests"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=IGNORED)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    code = tmp_path / "pipeline" / "losses" / file
    assert old in code.read_text()
    code.write_text(code.read_text().replace(old, new))
    test = f"tests/losses/test_contract.py::{noticed_by}[{case}]"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout
    assert f"FAILED {test}" in done.stdout

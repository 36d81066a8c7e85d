"""`from pipeline.losses import Dice`: every loss by its class name, and nothing imported that is not asked for."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline.losses
from pipeline.plumbing import plugins

ROOT = Path(__file__).parents[2]
NEW = """
from torch import nn

from pipeline.losses.base_wrapped import ModuleLoss


class Mine(ModuleLoss):
    criterion = nn.CrossEntropyLoss
"""


@pytest.mark.parametrize("kind", plugins.kinds("losses"))
def test_it_offers_every_loss(kind):
    found = plugins.find("losses", kind, kind)
    assert getattr(pipeline.losses, found.__name__) is found
    assert found.__name__ in dir(pipeline.losses)


@pytest.mark.parametrize("name", ["Dicee", "Ramp", "Loss", "nothing"])
def test_other_names_are_unknown(name):
    """A helper of a loss is no loss."""
    with pytest.raises(AttributeError, match=f"^module 'pipeline.losses' has no loss '{name}'. .*Known: .*Dice"):
        getattr(pipeline.losses, name)


def test_unknown_name_is_told_the_nearest():
    with pytest.raises(AttributeError, match="Did you mean 'FocalTversky'"):
        _ = pipeline.losses.FocalTverskyLoss


def test_a_new_file_is_there_by_being_there_and_nothing_else_is_imported(tmp_path):
    """In a copy: after Dice neither torch nor another loss is loaded, and a module wrapped in two lines is a loss."""
    for folder in ("losses", "plumbing"):
        shutil.copytree(ROOT / "pipeline" / folder, tmp_path / "pipeline" / folder)
    (tmp_path / "pipeline" / "losses" / "my_loss.py").write_text(NEW)
    code = (
        "import json, sys\n"
        "from pipeline.losses import Dice\n"
        "loaded = [name for name in sys.modules if name == 'torch' or name.startswith('pipeline.losses.')]\n"
        "from pipeline.losses import Mine\n"
        "from pipeline.plumbing import plugins\n"
        "assert plugins.build('losses', 'my_loss', {}, 'x') == Mine()\n"
        "print(json.dumps([loaded, Mine().described(), Mine().modules()]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded, described, modules = json.loads(done.stdout)
    assert [name for name in loaded if ".base" not in name] == ["pipeline.losses.dice"]
    assert described == {"kind": "my_loss"}
    assert modules == ["pipeline.losses.my_loss"]

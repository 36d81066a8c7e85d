"""Which libraries count: none that is reached is forgotten, and those that only carry or show retrain nothing."""

import importlib.metadata

import pytest

from pipeline.check import PLUGIN_FOLDERS
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.fingerprints import libraries
from pipeline.plumbing.libraries import ASIDE, COMPUTING, version, versions

STAGES = ("prepare", "tune", "train", "evaluate", "gradients", "report")
REACHED = libraries(
    [f"pipeline.{stage}" for stage in STAGES]
    + [f"pipeline.{folder}.{kind}" for folder in PLUGIN_FOLDERS.values() for kind in plugins.kinds(folder)]
)


def test_every_library_that_a_stage_reaches_is_sorted():
    """Whoever imports a new one says whether its version can change a result."""
    assert COMPUTING.keys() | ASIDE.keys() == REACHED
    assert not COMPUTING.keys() & ASIDE.keys()


@pytest.mark.parametrize("imported", COMPUTING)
def test_the_first_distribution_is_the_one_that_is_imported(imported):
    found = [name.lower().replace("-", "_") for name in importlib.metadata.packages_distributions()[imported]]
    assert found == [COMPUTING[imported][0].lower().replace("-", "_")]


@pytest.mark.parametrize("imported", COMPUTING)
def test_what_a_library_computes_with_is_among_what_it_requires(imported):
    """By its own word, or that of what it requires; case and dashes do not matter."""
    own, *others = COMPUTING[imported]
    required, waiting = set(), [own]
    while waiting:
        lines = [line for line in importlib.metadata.requires(waiting.pop()) or [] if "extra ==" not in line]
        names = {line.split(";")[0].rstrip("() ").split(" ")[0].split("<")[0] for line in lines}
        names = {name.split(">")[0].split("=")[0].split("!")[0].split("~")[0] for name in names}
        waiting += [name for name in names - required if name.startswith("albucore")]
        required |= names
    assert set(others) <= required


def test_versions_are_those_of_the_environment_without_the_mark_of_the_build():
    import cv2
    import torch

    found = versions(["torch", "cv2", "tqdm", "pydantic"])
    assert found.keys() == {"torch", "opencv-python-headless"}
    assert found["torch"] == torch.__version__.split("+")[0]
    assert found["opencv-python-headless"].startswith(cv2.__version__)


def test_a_library_that_nobody_has_sorted_counts():
    """A plug-in of a user may bring it along; of two distributions under one name, both. One that is absent does not."""
    assert versions(["dvc", "not_to_be_found"]) == {"dvc": importlib.metadata.version("dvc")}


def test_a_library_that_is_gone_is_one_sentence():
    with pytest.raises(
        UserError, match=r"^no-such-library: not installed\. Run `pip install -r requirements\.lock`\.$"
    ):
        version("no-such-library")

"""Fingerprints: a digest changes with the meaning of the code that is reached, and with nothing else."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.plumbing import fingerprints
from pipeline.plumbing.errors import UserError

ROOT = Path(__file__).parents[2]

TOP = '''\
"""A module."""

from pipeline.middle import half


class Thing:
    """A class."""

    gamma: float = 2.0
    """An attribute."""

    def method(self, x):
        """A function."""
        from pipeline.lazily import late

        return half(x) + late(x, "text")


async def other():
    """Only a docstring."""
'''
MIDDLE = "import pipeline.low as low\n\ndef half(x):\n    return low.HALF * x\n"
LOW = "HALF = 0.5\n"
LAZILY = "def late(x, y):\n    return x\n"
ALONE = "NOTHING = 0\n"
ERRORS = "from pipeline.hidden import text\n"


class Project:
    """Source files in a directory of their own, and the digests they have now: the text of each is read anew."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.root / "pipeline" / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def digest(self, *modules: str) -> dict[str, str]:
        return fingerprints.code_digests(modules)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Empty."""
    monkeypatch.setattr(fingerprints, "ROOT", tmp_path)
    return Project(tmp_path)


@pytest.fixture
def small(project):
    """A module `top` that reaches three others, one of them from inside a function."""
    (project.root / "pipeline" / "plumbing").mkdir(parents=True)
    files = {
        "top": TOP,
        "middle": MIDDLE,
        "low": LOW,
        "lazily": LAZILY,
        "alone": ALONE,
        "plumbing/errors": ERRORS,
        "hidden": LOW,
    }
    for name, code in files.items():
        (project.root / "pipeline" / f"{name}.py").write_text(code)
    return project


@pytest.fixture
def real(project):
    """A copy of the project's own code."""
    shutil.copytree(ROOT / "pipeline", project.root / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    return project


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""', '"""Another text."""'),
        ('"""A module."""\n', ""),
        ('    """A class."""', "    '''Of one\n    or two lines.'''"),
        ('    """An attribute."""\n', ""),
        ('"""A function."""', '"""Does it."""'),
        ('"""Only a docstring."""', "pass"),
        ("class Thing:", "# a comment\nclass Thing:  # and another"),
        ("gamma: float = 2.0", "gamma : float=2.00"),
        ('return half(x) + late(x, "text")', "return (half( x )\n            + late(x, 'text'))"),
    ],
)
def test_comments_docstrings_and_formatting_change_nothing(small, old, new):
    """They must not train anything again."""
    before = small.digest("pipeline.top")
    small.edit("top.py", old, new)
    assert small.digest("pipeline.top") == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("top.py", "gamma: float = 2.0", "gamma: float = 2.5"),
        ("top.py", "gamma: float = 2.0", "gamma: int = 2.0"),
        ("top.py", '"text"', '"other text"'),
        ("top.py", "+ late", "- late"),
        ("top.py", "def method", "@staticmethod\n    def method"),
        ("middle.py", "low.HALF * x", "x * low.HALF"),
        ("low.py", "0.5", "0.25"),
        ("lazily.py", "return x", "return y"),
    ],
)
def test_a_change_of_meaning_changes_the_digest(small, file, old, new):
    """Here, in what is imported, in what that imports, and in what a function imports when it is called."""
    before = small.digest("pipeline.top")
    small.edit(file, old, new)
    assert small.digest("pipeline.top") != before


def test_a_module_that_is_not_reached_changes_nothing(small):
    """Nobody pays for the code of others."""
    before = small.digest("pipeline.top")
    small.edit("alone.py", "0", "1")
    assert small.digest("pipeline.top") == before


@pytest.mark.parametrize(
    "statement",
    [
        "from pipeline import alone",
        "import pipeline.alone",
        "import pipeline.alone as other",
        "from pipeline.alone import NOTHING",
        "from pipeline.alone import NOTHING as other",
        "if True:\n    from pipeline import alone",
    ],
)
def test_every_form_of_import_is_followed(small, statement):
    """However it is written and wherever it stands."""
    small.edit("low.py", LOW, f"{statement}\n{LOW}")
    assert "pipeline.alone" in fingerprints.reached(["pipeline.top"])


@pytest.mark.parametrize("module", sorted(fingerprints.REPORT_ONLY))
def test_modules_that_only_report_are_not_reached(small, module):
    """Nor is what they import: no number depends on it."""
    path = small.root / (module.replace(".", "/") + ".py")
    path.parent.mkdir(exist_ok=True)
    path.write_text(ERRORS)
    small.edit("low.py", LOW, f"import {module}\n{LOW}")
    before = small.digest("pipeline.top")
    path.write_text(ERRORS + "NEW = 1\n")
    small.edit("hidden.py", "0.5", "0.1")
    assert small.digest("pipeline.top") == before
    assert not {module, "pipeline.hidden"} & fingerprints.reached(["pipeline.top"])


def test_a_module_that_only_reports_counts_where_it_is_named(real):
    """`publish` is all reporting: what it shows depends on `tracking`, which `check` therefore names."""
    names = ["pipeline.publish", "pipeline.plumbing.tracking"]
    before = real.digest(*names)
    real.edit("plumbing/tracking.py", "PATIENCE = 20", "PATIENCE = 21")
    assert real.digest(*names) != before


def test_modules_that_import_each_other_are_read_once(small):
    """A circle ends."""
    small.edit("low.py", LOW, f"import pipeline.top\n{LOW}")
    assert fingerprints.reached(["pipeline.low"]) == fingerprints.reached(["pipeline.top"])


def test_neither_order_nor_repetition_of_the_names_matters(small):
    """It is one set of modules."""
    one, other = ["pipeline.top", "pipeline.alone"], ["pipeline.alone", "pipeline.top", "pipeline.top"]
    assert small.digest(*one) == small.digest(*other) != small.digest("pipeline.top")


def test_equal_code_under_two_names_has_two_digests(small):
    """The name is part of it: a row of the table belongs to one file."""
    assert small.digest("pipeline.low") != small.digest("pipeline.hidden")


@pytest.mark.parametrize(
    ("reader", "file", "changes"),
    [
        ("losses.dice", "losses/dice.py", True),
        ("losses.dice", "losses/base.py", True),
        ("losses.dice", "plumbing/labels.py", True),
        ("losses.dice", "losses/focal.py", False),
        ("losses.dice", "strategies/class_weights.py", False),
        ("losses.dice", "datasets/digits.py", False),
        ("losses.dice", "learn/fit.py", False),
        ("strategies.oversample", "strategies/base.py", True),
        ("strategies.oversample", "strategies/rare_augment.py", False),
        ("train", "learn/fit.py", True),
        ("train", "learn/augmentation.py", True),
        ("train", "plumbing/random_streams.py", True),
        ("train", "losses/dice.py", False),
        ("train", "measure/metrics/region.py", False),
        ("train", "plumbing/tracking.py", False),
        ("evaluate", "measure/counts/surfaces.py", True),
        ("evaluate", "measure/metrics/region.py", False),
        ("evaluate", "learn/fit.py", False),
        ("gradients", "learn/gradients.py", True),
        ("gradients", "learn/criterion.py", True),
        ("gradients", "losses/dice.py", False),
        ("gradients", "measure/metrics/region.py", False),
        ("gradients", "measure/figures/gradients.py", False),
        ("report", "measure/metrics/region.py", True),
        ("report", "measure/figures/scores.py", True),
        ("report", "measure/page/page.html.j2", True),
        ("report", "learn/model.py", False),
        ("report", "learn/gradients.py", False),
    ],
)
def test_what_depends_on_what_in_this_project(real, reader, file, changes):
    """Each pair is a promise about what an edit costs."""
    before = real.digest(f"pipeline.{reader}")
    path = real.root / "pipeline" / file
    path.write_text(f"{path.read_text(encoding='utf-8')}\nNEW = 1\n", encoding="utf-8")
    assert (real.digest(f"pipeline.{reader}") != before) is changes


@pytest.fixture
def planned(small):
    """What a plan says of `top`."""
    return {"loss": {"kind": "top", **fingerprints.code_and_versions(["pipeline.top"])}}


def test_work_with_the_code_of_the_plan_is_done(small, planned):
    """Also after edits that mean the same, and of what is not reached."""
    small.edit("top.py", "class Thing:", "# a comment\nclass Thing:")
    small.edit("low.py", "HALF = 0.5", '"""New."""\nHALF   = 0.5')
    small.edit("alone.py", "0", "1")
    with fingerprints.as_planned(planned, {"seed": 0}):
        small.edit("alone.py", "1", "2")


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("low.py", "0.5", "0.25"),
        ("lazily.py", "return x", "return y"),
        ("top.py", "def method", "def method("),
        ("top.py", "half(x) +", "half(x) + 0 *"),
    ],
    ids=["imported", "imported late", "no Python any more", "named"],
)
def test_work_with_other_code_than_the_plan_s_is_refused_before_it_begins(small, planned, file, old, new):
    small.edit(file, old, new)
    with (
        pytest.raises(UserError, match=rf"^the code of pipeline/{file} has changed since `check` made the plan; "),
        fingerprints.as_planned(planned),
    ):
        pytest.fail("it was begun")


def test_an_edit_during_the_work_is_refused_at_its_end(small, planned):
    """Also of a file that is gone. What was read at the beginning says nothing of then."""
    with (
        pytest.raises(UserError, match=r"^the code of pipeline/lazily\.py, pipeline/low\.py has changed since"),
        fingerprints.as_planned(planned),
    ):
        small.edit("low.py", "0.5", "0.25")
        (small.root / "pipeline" / "lazily.py").unlink()


def test_code_that_is_put_back_during_the_work_is_that_of_the_plan(small, planned):
    """It was all loaded at the beginning."""
    with fingerprints.as_planned(planned):
        small.edit("low.py", "0.5", "0.25")
        small.edit("low.py", "0.25", "0.5")


def test_a_file_that_a_module_reads_is_part_of_its_code(small):
    (small.root / "pipeline" / "top.html.j2").write_text("<p>")
    planned = fingerprints.code_and_versions(["pipeline.top"])
    small.edit("top.html.j2", "<p>", "<b>")
    assert fingerprints.changed(planned) == ["pipeline/top.html.j2"]


def test_a_failure_of_the_work_is_not_hidden_by_an_edit(small, planned):
    with pytest.raises(ZeroDivisionError), fingerprints.as_planned(planned):
        small.edit("low.py", "0.5", "0.25")
        raise ZeroDivisionError


def test_another_version_of_a_library_is_refused(small):
    planned = {"code": {}, "versions": {"numpy": "1.0"}}
    with (
        pytest.raises(UserError, match=r"^numpy is \S+ here, and `check` made the plan with 1\.0\. Install require"),
        fingerprints.as_planned(planned),
    ):
        pytest.fail("it was begun")


def test_libraries_are_those_of_all_that_is_reached(small):
    """However they are imported; what is imported late through `lazy`, too."""
    small.edit("low.py", LOW, f"import numpy.linalg as la\nfrom skimage import measure\n{LOW}")
    small.edit("lazily.py", "return x", "from pipeline.plumbing.lazy import torch\n    import os.path\n    return x")
    small.edit("alone.py", "0", "0\nimport pandas")
    assert fingerprints.libraries(["pipeline.top"]) == {"numpy", "skimage", "torch"}


HEAVY = (
    "torch.nn",
    "torchvision",
    "mlflow",
    "albumentations",
    "cv2",
    "segmentation_models_pytorch",
    "matplotlib",
    "sklearn",
    "statsmodels",
    "pandas",
)
PROBE = f"""
import sys
from pathlib import Path
from pipeline import check
check.PARAMS = Path("presets/smoke.yaml")
check.make_plan()
assert "pipeline.losses.dice" in sys.modules
print([name for name in {HEAVY} if name in sys.modules])
"""


def test_check_reads_every_option_without_the_heavy_libraries():
    """A mistake is answered at once; the libraries of training and drawing take seconds to import."""
    done = subprocess.run([sys.executable, "-c", PROBE], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"

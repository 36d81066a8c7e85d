"""What every file in pipeline/datasets promises."""

import ast
import itertools
import subprocess
import sys

import pytest

from pipeline import check
from pipeline.datasets.camvid import CamVid
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError

KINDS = plugins.kinds("datasets")


@pytest.mark.parametrize("kind", KINDS)
def test_says_what_it_is(kind):
    dataset = plugins.find("datasets", kind, "test")
    assert dataset.license
    assert dataset.citation
    assert dataset.__doc__
    for word in ("Classes", "Splits"):
        assert word in dataset.__doc__


@pytest.mark.parametrize("kind", [*KINDS, "base"])
def test_every_option_is_explained_below_its_line(kind):
    tree = ast.parse((plugins.ROOT / "datasets" / f"{kind}.py").read_text())
    for body in (node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.bases):
        for line, following in itertools.pairwise(body):
            if isinstance(line, ast.AnnAssign) and "ClassVar" not in ast.unparse(line.annotation) and line.value:
                assert isinstance(following, ast.Expr), ast.unparse(line)
                assert isinstance(following.value.value, str)


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_option_is_refused_with_the_nearest(kind):
    with pytest.raises(UserError, match=r"params.yaml: axes.dataset.mine.imagesize: unknown key. .*'image_size'"):
        plugins.build("datasets", "mine", {"kind": kind, "imagesize": 64}, "params.yaml: axes.dataset.mine")


@pytest.mark.parametrize("size", [8, [64], [64, 64, 64], [64, 5000], "64"])
@pytest.mark.parametrize("kind", KINDS)
def test_senseless_sizes_are_refused(kind, size):
    with pytest.raises(UserError, match="image_size"):
        plugins.build("datasets", kind, {"image_size": size}, "test")


@pytest.mark.parametrize("kind", KINDS)
def test_number_of_archives_is_that_of_the_official_ones(kind):
    archives = [{"url": "https://example.org/a.zip"}] * 7
    with pytest.raises(UserError, match="archives"):
        plugins.build("datasets", kind, {"archives": archives}, "test")


NEEDED = {"folder": {"images": "images", "masks": "masks", "classes": ["cell", "rest"]}}


@pytest.mark.parametrize("kind", KINDS)
def test_keep_takes_the_names_of_classes_and_shares(kind):
    """Also where the classes are an option themselves."""
    where, options = "params.yaml: axes.dataset.mine", {"kind": kind, **NEEDED.get(kind, {})}
    name = plugins.build("datasets", "mine", options, where).classes[-1]
    assert plugins.build("datasets", "mine", options | {"keep": {name: 0.1}}, where).keep == {name: 0.1}
    with pytest.raises(UserError, match=rf"{where}: keep: no class '{name}s'\. Did you mean '{name}'\? Known: "):
        plugins.build("datasets", "mine", options | {"keep": {f"{name}s": 0.1}}, where)
    for share in (0, -1, 1.5, float("nan"), "half"):
        with pytest.raises(UserError, match=rf"{where}\.keep\.{name}: "):
            plugins.build("datasets", "mine", options | {"keep": {name: share}}, where)


def test_an_edit_of_keep_prepares_again_and_downloads_nothing():
    """`download` depends on the source alone."""
    plans = [check._dataset_plans({"camvid": CamVid(keep=keep)}) for keep in ({}, {"bicyclist": 0.1})]
    changed = {place for place, plan in plans[0].items() if plan != plans[1][place]}
    assert changed == {"dataset/camvid", "prepare/camvid"}


def test_import_is_light():
    """`check` imports all of them and must answer in a second."""
    imports = "\n".join(f"import pipeline.datasets.{kind}" for kind in KINDS)
    heavy = "{'torch', 'sklearn', 'scipy', 'matplotlib', 'PIL', 'pandas'}"
    code = f"{imports}\nimport sys; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"

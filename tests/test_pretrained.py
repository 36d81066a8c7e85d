"""Pretrained weights in the pipeline: missing ones are named once before the first cell, and judging needs none."""

import subprocess

import pytest

from tests.miniature import Miniature

CELL = "digits-unet_tiny-cross_entropy-none-0"


SENTENCE = "error: The pretrained weights of encoder 'tu-tf_efficientnet_lite0' are not in "
ALONE = {"BENCHMARK_WARM": ""}  # a stage loads the libraries itself, and they read where the cache is


@pytest.fixture(scope="module")
def nowhere(tmp_path_factory) -> dict[str, str]:
    """Neither a cache nor a network."""
    return {"HF_HOME": str(tmp_path_factory.mktemp("empty")), "HF_ENDPOINT": "http://127.0.0.1:9"}


@pytest.fixture(scope="module")
def refused(tmp_path_factory, nowhere) -> tuple[Miniature, subprocess.CompletedProcess]:
    """One cell, whose model begins with pretrained weights, and what came of a run without them."""
    made = Miniature.create(tmp_path_factory.mktemp("pretrained") / "work")
    model = {"encoder": "tu-tf_efficientnet_lite0", "weights": "imagenet", "depth": 3, "decoder_width": 4}
    one = {"axes__loss": {"cross_entropy": {}}, "axes__strategy": {"none": {}}}
    made.edit_params(axes__model__unet_tiny=model, **one)
    return made, made.run("pipeline.run", check=False, **nowhere)


def test_missing_weights_stop_a_run_with_one_sentence_before_its_first_stage_of_a_cell(refused):
    made, found = refused
    assert found.returncode == 1
    assert [line.startswith(SENTENCE) for line in found.stderr.splitlines() if "error" in line.lower()] == [True]
    assert (made.root / "data" / "prepared" / "digits").is_dir()
    assert not (made.root / ".cache" / "logs").exists()


def test_a_cell_says_the_same_where_it_is_run_alone_and_with_them_its_model_is_complete(refused, nowhere, pretrained):
    """As `dvc repro` runs it; the model is judged on a machine without the weights."""
    made, _ = refused
    made.run("pipeline.tune", CELL.rsplit("-", 2)[0])
    found = made.run("pipeline.train", CELL, check=False, **nowhere, **ALONE)
    assert (found.returncode, found.stderr.startswith(SENTENCE), found.stderr.count("\n")) == (1, True, 1)
    weights = {"HF_HOME": str(pretrained), "HF_HUB_OFFLINE": "1"}
    found = made.run("pipeline.pretrained", **weights, **ALONE)
    assert found.stdout == "unet_tiny: the imagenet weights of tu-tf_efficientnet_lite0 are here.\n"
    assert "Warning" not in made.run("pipeline.train", CELL, **weights, **ALONE).stderr
    made.run("pipeline.evaluate", **nowhere, **ALONE)
    assert (made.root / "results" / "counts" / CELL).is_dir()

"""What `python -m pipeline.run --dry` says, and that it does nothing."""

import re
from pathlib import Path

import pytest

from tests.miniature import Miniature

pytestmark = pytest.mark.xdist_group("miniature b")

MAY_CHANGE = {Path("dvc.lock"), Path("data/plan")}  # by `check`, as at the beginning of every run
MAY_CHANGE |= {Path(".cache/run.lock")}  # which names the process


def files(root: Path) -> dict[Path, bytes]:
    """All that a run could change, but the plan and what DVC says of it."""
    folders = ("data", "models", "results", ".cache")
    found = [path for folder in folders for path in (root / folder).rglob("*") if path.is_file()]
    places = {path.relative_to(root): path.read_bytes() for path in found}
    return {place: content for place, content in places.items() if not any(map(place.is_relative_to, MAY_CHANGE))}


def said(workspace: Miniature, *options: str) -> list[str]:
    """The lines after those of `check`, with single spaces."""
    lines = workspace.run("pipeline.run", "--dry", *options, BENCHMARK_DEVICE="cpu").stdout.splitlines()
    return [" ".join(line.split()) for line in lines if re.match(r"(tune|train|repeat) |Estimate|No |Nothing", line)]


def test_it_names_what_would_run_with_an_estimate_and_changes_nothing(workspace):
    """One more seed, a strategy that trains nothing, and a repeat of the control."""
    assert said(workspace) == ["No search and no cell would run."]
    workspace.edit_params(
        axes__seed=[0, 1],
        axes__strategy={"none": {}, "post_hoc": {"kind": "post_hoc_logit_adjustment"}},
        report__noise_floor=[5],
    )
    before = files(workspace.root)
    lines = said(workspace, "-j", "3")
    assert files(workspace.root) == before
    counted = [line.rpartition(", about ")[0] for line in lines[:-1]]
    assert counted == [
        "train digits × unet_tiny × cross_entropy 3 cells",
        "train digits × unet_tiny × dice 3 cells",
        "repeat digits × unet_tiny × cross_entropy 1 repeat",
    ]
    assert re.fullmatch(
        r"Estimate from a few steps of each kind: about \d+ s, 3 at a time; about [\d.]+ MB of disk, and [\d.]+ MB more "
        r"while they run\.",
        lines[-1],
    )


def test_before_there_is_data_it_can_say_nothing_of_the_time(workspace):
    """A new dataset, beside one that is there; with a search of its own for each loss."""
    block = {"kind": "digits", "image_size": 32, "train_images": 16, "val_images": 10, "test_images": 10}
    workspace.edit_params(axes__dataset__more=block, axes__strategy={"none": {}})
    assert said(workspace) == [
        "tune more × unet_tiny × cross_entropy 1 search",
        "tune more × unet_tiny × dice 1 search",
        "train more × unet_tiny × cross_entropy 1 cell",
        "train more × unet_tiny × dice 1 cell",
        "Nothing can be said of the time before `dvc repro prepare` has run.",
    ]
    assert not (workspace.root / "data" / "prepared" / "more").exists()

"""Many cells at once, through DVC itself."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from pipeline.measure.metrics.table import METRICS
from tests.miniature import Miniature, interruptible

pytestmark = pytest.mark.xdist_group("miniature b")


@pytest.fixture(scope="module")
def parallel(tmp_path_factory) -> tuple[Miniature, str]:
    """The smoke preset with a repeat of the control, and what the command said."""
    made = Miniature.create(tmp_path_factory.mktemp("parallel") / "work")
    made.edit_params(report__noise_floor=[1])
    return made, made.run("pipeline.run", "-j", "2").stdout


def test_it_ends_with_the_leaderboard_and_how_to_open_the_runs(parallel):
    workspace, said = parallel
    assert re.findall(r"\[(\d/\d)\] (?:train|repeat)@", said) == [f"{done}/5" for done in range(1, 6)]
    assert said.count("] repeat@digits-unet_tiny-cross_entropy-none-1 ") == 1
    assert said.rstrip().endswith(
        "Report: results/report/index.html. Every run: `make ui`, then http://127.0.0.1:5000."
    )
    assert len(pd.read_csv(workspace.root / "results" / "leaderboard.csv")) == 4


def test_a_plain_repro_then_has_nothing_to_do(parallel):
    workspace, _ = parallel
    assert workspace.status() == set()
    assert "Data and pipelines are up to date." in workspace.dvc("repro").stdout


def test_it_gives_the_results_of_one_cell_after_another(parallel, finished):
    """All but what it cost."""
    workspace, _ = parallel
    cost = [
        f"{name}{end}" for name in METRICS if METRICS[name].family == "cost" for end in ("", "_std", "_low", "_high")
    ]
    for name in ("leaderboard", "cells", "tables/per_class"):
        ours, theirs = (pd.read_csv(each.root / "results" / f"{name}.csv") for each in (workspace, finished))
        ours = ours[ours["seed"] == 0] if "seed" in ours else ours  # without the repeat
        pd.testing.assert_frame_equal(*(each.drop(columns=cost, errors="ignore") for each in (ours, theirs)))


def test_one_failed_cell_stops_no_other_and_is_named(workspace):
    """A loss that raises is a defect, not a divergence."""
    loss = (workspace.root / "pipeline" / "losses" / "l1.py").read_text()
    broken = loss.replace(
        "        return batch.", '        raise RuntimeError("broken on purpose")\n        return batch.'
    )
    (workspace.root / "pipeline" / "losses" / "broken.py").write_text(broken)
    losses = {"broken": {}, "cross_entropy": {}, "dice": {}, "l1": {}}
    workspace.edit_params(axes__loss=losses, axes__strategy={"none": {}})
    found = workspace.run("pipeline.run", "-j", "2", check=False)
    assert found.returncode == 1
    assert "error: 1 of 2 cells failed, the others are in the report; the reason stands in .cache/logs/" in found.stderr
    assert "broken on purpose" in next((workspace.root / ".cache" / "logs").glob("*broken-*")).read_text()
    board = pd.read_csv(workspace.root / "results" / "leaderboard.csv").set_index(["loss", "strategy"])["n"]
    assert (board["l1", "none"], board["broken", "none"]) == (1, 0)


def test_an_interrupt_starts_no_other_cell(tmp_path):
    """As Ctrl-C does, which reaches the whole group of processes."""
    workspace = Miniature.create(tmp_path / "work")
    workspace.edit_params(axes__seed=list(range(10)))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline.run", "-j", "2"],
        cwd=workspace.root,
        env={**os.environ, "PATH": path},
        start_new_session=True,
        preexec_fn=interruptible,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not list((workspace.root / ".cache").glob("logs/*")):
        time.sleep(0.1)
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert len(list((workspace.root / ".cache" / "logs").iterdir())) <= 2
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_no_jobs_is_one_sentence(finished):
    found = finished.run("pipeline.run", "-j", "0", check=False)
    assert (found.returncode, found.stderr) == (1, "error: --jobs 0: must be 1 or more.\n")


def test_a_changed_file_of_a_folder_dataset_is_noticed(tmp_path):
    """It lies outside what DVC watches."""
    import numpy as np
    from PIL import Image

    workspace = Miniature.create(tmp_path / "work")
    for index in range(12):
        mask = np.zeros((32, 32), np.uint8)
        mask[: 4 + index, :9] = 1
        for kind, pixels in (("images", np.stack([mask * 200] * 3, axis=-1)), ("masks", mask)):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / kind / f"{index:02}.png")
    mine = {
        "kind": "folder",
        "images": "../images",
        "masks": "../masks",
        "classes": ["no, none", "yes (some)"],
        "image_size": 32,
    }
    workspace.edit_params(axes__dataset={"mine": mine}, axes__loss={"cross_entropy": {}}, axes__strategy={"none": {}})
    workspace.dvc("repro", "train")
    assert not [stage for stage in workspace.status() if stage.startswith("train@")]

    Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(tmp_path / "images" / "03.png")
    said = workspace.run("pipeline.run", "-j", "1").stdout
    assert "[1/1] train@mine-unet_tiny-cross_entropy-none-0" in said
    assert workspace.status() == set()

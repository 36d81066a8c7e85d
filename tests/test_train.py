"""Training one cell: reproducible, paired, and recorded even where it fails."""

import json

import pytest

from tests.miniature import Miniature

pytestmark = pytest.mark.xdist_group("miniature a")

REPEATABLE = ("cell.json", "history.csv", "model/config.json", "model/model.safetensors")


def files_of(workspace: Miniature, cell: str) -> dict[str, bytes]:
    return {name: (workspace.root / "models" / cell / name).read_bytes() for name in REPEATABLE}


def test_equal_seeds_give_equal_bits_from_the_weights_to_the_counts(workspace):
    cell = "digits-unet_tiny-dice-class_weights-0"
    counts = workspace.root / "results" / "counts" / f"{cell}.parquet"
    first = files_of(workspace, cell), counts.read_bytes()
    for cached in (workspace.root / ".cache").glob("evaluate/*"):
        cached.rename(workspace.root / f"moved-{cached.name}")
    workspace.run("pipeline.train", cell)
    workspace.run("pipeline.evaluate")
    assert (files_of(workspace, cell), counts.read_bytes()) == first


PROBE = """
import hashlib, json, sys, torch
from pipeline import train
from pipeline.learn import training
from pipeline.plumbing.cells import Cell

class Stop(Exception): pass

def look(model, loss, batches, *_, **__):
    weights = hashlib.md5(b"".join(t.numpy().tobytes() for t in model.state_dict().values())).hexdigest()
    seen = hashlib.md5(b"".join(t.numpy().tobytes() for batch in batches for t in batch)).hexdigest()
    print("SEEN", json.dumps([weights, seen])); raise Stop

training.fit = look
try: train.train(Cell.parse(sys.argv[1]))
except Stop: pass
"""


def test_at_one_seed_every_loss_meets_the_same_weights_and_batches(workspace):
    (workspace.root / "probe.py").write_text(PROBE)
    workspace.edit_params(axes__seed=[0, 1])
    workspace.run("pipeline.check")
    seen = {}
    for name in ("cross_entropy-none-0", "dice-none-0", "dice-class_weights-0", "dice-none-1"):
        found = workspace.run("probe", f"digits-unet_tiny-{name}").stdout
        seen[name] = json.loads(found.split("SEEN")[1].splitlines()[0])
    assert seen["dice-none-0"] == seen["cross_entropy-none-0"] == seen["dice-class_weights-0"]
    assert seen["dice-none-1"][0] != seen["dice-none-0"][0]
    assert seen["dice-none-1"][1] != seen["dice-none-0"][1]


def test_divergence_is_a_result_and_the_matrix_goes_on(workspace):
    workspace.edit_params(
        axes__loss={"cross_entropy": {}, "dice": {}}, fit__optimizer="sgd", fit__lr=1e12, fit__iterations=8
    )
    assert workspace.dvc("repro", check=False).returncode == 0
    facts = json.loads((workspace.root / "models" / "digits-unet_tiny-cross_entropy-none-0" / "cell.json").read_text())
    assert facts["status"] == "diverged"
    assert 1 < facts["diverged_at"] <= 8
    table = (workspace.root / "results" / "leaderboard.md").read_text()
    assert f"seed 0 diverged at iteration {facts['diverged_at']}" in table


@pytest.mark.parametrize("name", ["digits-unet_tiny-dice-none", "digits-unet_tiny-dice-none-x", ""])
def test_a_name_that_is_no_cell_is_one_sentence(workspace, name):
    found = workspace.run("pipeline.train", name, check=False)
    assert found.returncode == 1
    assert found.stderr == f"error: {name}: not a cell; it must read DATASET-MODEL-LOSS-STRATEGY-SEED.\n"


@pytest.mark.parametrize("uri", ["sqlite:////dev/null/mlflow.db", "http://127.0.0.1:9"])
def test_a_dead_mlflow_neither_stops_nor_changes_a_training(workspace, uri):
    cell = "digits-unet_tiny-dice-none-0"
    before = files_of(workspace, cell)
    found = workspace.run("pipeline.train", cell, MLFLOW_TRACKING_URI=uri)
    assert files_of(workspace, cell) == before
    assert found.stderr.count("warning: MLflow: ") == 1

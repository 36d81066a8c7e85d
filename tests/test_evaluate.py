"""The test split is judged by saved models, under the decision that a strategy fits on the validation split."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, jaccard_score

from pipeline.evaluate import obstacle
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.files import write_json
from tests.miniature import Miniature

pytestmark = pytest.mark.xdist_group("miniature b")

CELL = "digits-unet_tiny-cross_entropy-{}-0".format
COUNTS, PREDICTIONS = Path("results/counts"), Path("results/predictions")
DECIDING = {"class_thresholds": "none", "both": "both", "idle": "none"}
"""Strategies that act on decisions, each with the one whose weights it judges."""


def logits_and_truth(workspace: Miniature, strategy: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits `n c h w` of a saved model by a direct forward pass, and the true masks."""
    import torch

    from pipeline.learn import model as unet

    directory, prepared = workspace.root / "models" / CELL(strategy), workspace.root / "data" / "prepared" / "digits"
    facts = json.loads((directory / "cell.json").read_text())
    model = unet.load(directory / "model", facts["mean"], facts["std"]).unet
    x = (np.load(prepared / f"{split}_images.npy") / 255 - np.array(facts["mean"])) / np.array(facts["std"])
    with torch.inference_mode():
        logits = model(torch.tensor(x.transpose(0, 3, 1, 2), dtype=torch.float32))
    return logits.numpy(), np.load(prepared / f"{split}_masks.npy")


def decision(workspace: Miniature, strategy: str) -> dict:
    return json.loads((workspace.root / COUNTS / f"{CELL(strategy)}.decision.json").read_text())


def decided(logits: np.ndarray, offsets: list[float]) -> np.ndarray:
    return (logits + np.array(offsets)[:, None, None]).argmax(axis=1)


def test_a_decision_to_add_nothing_gives_the_counts_of_the_weights_it_judges(deciding):
    for place in (COUNTS / "{}.parquet", PREDICTIONS / "{}.npz"):
        own, source = (
            (deciding.root / str(place).format(CELL(strategy))).read_bytes() for strategy in ("idle", "none")
        )
        assert own == source
    found = decision(deciding, "idle")
    assert found["offsets"] == [0.0] * 5
    assert found["val_miou"] == found["val_miou_before"]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # in from_pretrained of the library
@pytest.mark.parametrize("strategy", ["class_thresholds", "both"])
def test_the_test_split_is_judged_under_the_decision(deciding, strategy):
    """With weights of another cell, and with own ones; against scikit-learn on a direct prediction."""
    logits, truth = logits_and_truth(deciding, DECIDING[strategy], "test")
    matrix = confusion_matrix(truth.ravel(), decided(logits, decision(deciding, strategy)["offsets"]).ravel())
    assert (matrix != confusion_matrix(truth.ravel(), logits.argmax(axis=1).ravel())).any(), "the decision does nothing"
    counts = pd.read_parquet(deciding.root / COUNTS / f"{CELL(strategy)}.parquet").groupby("class_index").sum()
    tp = matrix.diagonal()
    for name, expected in {"tp": tp, "fp": matrix.sum(axis=0) - tp, "fn": matrix.sum(axis=1) - tp}.items():
        np.testing.assert_allclose(counts[name], expected, atol=2, err_msg=name)  # pixels may tie within rounding


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # as above
@pytest.mark.parametrize("strategy", ["class_thresholds", "both"])
def test_the_scores_of_a_decision_are_those_of_the_validation_split(deciding, strategy):
    logits, truth = logits_and_truth(deciding, DECIDING[strategy], "val")
    found = decision(deciding, strategy)
    for key, offsets in (("val_miou_before", [0.0] * 5), ("val_miou", found["offsets"])):
        predicted = decided(logits, offsets)
        classes = np.union1d(truth, predicted)
        expected = jaccard_score(truth.ravel(), predicted.ravel(), labels=classes, average="macro")
        assert found[key] == pytest.approx(expected, abs=1e-4)
    assert found["val_miou"] > found["val_miou_before"]


def test_without_a_decision_the_validation_split_is_not_even_opened(deciding, tmp_path):
    """And what is counted stays, byte for byte."""
    workspace = deciding.copy(tmp_path / "work")
    kept, before = COUNTS / f"{CELL('none')}.parquet", (deciding.root / COUNTS / f"{CELL('none')}.parquet").read_bytes()
    for strategy in DECIDING:
        (workspace.root / "models" / CELL(strategy)).rename(workspace.root / f"moved-{strategy}")
    for split in (workspace.root / "data" / "prepared" / "digits").glob("val_*.npy"):
        split.unlink()
    (workspace.root / ".cache" / "evaluate").rename(workspace.root / "moved-cache")
    workspace.run("pipeline.evaluate")
    assert (workspace.root / kept).read_bytes() == before
    assert not list((workspace.root / COUNTS).glob("*.json"))


def test_an_edit_of_a_decision_trains_nothing_but_judges_again(deciding, tmp_path):
    """And the other cells are not predicted again."""
    workspace = deciding.copy(tmp_path / "work")
    assert workspace.status() == set()
    workspace.edit("pipeline/strategies/idle.py", "np.zeros(", "0.5 + np.zeros(")
    assert workspace.stale_after_check() == {f"train@{CELL('idle')}"}
    kept = {file: file.stat().st_mtime_ns for file in (workspace.root / ".cache").glob("evaluate/*/*.parquet")}
    assert "trains nothing" in workspace.dvc("repro", "evaluate").stdout
    after = {file: file.stat().st_mtime_ns for file in (workspace.root / ".cache").glob("evaluate/*/*.parquet")}
    assert kept.items() < after.items()
    assert len(after) == len(kept) + 1
    assert decision(workspace, "idle")["offsets"] == [0.5] * 5
    assert {"report", "publish"} <= workspace.status()


def test_weights_that_are_not_there_are_named_and_the_others_judged(deciding, tmp_path):
    workspace = deciding.copy(tmp_path / "work")
    (workspace.root / "models" / CELL("none")).rename(workspace.root / "moved")
    found = workspace.run("pipeline.evaluate")
    for strategy in ("class_thresholds", "idle"):
        assert f"{CELL(strategy)}: left out, it judges the weights of {CELL('none')}, which is missing." in found.stdout
    assert sorted(file.name for file in (workspace.root / COUNTS).glob("*cross_entropy*.json")) == [
        f"{CELL('both')}.decision.json"
    ]


REUSED = {"status": "reused", "weights_of": "d-m-l-none-0"}


def facts_of(strategy: str, **facts) -> dict:
    """What cell.json holds, as far as it matters here."""
    plan = {"strategy": {"kind": strategy, "code": "1"}}
    return {"cell": Cell("d", "m", "l", strategy, 0)._asdict(), "plan": plan, "data_digest": "new"} | facts


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (None, "which is missing"),
        ({"status": "finished"}, ""),
        ({"status": "diverged", "diverged_at": 7}, "which diverged at iteration 7"),
        ({"status": "finished", "data_digest": "old"}, "which rests on data that is no longer prepared"),
    ],
)
def test_reused_weights_are_judged_if_they_themselves_would_be(tmp_path, monkeypatch, source, reason):
    monkeypatch.chdir(tmp_path)
    if source:
        write_json(tmp_path / "models" / "d-m-l-none-0" / "cell.json", facts_of("none", **source))
    expected = f"judges the weights of d-m-l-none-0, {reason}" if reason else ""
    assert obstacle(facts_of("class_thresholds", **REUSED), {"d": "new"}) == expected


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (facts_of("none", status="finished"), ""),
        (facts_of("none", status="diverged", diverged_at=3), "diverged at iteration 3"),
        (facts_of("none", status="finished", data_digest="old"), "rests on data that is no longer prepared"),
        (
            facts_of("class_weightz", status="finished"),
            "has a strategy that can no longer be built (strategy class_weightz: no pipeline/strategies/class_weightz.py.",
        ),
    ],
)
def test_a_cell_that_cannot_be_judged_says_why(facts, reason):
    """Cells that params.yaml no longer names may lie in models/ for years; they must not stop the others."""
    found = obstacle(facts, {"d": "new"})
    assert found.startswith(reason)
    assert bool(found) == bool(reason)


def test_a_dataset_that_is_no_longer_prepared_leaves_its_cells_out():
    assert obstacle(facts_of("none", status="finished"), {}) == "rests on data that is no longer prepared"

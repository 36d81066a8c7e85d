"""The test split is judged by saved models, under the decision that a strategy fits on the validation split."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file, save_file
from scipy.optimize import minimize_scalar
from sklearn.metrics import confusion_matrix, jaccard_score, log_loss

from pipeline.evaluate import Obstacle, judgeable
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.files import write_json
from tests.direct_prediction import logits_and_truth
from tests.miniature import Miniature

pytestmark = pytest.mark.xdist_group("miniature b")

CELL = "digits-unet_tiny-cross_entropy-{}-0".format
COUNTS, PREDICTIONS = Path("results/counts"), Path("results/predictions")
DECIDING = {"class_thresholds": "none", "both": "both", "idle": "none"}
"""Strategies that act on decisions, each with the one whose weights it judges."""


def stored(workspace: Miniature, strategy: str, table: str) -> pd.DataFrame:
    return pd.read_parquet(workspace.root / COUNTS / CELL(strategy) / f"{table}.parquet")


def evaluation(workspace: Miniature, strategy: str) -> dict:
    return json.loads((workspace.root / COUNTS / CELL(strategy) / "evaluation.json").read_text())


def decision(workspace: Miniature, strategy: str) -> dict:
    return evaluation(workspace, strategy)["decision"]


def direct(workspace: Miniature, strategy: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits and truth of the weights that a strategy is judged with."""
    return logits_and_truth(workspace.root, CELL(DECIDING.get(strategy, strategy)), split)


def decided(logits: np.ndarray, offsets: list[float]) -> np.ndarray:
    return (logits + np.array(offsets)[:, None, None]).argmax(axis=1)


def kept(workspace: Miniature) -> dict[Path, int]:
    """The evaluations in the cache with the time at which they were made."""
    return {file: file.stat().st_mtime_ns for file in (workspace.root / ".cache" / "evaluate").glob("*/*.npz")}


def test_a_decision_to_add_nothing_gives_the_counts_of_the_weights_it_judges(deciding):
    for place in (
        *(COUNTS / "{}" / f"{table}.parquet" for table in ("classes", "images", "bins")),
        PREDICTIONS / "{}.npz",
    ):
        own, source = (
            (deciding.root / str(place).format(CELL(strategy))).read_bytes() for strategy in ("idle", "none")
        )
        assert own == source
    found = decision(deciding, "idle")
    assert found["offsets"] == [0.0] * 5
    assert found["val_miou"] == found["val_miou_before"]
    assert evaluation(deciding, "idle") == evaluation(deciding, "none") | {"decision": found}


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # in from_pretrained of the library
@pytest.mark.parametrize("strategy", ["class_thresholds", "both"])
def test_the_test_split_is_judged_under_the_decision(deciding, strategy):
    """With weights of another cell, and with own ones; against scikit-learn on a direct prediction."""
    logits, truth = direct(deciding, strategy, "test")
    predicted = decided(logits, decision(deciding, strategy)["offsets"])
    matrix = confusion_matrix(truth.ravel(), predicted.ravel())
    assert (matrix != confusion_matrix(truth.ravel(), logits.argmax(axis=1).ravel())).any(), "the decision does nothing"
    counts = stored(deciding, strategy, "classes").groupby("class_index").sum()
    tp = matrix.diagonal()
    for name, expected in {"tp": tp, "fp": matrix.sum(axis=0) - tp, "fn": matrix.sum(axis=1) - tp}.items():
        np.testing.assert_allclose(counts[name], expected, atol=2, err_msg=name)  # pixels may tie within rounding
    with np.load(deciding.root / PREDICTIONS / f"{CELL(strategy)}.npz") as file:
        assert file["masks"].dtype == np.uint8
        assert (file["masks"] != predicted).sum() <= 2


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # as above
@pytest.mark.parametrize("strategy", ["class_thresholds", "both"])
def test_the_scores_of_a_decision_are_those_of_the_validation_split(deciding, strategy):
    logits, truth = direct(deciding, strategy, "val")
    found = decision(deciding, strategy)
    for key, offsets in (("val_miou_before", [0.0] * 5), ("val_miou", found["offsets"])):
        predicted = decided(logits, offsets)
        classes = np.union1d(truth, predicted)
        expected = jaccard_score(truth.ravel(), predicted.ravel(), labels=classes, average="macro")
        assert found[key] == pytest.approx(expected, abs=1e-4)
    assert found["val_miou"] > found["val_miou_before"]


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # as above
@pytest.mark.parametrize("strategy", ["none", "class_thresholds"])
def test_the_temperature_is_fitted_on_validation_and_used_on_test(deciding, strategy):
    """Of the logits as they are decided on; against scikit-learn on a direct prediction and a solver of SciPy."""
    offsets = evaluation(deciding, strategy).get("decision", {"offsets": [0.0] * 5})["offsets"]

    def nll(split: str, temperature: float) -> float:
        logits, truth = splits[split]
        scores = (logits + np.array(offsets)[:, None, None]).transpose(0, 2, 3, 1).reshape(-1, 5) / temperature
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        return log_loss(truth.ravel(), odds / odds.sum(axis=1, keepdims=True), labels=range(5))

    splits = {split: direct(deciding, strategy, split) for split in ("val", "test")}
    found = evaluation(deciding, strategy)["temperature"]
    fitted = minimize_scalar(lambda temperature: nll("val", temperature), bounds=(0.05, 20), method="bounded")
    assert found == pytest.approx(fitted.x, rel=1e-2)
    sums = stored(deciding, strategy, "images").sum()
    assert sums["nll"] / sums["pixels"] == pytest.approx(nll("test", 1.0), rel=1e-5)
    assert sums["nll_scaled"] / sums["pixels"] == pytest.approx(nll("test", found), rel=1e-5)


def test_the_test_split_fits_nothing(deciding, tmp_path):
    """With other test images decision and temperature stay, and the images that stayed are counted as before."""
    workspace = deciding.copy(tmp_path / "work")
    file = workspace.root / "data" / "prepared" / "digits" / "test_images.npy"
    images = np.load(file)
    images[5:] = 255 - images[5:]
    np.save(file, images)
    shutil.rmtree(workspace.root / ".cache" / "evaluate")
    workspace.run("pipeline.evaluate")
    for strategy in ("none", *DECIDING):
        assert evaluation(workspace, strategy) == evaluation(deciding, strategy)
        before, after = (stored(each, strategy, "images") for each in (deciding, workspace))
        pd.testing.assert_frame_equal(before[:5], after[:5])
        assert (before["nll"] != after["nll"])[5:].all()


def test_an_edit_of_a_decision_trains_nothing_but_judges_again(deciding, tmp_path):
    """And the other cells are not predicted again."""
    workspace = deciding.copy(tmp_path / "work")
    assert workspace.status() == set()
    workspace.edit("pipeline/strategies/idle.py", "np.zeros(", "0.5 + np.zeros(")
    refused = workspace.run("pipeline.evaluate", check=False)
    assert refused.stderr.startswith(
        "error: the code of pipeline/strategies/idle.py has changed since `check` made the plan"
    )
    assert workspace.stale_after_check() == {f"train@{CELL('idle')}"}
    before = kept(workspace)
    assert "trains nothing" in workspace.dvc("repro", "evaluate").stdout
    after = kept(workspace)
    assert before.items() < after.items()
    assert len(after) == len(before) + 1
    assert decision(workspace, "idle")["offsets"] == [0.5] * 5
    assert {"report", "publish"} <= workspace.status()


def add_cell(workspace: Miniature) -> str:
    """A cell of another seed, as if it had just been trained: other weights under a new name."""
    name = CELL("none").removesuffix("0") + "7"
    new = workspace.root / "models" / name
    shutil.copytree(workspace.root / "models" / CELL("none"), new)
    facts = json.loads((new / "cell.json").read_text())
    write_json(new / "cell.json", facts | {"cell": facts["cell"] | {"seed": 7}})
    weights = load_file(new / "model" / "model.safetensors")
    weights["segmentation_head.0.bias"] += np.array([0.0, 9.0, 0.0, 0.0, 0.0], np.float32)
    save_file(weights, new / "model" / "model.safetensors")
    return name


def test_after_one_new_cell_exactly_that_cell_is_predicted(workspace):
    """What was kept of the others is neither made again nor lost."""
    before, old = kept(workspace), sorted((workspace.root / PREDICTIONS).iterdir())
    name = add_cell(workspace)
    assert f"{len(old) + 1} cells, 1 of them predicted now." in workspace.run("pipeline.evaluate").stdout
    after = kept(workspace)
    assert before.items() < after.items()
    (new,) = after.keys() - before.keys()
    assert new.read_bytes() == (workspace.root / PREDICTIONS / f"{name}.npz").read_bytes()
    assert sorted((workspace.root / PREDICTIONS).iterdir()) == sorted(
        [*old, workspace.root / PREDICTIONS / f"{name}.npz"]
    )
    assert f"{len(old) + 1} cells, 0 of them predicted now." in workspace.run("pipeline.evaluate").stdout
    assert kept(workspace) == after


def test_an_evaluation_that_was_damaged_in_the_cache_is_made_again(workspace):
    """To the same bytes. One is cut, and of one a file is gone."""
    results = {file: file.read_bytes() for file in sorted((workspace.root / "results/counts").rglob("*.parquet"))}
    cut, gone, *others = sorted((workspace.root / ".cache" / "evaluate").iterdir())
    masks = (cut / "predictions.npz").read_bytes()
    (cut / "predictions.npz").write_bytes(masks[: len(masks) // 2])
    (gone / "counts" / "classes.parquet").unlink()
    found = workspace.run("pipeline.evaluate").stdout
    assert f"{len(others) + 2} cells, 2 of them predicted now." in found
    assert {file: file.read_bytes() for file in results} == results
    assert (cut / "predictions.npz").read_bytes() == masks


def test_weights_that_are_not_there_are_named_and_the_others_judged(deciding, tmp_path):
    workspace = deciding.copy(tmp_path / "work")
    (workspace.root / "models" / CELL("none")).rename(workspace.root / "moved")
    found = workspace.run("pipeline.evaluate")
    for strategy in ("class_thresholds", "idle"):
        assert f"{CELL(strategy)}: left out, it judges the weights of {CELL('none')}, which is missing." in found.stdout
    judged = {directory.name for directory in (workspace.root / COUNTS).glob("*-cross_entropy-*-0")}
    assert judged == {CELL("both"), CELL("class_weights")}
    assert {file.stem for file in (workspace.root / PREDICTIONS).glob("*-cross_entropy-*-0.npz")} == judged


REUSED = {"status": "reused", "weights_of": "d-m-l-none-0"}


def facts_of(strategy: str, **facts) -> dict:
    """What cell.json holds, as far as it matters here."""
    cell = Cell("d", "m", "l", strategy, 0)._asdict()
    return {"cell": cell, "plan": planned(strategy, {}), "data_digest": "new"} | facts


def planned(strategy: str, code: dict[str, str]) -> dict:
    return {"strategy": {"kind": strategy, "code": code}}


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
    facts = facts_of("class_thresholds", **REUSED)
    if not reason:
        assert judgeable(facts, {"d": "new"}).weights == "d-m-l-none-0"
        return
    with pytest.raises(Obstacle, match=f"^judges the weights of d-m-l-none-0, {reason}$"):
        judgeable(facts, {"d": "new"})


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (facts_of("none", status="diverged", diverged_at=3), "diverged at iteration 3"),
        (facts_of("none", status="finished", data_digest="old"), "rests on data that is no longer prepared"),
        (
            facts_of("class_weightz", status="finished"),
            "has a strategy that can no longer be built (strategy class_weightz: no pipeline/strategies/class_weightz.py.",
        ),
        (
            facts_of(
                "class_thresholds", status="finished", plan=planned("class_thresholds", {"pipeline/train.py": "old"})
            ),
            "has a strategy whose code has changed since it was trained",
        ),
    ],
)
def test_a_cell_that_cannot_be_judged_says_why(facts, reason):
    """Cells that params.yaml no longer names may lie in models/ for years; they must not stop the others."""
    with pytest.raises(Obstacle, match="^" + re.escape(reason)):
        judgeable(facts, {"d": "new"})


def test_a_dataset_that_is_no_longer_prepared_leaves_its_cells_out():
    with pytest.raises(Obstacle, match=r"^rests on data that is no longer prepared$"):
        judgeable(facts_of("none", status="finished"), {})


def test_a_finished_cell_is_judged_by_its_own_weights_and_strategy():
    found = judgeable(facts_of("none", status="finished"), {"d": "new"})
    assert (found.cell.name, found.weights) == ("d-m-l-none-0", "d-m-l-none-0")
    assert type(found.strategy).__name__ == "NoStrategy"

"""MLflow is a view: `publish` completes it, rebuilds it, and changes nothing when there is nothing to change."""

import json
import shutil
from typing import Any

import pandas as pd
import pytest

from pipeline.measure.metrics.table import METRICS
from tests.exported_runs import runs
from tests.miniature import Miniature

pytestmark = pytest.mark.xdist_group("miniature b")

CELL = "digits-unet_tiny-dice-none-0"


def without_ids(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in run.items() if key != "id"} for run in found]


def publish(workspace: Miniature) -> None:
    workspace.dvc("repro", "--force", "--single-item", "publish")


def report_and_publish(workspace: Miniature) -> None:
    for stage in ("check", "report", "publish"):
        workspace.run(f"pipeline.{stage}")


@pytest.fixture(scope="module")
def published(finished) -> list[dict[str, Any]]:
    return runs(finished)


def test_there_is_a_run_per_cell_and_a_summary_per_experiment(published):
    kinds = [run["tags"]["kind"] for run in published]
    assert (kinds.count("cell"), kinds.count("summary")) == (4, 4)
    assert {run["experiment"] for run in published} == {"digits"}


def test_the_run_of_a_cell_tells_all_about_it(published, finished):
    (run,) = [run for run in published if run["name"] == CELL]
    facts = json.loads((finished.root / "models" / CELL / "cell.json").read_text())
    expected_tags = {
        "loss": "dice",
        "strategy": "none",
        "seed": "0",
        "dvc.stage": f"train@{CELL}",
        "fingerprint": facts["fingerprint"],
        "data.digest": facts["data_digest"],
        "state": "current",
        "status": "finished",
    }
    assert expected_tags.items() <= run["tags"].items()
    assert "git.commit" in run["tags"]
    assert {
        "loss": "dice",
        "loss.denominator": "plain",
        "fit.lr": "0.001",
        "model.encoder": "tu-resnet10t",
    }.items() <= run["params"].items()
    assert run["datasets"] == [["digits", facts["data_digest"]]]
    assert {"learning_curve.png", "predictions.png", "cell.json", "model/model.safetensors"} <= set(run["files"])
    assert run["status"] == "FINISHED"


def test_metrics_are_those_of_the_files_each_step_once(published, finished):
    (run,) = [run for run in published if run["name"] == CELL]
    cells = pd.read_csv(finished.root / "results" / "cells.csv").set_index(["loss", "strategy"])
    for name, value in cells.loc[("dice", "none"), list(METRICS)].dropna().items():
        block = "cost" if METRICS[name].family == "cost" else "test"
        assert [value for _, value, _ in run["history"][f"{block}/{name}"]] == [value]
    assert [step for step, *_ in run["history"]["train/loss"]] == [2], "shown live and published, and yet once"
    assert [step for step, *_ in run["history"]["val/miou"]] == [2]
    assert "val/iou/background" in run["history"]


@pytest.fixture(scope="module")
def decided(deciding) -> list[dict[str, Any]]:
    return runs(deciding)


def test_a_cell_that_reuses_weights_has_a_run_of_its_own(decided, deciding):
    """Without a curve, a device or a model, but with its own scores, what was fitted, and the cost of its weights."""
    cell = "digits-unet_tiny-cross_entropy-class_thresholds-0"
    (run,) = [run for run in decided if run["name"] == cell]
    assert run["status"] == "FINISHED"
    source = cell.replace("class_thresholds", "none")
    assert {"status": "reused", "weights_of": source, "state": "current"}.items() <= run["tags"].items()
    assert {"strategy": "class_thresholds", "strategy.widest": "20.0", "fit.lr": "0.001"}.items() <= run[
        "params"
    ].items()
    assert not {"strategy.weights_of", "device", "threads"} & run["params"].keys()
    found = json.loads((deciding.root / "results" / "counts" / cell / "evaluation.json").read_text())["decision"]
    points = {key: [(step, value) for step, value, _ in points] for key, points in run["history"].items()}
    classes = ["background", *(f"digit {digit}" for digit in (0, 1, 2, 4))]
    for name, offset in zip(classes, found["offsets"], strict=True):
        assert points[f"decision/offset/{name}"] == [(2, offset)]
    assert points["decision/val_miou_before"] == [(2, found["val_miou_before"])]
    assert points["val/miou"] == points["decision/val_miou"] == [(2, found["val_miou"])]
    trained = json.loads((deciding.root / "models" / source / "provenance.json").read_text())
    assert points["cost/seconds"] == [(2, pytest.approx(trained["seconds"], abs=1e-6))]
    assert "train/loss" not in points
    rows = {tuple(row.split(",")[2:4]): row for row in (deciding.root / "results" / "cells.csv").read_text().split()}
    assert str(points["test/miou"][0][1]) in rows["cross_entropy", "class_thresholds"].split(",")
    assert {"cell.json", "predictions.png"} <= set(run["files"])
    assert not [file for file in run["files"] if file.startswith(("model/", "learning_curve"))]


def test_a_decision_on_own_weights_stands_beside_the_curve(decided):
    """The point of the curve is that of the training, which decided for the largest logit."""
    (run,) = [run for run in decided if run["name"] == "digits-unet_tiny-cross_entropy-both-0"]
    (validated,) = run["history"]["val/miou"]
    assert validated[1] == pytest.approx(run["history"]["decision/val_miou_before"][0][1])
    assert run["history"]["decision/val_miou"][0][1] > validated[1]
    assert "weights_of" not in run["tags"]
    assert {"model/model.safetensors", "learning_curve.png"} <= set(run["files"])


def test_a_repeat_of_the_control_has_a_run_of_its_own_kind(decided, deciding):
    (run,) = [run for run in decided if run["tags"]["kind"] == "repeat"]
    cell = "digits-unet_tiny-cross_entropy-none-5"
    assert (run["name"], run["status"], run["experiment"]) == (cell, "FINISHED", "digits")
    assert {"dvc.stage": f"repeat@{cell}", "seed": "5", "state": "current", "strategy": "none"}.items() <= run[
        "tags"
    ].items()
    noise = pd.read_csv(deciding.root / "results" / "tables" / "noise_floor.csv")
    assert run["history"]["test/miou"][0][1] == noise["score"].item()
    assert {"model/model.safetensors", "learning_curve.png", "predictions.png"} <= set(run["files"])
    control = [each for each in decided if each["tags"]["kind"] == "summary" and each["tags"]["strategy"] == "none"]
    assert [each["params"]["n"] for each in control if each["tags"]["state"] == "current"] == ["1"], "not its summary"


def test_publishing_decisions_again_changes_nothing_until_one_changes(deciding, decided, tmp_path):
    workspace = deciding.copy(tmp_path / "work")
    publish(workspace)
    assert runs(workspace) == decided
    cell = "digits-unet_tiny-cross_entropy-idle-0"
    file = workspace.root / "results" / "counts" / cell / "evaluation.json"
    found = json.loads(file.read_text())
    changed = found["decision"] | {"offsets": [1.0, 2.0, 3.0, 4.0, 5.0]}
    file.write_text(json.dumps(found | {"decision": changed}))
    workspace.run("pipeline.publish")
    (run,) = [run for run in runs(workspace) if run["name"] == cell]
    assert [value for _, value, _ in run["history"]["decision/offset/digit 4"]] == [5.0]


def test_publishing_again_changes_nothing(workspace):
    before = runs(workspace)
    publish(workspace)
    assert runs(workspace) == before


def test_a_deleted_store_comes_back_the_same(workspace, published):
    (workspace.root / "mlflow.db").unlink()
    shutil.rmtree(workspace.root / "mlartifacts")
    publish(workspace)
    assert without_ids(runs(workspace)) == without_ids(published)


def test_a_training_that_mlflow_saw_only_in_part_is_completed(workspace, published):
    """A live run without the points that a dying server lost, as `LiveRun` leaves it."""
    (workspace.root / "mlflow.db").unlink()
    (done,) = [run for run in published if run["name"] == CELL]
    (workspace.root / "live.json").write_text(json.dumps(done["history"]["val/miou"][0]))
    (workspace.root / "live.py").write_text(
        "import json; from pipeline.plumbing.tracking import LiveRun\n"
        f"facts = json.load(open('models/{CELL}/cell.json'))\n"
        f"started = json.load(open('models/{CELL}/provenance.json'))['started']\n"
        "point = json.load(open('live.json'))\n"
        "with LiveRun(facts, started) as live: live.log({'val/miou': point[1]}, point[0], point[2] / 1000)\n"
    )
    workspace.run("live")
    (live,) = runs(workspace)
    assert (live["tags"]["state"], list(live["history"])) == ("live", ["val/miou"])
    publish(workspace)
    found = runs(workspace)
    assert live["id"] in [run["id"] for run in found]
    assert without_ids(found) == without_ids(published)


def test_without_a_gallery_there_are_no_pictures_of_predictions(workspace):
    workspace.edit_params(report__gallery=0)
    report_and_publish(workspace)
    (run,) = [run for run in runs(workspace) if run["name"] == CELL]
    assert "predictions.png" not in run["files"]
    assert "learning_curve.png" in run["files"]


def test_runs_of_cells_that_params_no_longer_name_are_marked(workspace):
    workspace.edit_params(axes__loss__dice=None)
    report_and_publish(workspace)
    states = {(run["tags"]["kind"], run["tags"]["loss"]): run["tags"]["state"] for run in runs(workspace)}
    assert states["cell", "dice"] == states["summary", "dice"] == "superseded"
    assert states["cell", "cross_entropy"] == "current"


def test_a_store_that_cannot_be_used_is_one_sentence_and_loses_nothing(workspace):
    found = workspace.run("pipeline.publish", check=False, MLFLOW_TRACKING_URI="sqlite:////dev/null/mlflow.db")
    assert found.returncode == 1
    last = found.stderr.splitlines()[-1]
    assert last.startswith("error: MLflow at sqlite:////dev/null/mlflow.db cannot be used: ")
    assert last.endswith("set MLFLOW_TRACKING_URI to a store that works, then run `make publish`.")

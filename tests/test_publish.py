"""MLflow is a view: `publish` completes it, rebuilds it, and changes nothing when there is nothing to change."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.learn.torchvision_schemas import declare_missing_operators
from pipeline.measure.metrics.table import METRICS
from pipeline.plumbing.files import file_digest
from tests.exported_runs import exported, runs
from tests.miniature import Miniature

pytestmark = pytest.mark.xdist_group("miniature b")

CELL = "digits-unet_tiny-dice-none-0"
CLASSES = ["background", *(f"digit {digit}" for digit in (0, 1, 2, 4))]
Runs = list[dict[str, Any]]


def without_ids(found: Runs) -> Runs:
    return [{key: value for key, value in run.items() if key != "id"} for run in found]


def of_kind(found: Runs, kind: str, state: str = "current") -> Runs:
    return [run for run in found if (run["tags"]["kind"], run["tags"]["state"]) == (kind, state)]


def of_cell(found: Runs, cell: str) -> dict[str, Any]:
    (run,) = [run for run in found if run["cell"] == cell]
    return run


def publish(workspace: Miniature) -> None:
    workspace.dvc("repro", "--force", "--single-item", "publish")


def report_and_publish(workspace: Miniature) -> None:
    for stage in ("check", "report", "publish"):
        workspace.run(f"pipeline.{stage}")


@pytest.fixture(scope="module")
def shown(finished) -> dict[str, Any]:
    return exported(finished)


@pytest.fixture(scope="module")
def published(shown) -> Runs:
    return shown["runs"]


def test_there_is_a_run_per_cell_and_per_experiment_and_one_with_the_report(published):
    kinds = [run["tags"]["kind"] for run in published]
    assert [kinds.count(kind) for kind in ("cell", "summary", "report")] == [4, 4, 1]
    assert len(kinds) == 9
    assert {run["experiment"] for run in published} == {"digits"}


def test_cells_lie_below_their_experiment(published):
    """One level deep, since MLflow shows no more."""
    assert {(run["name"], run["parent"]) for run in of_kind(published, "cell")} == {
        (f"{loss} · {strategy} · seed 0 · unet_tiny", f"{loss} · {strategy} · all seeds · unet_tiny")
        for loss in ("cross_entropy", "dice")
        for strategy in ("none", "class_weights")
    }
    assert {run["parent"] for run in of_kind(published, "summary") + of_kind(published, "report")} == {None}


def test_the_run_of_a_cell_tells_all_about_it(published, finished):
    run = of_cell(published, CELL)
    facts = json.loads((finished.root / "models" / CELL / "cell.json").read_text())
    expected_tags = {
        "loss": "dice",
        "strategy": "none",
        "seed": "0",
        "dvc.stage": f"train@{CELL}",
        "dvc.path": f"models/{CELL}",
        "fingerprint": facts["fingerprint"],
        "data.digest": facts["data_digest"],
        "state": "current",
        "status": "finished",
    }
    assert expected_tags.items() <= run["tags"].items()
    assert {
        "loss": "dice",
        "loss.denominator": "plain",
        "fit.lr": "0.001",
        "model.encoder": "tu-resnet10t",
    }.items() <= run["params"].items()
    assert run["datasets"] == [["digits", facts["data_digest"]]]
    assert run["status"] == "FINISHED"


def test_the_weights_stay_where_they_are(published):
    """And the pictures are those of the image grid: the picture itself, and a small one."""
    picture = "images/predictions+step+0+timestamp+"
    for run in of_kind(published, "cell"):
        plain = [file for file in run["files"] if not file.startswith(picture)]
        assert plain == ["cell.json", "history.csv", "provenance.json"]
        assert [file.rpartition("*")[2] for file in run["files"] if file.startswith(picture)] == [
            "+compressed.webp",
            ".png",
        ]


def test_metrics_are_those_of_the_files_each_once(published, finished):
    """At step 0 what was measured once, of which MLflow then draws bars."""
    run = of_cell(published, CELL)
    cells = pd.read_csv(finished.root / "results" / "cells.csv").set_index(["loss", "strategy"])
    for name, value in cells.loc[("dice", "none"), list(METRICS)].dropna().items():
        block = "cost" if METRICS[name].family == "cost" else "test"
        assert [point[:2] for point in run["history"][f"{block}/{name}"]] == [[0, value]]
    for key in ("train/loss", "train/lr", "val/miou", "val/iou/background"):
        assert [step for step, *_ in run["history"][key]] == [2]


def test_the_iou_of_each_class_is_that_of_the_report(published, finished):
    """With one seed that of the cell is that of its experiment."""
    table = pd.read_csv(finished.root / "results" / "tables" / "per_class.csv")
    expected = table[(table["loss"] == "dice") & (table["strategy"] == "none")].set_index("class_name")["iou"]
    for run in (
        of_cell(published, CELL),
        next(run for run in published if run["name"].startswith("dice · none · all")),
    ):
        found = {key.removeprefix("test/iou/"): value for key, [[_, value, _]] in classes_of(run).items()}
        assert found == pytest.approx(expected.dropna().to_dict(), abs=1e-6)
        assert sorted(found) == sorted(CLASSES)


def classes_of(run: dict[str, Any]) -> dict[str, Any]:
    return {key: points for key, points in run["history"].items() if key.startswith("test/iou/")}


def test_the_run_of_an_experiment_says_what_the_leaderboard_says(published, finished):
    board, differences = (
        pd.read_csv(finished.root / "results" / name).set_index(["loss", "strategy"])
        for name in ("leaderboard.csv", "tables/differences.csv")
    )
    for run in of_kind(published, "summary"):
        names = run["tags"]["loss"], run["tags"]["strategy"]
        values = {key: points[0][1] for key, points in run["history"].items()}
        assert values["test/miou"] == board.loc[names, "miou"]
        assert values["cost/seconds"] == board.loc[names, "seconds"]
        assert values["rank/rank"] == board.index.get_loc(names) + 1
        if names == ("cross_entropy", "none"):
            assert run["tags"]["verdict"] == "control"
            assert "control/difference" not in values
        else:
            assert run["tags"]["verdict"] == differences.loc[names, "verdict"]
            assert values["control/difference"] == differences.loc[names, "mean"]


def test_the_models_are_the_leaderboard(shown, finished):
    """An entry for each experiment, measured on the dataset, with the place of its weights; the newest, which MLflow
    shows first, is the best."""
    digest = json.loads((finished.root / "data" / "prepared" / "digits" / "meta.json").read_text())["digest"]
    board = pd.read_csv(finished.root / "results" / "leaderboard.csv")
    registered, *entries = shown["models"]
    assert registered["name"] == "digits"
    assert [entry["name"] for entry in entries] == [
        f"{row.loss} · {row.strategy} · unet_tiny" for row in board.itertuples()
    ]
    assert [entry["metrics"]["test/miou"] for entry in entries] == [
        [value, "digits", digest] for value in board["miou"]
    ]
    for entry, row in zip(entries, board.itertuples(), strict=True):
        assert entry["run"] == entry["name"].replace(" · unet_tiny", " · all seeds · unet_tiny")
        assert entry["tags"]["dvc.path"] == f"models/digits-unet_tiny-{row.loss}-{row.strategy}-0"
        assert entry["params"]["n"] == "1"


def test_the_best_cell_is_registered_and_loads_without_this_project(shown, finished, tmp_path):
    """Best by the test split is the experiment; with one seed its cell is the only one. The same logits come out of the
    weights themselves."""
    board = pd.read_csv(finished.root / "results" / "leaderboard.csv")
    best = board.loc[board["miou"].idxmax()]
    (version,) = shown["versions"]
    assert (version["name"], int(version["version"]), version["aliases"]) == ("digits", 1, ["best"])
    assert version["run"] == f"{best['loss']} · {best['strategy']} · seed 0 · unet_tiny"
    cell = finished.root / "models" / f"digits-unet_tiny-{best['loss']}-{best['strategy']}-0"
    (tmp_path / "load.py").write_text(
        "import mlflow, numpy as np, torch\n"
        f"mlflow.set_tracking_uri('sqlite:///{finished.root}/mlflow.db')\n"
        "model = mlflow.pytorch.load_model('models:/digits@best')\n"
        f"images = np.load('{finished.root}/data/prepared/digits/test_images.npy')[:5].transpose(0, 3, 1, 2).copy()\n"
        "np.save('logits.npy', model(torch.from_numpy(images)).detach().numpy())\n"
    )
    Miniature(tmp_path).run("load")
    facts = json.loads((cell / "cell.json").read_text())
    images = np.load(finished.root / "data" / "prepared" / "digits" / "test_images.npy")[:5]
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), logits_of(cell, facts, images), atol=1e-4)


def logits_of(cell, facts: dict[str, Any], images: np.ndarray) -> np.ndarray:
    """By segmentation_models_pytorch alone; 32 pixels need no padding."""
    declare_missing_operators()
    import segmentation_models_pytorch as smp
    import torch

    normalised = (images / 255 - np.array(facts["mean"])) / np.array(facts["std"])
    with torch.inference_mode():
        return (
            smp.from_pretrained(cell / "model").eval()(torch.tensor(normalised.transpose(0, 3, 1, 2)).float()).numpy()
        )


def test_the_experiment_has_a_note_a_primary_metric_and_views(shown):
    """A view is JSON in JSON, as MLflow's page writes it."""
    tags = shown["tags"]["digits"]
    assert tags["mlflow.experiment.primaryMetric.name"] == "test/miou"
    assert tags["mlflow.experiment.primaryMetric.greaterIsBetter"] == "True"
    assert "judged by `test/miou`" in tags["mlflow.note.content"]
    views = {key: json.loads(value) for key, value in tags.items() if key.startswith("mlflow.sharedViewState.")}
    assert [view["name"] for view in views.values()].count("Leaderboard") == 1
    for view in views.values():
        state = json.loads(view["state"])
        assert set(state["selectedColumns"]) < set(state["columnOrder"])
        sections = {each["uuid"] for each in state["compareRunSections"]}
        assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == sections


@pytest.fixture(scope="module")
def decided(deciding) -> Runs:
    return runs(deciding)


def test_a_cell_that_reuses_weights_has_a_run_of_its_own(decided, deciding):
    """Without a curve, a device or a model, but with its own scores, what was fitted, and the cost of its weights."""
    cell = "digits-unet_tiny-cross_entropy-class_thresholds-0"
    run = of_cell(decided, cell)
    assert run["status"] == "FINISHED"
    source = cell.replace("class_thresholds", "none")
    assert {
        "status": "reused",
        "weights_of": source,
        "dvc.path": f"models/{source}",
        "state": "current",
    }.items() <= run["tags"].items()
    assert {"strategy": "class_thresholds", "strategy.widest": "20.0", "fit.lr": "0.001"}.items() <= run[
        "params"
    ].items()
    assert not {"strategy.weights_of", "device", "threads"} & run["params"].keys()
    found = json.loads((deciding.root / "results" / "counts" / cell / "evaluation.json").read_text())["decision"]
    points = {key: [(step, value) for step, value, _ in points] for key, points in run["history"].items()}
    for name, offset in zip(CLASSES, found["offsets"], strict=True):
        assert points[f"decision/offset/{name}"] == [(0, offset)]
    assert points["decision/val_miou_before"] == [(0, found["val_miou_before"])]
    assert points["decision/val_miou"] == [(0, found["val_miou"])]
    assert points["val/miou"] == [(2, found["val_miou"])]
    trained = json.loads((deciding.root / "models" / source / "provenance.json").read_text())
    assert points["cost/seconds"] == [(0, pytest.approx(trained["seconds"], abs=1e-6))]
    assert "train/loss" not in points
    rows = {tuple(row.split(",")[2:4]): row for row in (deciding.root / "results" / "cells.csv").read_text().split()}
    assert str(points["test/miou"][0][1]) in rows["cross_entropy", "class_thresholds"].split(",")


def test_a_decision_on_own_weights_stands_beside_the_curve(decided):
    """The point of the curve is that of the training, which decided for the largest logit."""
    run = of_cell(decided, "digits-unet_tiny-cross_entropy-both-0")
    (validated,) = run["history"]["val/miou"]
    assert validated[1] == pytest.approx(run["history"]["decision/val_miou_before"][0][1])
    assert run["history"]["decision/val_miou"][0][1] > validated[1]
    assert "weights_of" not in run["tags"]


def test_a_repeat_of_the_control_has_a_run_of_its_own_kind(decided, deciding):
    (run,) = [run for run in decided if run["tags"]["kind"] == "repeat"]
    cell = "digits-unet_tiny-cross_entropy-none-5"
    assert (run["cell"], run["status"], run["experiment"], run["parent"]) == (cell, "FINISHED", "digits", None)
    assert {"dvc.stage": f"repeat@{cell}", "seed": "5", "state": "current", "strategy": "none"}.items() <= run[
        "tags"
    ].items()
    noise = pd.read_csv(deciding.root / "results" / "tables" / "noise_floor.csv")
    assert run["history"]["test/miou"][0][1] == noise["score"].item()
    control = [each for each in of_kind(decided, "summary") if each["tags"]["strategy"] == "none"]
    assert [each["params"]["n"] for each in control] == ["1"], "not its summary"


def test_publishing_again_changes_nothing_until_a_file_changes(deciding, tmp_path):
    workspace = deciding.copy(tmp_path / "work")
    publish(workspace)  # anew, since it was copied
    before = exported(workspace)
    publish(workspace)
    assert exported(workspace) == before
    cell = "digits-unet_tiny-cross_entropy-idle-0"
    file = workspace.root / "results" / "counts" / cell / "evaluation.json"
    found = json.loads(file.read_text())
    changed = found["decision"] | {"offsets": [1.0, 2.0, 3.0, 4.0, 5.0]}
    file.write_text(json.dumps(found | {"decision": changed}))
    workspace.run("pipeline.publish")
    after = runs(workspace)
    assert [value for _, value, _ in of_cell(after, cell)["history"]["decision/offset/digit 4"]] == [5.0]
    assert {run["id"] for run in before["runs"]} ^ {run["id"] for run in after} == {
        of_cell(each, cell)["id"] for each in (before["runs"], after)
    }


def test_a_deleted_store_comes_back_the_same(workspace, shown):
    (workspace.root / "mlflow.db").unlink()
    shutil.rmtree(workspace.root / "mlartifacts")
    publish(workspace)
    again = exported(workspace)
    assert without_ids(again["runs"]) == without_ids(shown["runs"])
    assert [model["name"] for model in again["models"]] == [model["name"] for model in shown["models"]]
    assert again["tags"] == shown["tags"]


def test_a_training_that_mlflow_saw_only_in_part_is_completed(workspace):
    """As where the server died in between: its journal lacks no point, but MLflow does."""
    publish(workspace)
    done = of_cell(runs(workspace), CELL)
    (workspace.root / "journal.json").write_text(json.dumps(done["history"]["val/miou"][0]))
    (workspace.root / "write.py").write_text(
        "import json; from pipeline.plumbing.journal import Journal\n"
        f"facts = json.load(open('models/{CELL}/cell.json'))\n"
        "step, value, at = json.load(open('journal.json'))\n"
        f"Journal('{CELL}', facts).point({{'val/miou': value}}, step, at / 1000)\n"
    )
    workspace.run("write")
    workspace.run("pipeline.live", CELL)
    live = of_cell(runs(workspace), CELL)
    assert (live["tags"]["state"], list(live["history"])) == ("live", ["val/miou"])
    assert live["id"] != done["id"], "the run that showed the same files was begun anew"
    publish(workspace)
    found = of_cell(runs(workspace), CELL)
    assert found["id"] == live["id"]
    for key in ("history", "params", "tags", "files", "parent", "status", "end"):
        assert found[key] == done[key]


@pytest.mark.parametrize("new", [False, True], ids=["a store that is there", "a new one"])
def test_a_publication_that_was_killed_is_done_again(workspace, published, new):
    """In the middle of the second cell. A half-shown run has no digest of its content; of a new store nothing is left."""
    database = workspace.root / "mlflow.db"
    database.unlink()
    if not new:
        (workspace.root / "make.py").write_text("from pipeline.plumbing.tracking import Store\nStore()\n")
        workspace.run("make")
    (workspace.root / "broken.py").write_text(
        "import os\nfrom pipeline import publish\nfrom pipeline.plumbing.tracking import Store\n"
        "finish = Store.finish\n"
        "def once(store, run, *rest):\n"
        "    if run.info.run_name == 'dice · none · seed 0 · unet_tiny': os._exit(9)\n"
        "    finish(store, run, *rest)\n"
        "Store.finish = once\npublish.main()\n"
    )
    assert workspace.run("broken", check=False, BENCHMARK_WARM="").returncode == 9
    assert database.exists() is not new
    if not new:
        assert "content" not in of_cell_half(runs(workspace))["tags"]
    publish(workspace)
    assert without_ids(runs(workspace)) == without_ids(published)
    assert [*workspace.root.glob("*mlflow.db*")] == [database]


def of_cell_half(found: Runs) -> dict[str, Any]:
    return of_cell([run for run in found if run["cell"]], CELL)


def test_what_params_no_longer_name_is_marked_and_no_longer_among_the_models(workspace):
    publish(workspace)
    workspace.edit_params(axes__loss__dice=None, report__gallery=0)
    report_and_publish(workspace)
    found = exported(workspace)
    states = {(run["tags"]["kind"], run["tags"].get("loss")): run["tags"]["state"] for run in found["runs"]}
    assert states["cell", "dice"] == states["summary", "dice"] == "superseded"
    assert states["cell", "cross_entropy"] == "current"
    assert {model["name"].split()[0] for model in found["models"]} <= {"cross_entropy", "digits"}
    pictured = [
        run["cell"] for run in of_kind(found["runs"], "cell") if any("images/" in file for file in run["files"])
    ]
    assert pictured == [], "without a gallery there are no pictures"


OWN_RUN = """
import sys, mlflow
client = mlflow.MlflowClient("sqlite:///" + sys.argv[1])
if sys.argv[2] == "write":
    client.create_run(client.create_experiment("mine"), run_name="my own")
print([run.info.run_name for run in client.search_runs([client.get_experiment_by_name("mine").experiment_id])])
"""


def files_of(root: Path) -> dict[str, str]:
    """Digests of all files in a clone."""
    return {str(file.relative_to(root)): file_digest(file) for file in sorted(root.rglob("*")) if file.is_file()}


def test_a_clone_that_was_copied_and_moved_is_filled_anew_and_its_original_stays(finished, shown, tmp_path):
    """First a training there is shown live, and later the clone is moved to where a path must be quoted. What a person
    has logged to the same file is kept with it."""
    original = files_of(finished.root)
    copied = finished.copy(tmp_path / "copied")
    (copied.root / "own_run.py").write_text(OWN_RUN)
    copied.run("own_run", "mlflow.db", "write")
    assert "It is kept as mlflow.db.moved-1; " in copied.run("pipeline.live", CELL).stderr
    assert [(run["cell"], run["tags"]["state"]) for run in runs(copied)] == [(CELL, "live")]
    assert "my own" in copied.run("own_run", "mlflow.db.moved-1", "read").stdout
    assert copied.run("pipeline.publish").stderr == ""
    moved = Miniature(copied.root.rename(tmp_path / "a%20b ?"))
    kept = files_of(moved.root / "mlartifacts")
    assert "It is kept as mlflow.db.moved-2; " in moved.run("pipeline.publish").stderr
    found = exported(moved)
    assert without_ids(found["runs"]) == without_ids(shown["runs"])
    assert [version["aliases"] for version in found["versions"]] == [["best"]]
    assert files_of(moved.root / "mlartifacts").items() > kept.items()
    assert files_of(finished.root) == original
    assert [each.name for each in tmp_path.iterdir()] == [moved.root.name]


def rename_classes(workspace: Miniature, names: list[str]) -> None:
    """In all files that speak of classes, as if the dataset had called them so."""
    change_json(workspace.root / "data" / "prepared" / "digits" / "meta.json", classes=names)
    for cell in workspace.root.glob("models/digits-*"):
        change_json(cell / "cell.json", classes=names)
        history = pd.read_csv(cell / "history.csv")
        columns = [name for name in history if name.startswith("val_iou/")]
        new = dict(zip(columns, (f"val_iou/{name}" for name in names), strict=True))
        history.rename(columns=new).to_csv(cell / "history.csv", index=False)
    file = workspace.root / "results" / "tables" / "per_class.csv"
    table = pd.read_csv(file)
    table.assign(class_name=names * (len(table) // len(names))).to_csv(file, index=False)


def change_json(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_classes_of_any_name_are_published(workspace, published):
    """Such as numbers, which a table gives back as numbers, and as an empty field, which it gives back as none."""
    for names, keys in {
        ("0", "1", "2", "3", "4"): ["0", "1", "2", "3", "4"],
        ("", "miou", "=a/b", "x" * 400, "nan"): ["_", "miou", "_a_b", "x" * 100, "nan"],
    }.items():
        rename_classes(workspace, list(names))
        workspace.run("pipeline.publish")
        for run in runs(workspace):
            before = next((each for each in published if each["name"] == run["name"]), {"history": {}})
            scores = dict(zip(CLASSES, keys, strict=True))
            expected = {f"test/iou/{scores[key[9:]]}": points for key, points in classes_of(before).items()}
            assert classes_of(run) == expected


def test_a_store_that_cannot_be_used_is_one_sentence_and_loses_nothing(workspace):
    found = workspace.run(
        "pipeline.publish", check=False, MLFLOW_TRACKING_URI="sqlite:////dev/null/mlflow.db?token=word"
    )
    assert found.returncode == 1
    last = found.stderr.splitlines()[-1]
    assert last.startswith("error: MLflow at sqlite:////dev/null/mlflow.db cannot be used: ")
    assert last.endswith("set MLFLOW_TRACKING_URI to a store that works, then run `make publish`.")

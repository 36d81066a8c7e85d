"""What little there is still gives a report: one image, no image of a class, divergence, gaps, nothing at all."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from pipeline.measure.metrics.table import METRICS
from tests.exported_runs import runs
from tests.miniature import Miniature
from tests.recompute import metrics_of

pytestmark = pytest.mark.xdist_group("miniature b")

CELL = "digits-unet_tiny-{}-{}-{}".format


def table(workspace: Miniature, name: str) -> pd.DataFrame:
    return pd.read_csv(workspace.root / "results" / f"{name}.csv")


def text_of(workspace: Miniature, name: str) -> str:
    return (workspace.root / "results" / name).read_text()


def edit_json(workspace: Miniature, file: str, **changes: object) -> None:
    place = workspace.root / file
    place.write_text(json.dumps(json.loads(place.read_text()) | changes))


def assert_recomputed(workspace: Miniature, row: dict, cell: str) -> None:
    expected = metrics_of(workspace.root, cell)
    for name in METRICS:
        np.testing.assert_allclose(row[name], expected[name], rtol=1e-6, atol=1e-6, err_msg=name)


def test_one_image_one_seed_and_one_loss_are_a_score_without_interval_or_claim(workspace):
    """The test split is cut after `prepare`, which makes ten images at least; the trainings stay as they are."""
    prepared = workspace.root / "data" / "prepared" / "digits"
    for kind in ("images", "masks"):
        np.save(prepared / f"test_{kind}.npy", np.load(prepared / f"test_{kind}.npy")[:1])
    pd.read_csv(prepared / "test_images.csv")[:1].to_csv(prepared / "test_images.csv", index=False)
    names = json.loads((prepared / "names.json").read_text())
    edit_json(workspace, "data/prepared/digits/names.json", test=names["test"][:1])
    shutil.rmtree(workspace.root / ".cache" / "evaluate")
    workspace.edit_params(axes__loss={"cross_entropy": {}}, axes__strategy={"none": {}})
    for stage in ("check", "evaluate", "report", "publish"):
        workspace.run(f"pipeline.{stage}")

    (row,) = table(workspace, "leaderboard").to_dict("records")
    assert row["n"] == 1
    assert_recomputed(workspace, row, CELL("cross_entropy", "none", 0))
    assert row["miou"] == row["miou_image"] == row["miou_class"] == row["miou_worst"]
    assert all(np.isnan(value) for name, value in row.items() if name.endswith(("_std", "_low", "_high")))
    for name in ("differences", "strategy_effects", "rank_pairs", "gallery"):
        assert table(workspace, f"tables/{name}").empty
    said = "cross_entropy with none is the only experiment, so there is nothing to compare."
    assert said in text_of(workspace, "leaderboard.md")
    assert said in text_of(workspace, "report/index.html")


def test_a_class_that_never_occurs_is_left_out_of_every_mean(workspace):
    """Neither true nor predicted: it has no score, is counted as absent, and lowers nothing."""
    cell = CELL("dice", "none", 0)
    file = workspace.root / "results" / "counts" / cell / "classes.parquet"
    counts = pd.read_parquet(file)
    never = counts["class_index"] == 4
    counts.loc[never, counts.columns[2:]] = 0
    counts.loc[never, "tn"], counts.loc[never, "hd95"] = 32 * 32, np.nan
    counts.to_parquet(file, index=False)
    workspace.run("pipeline.report")

    board = table(workspace, "leaderboard").set_index(["loss", "strategy"])
    assert_recomputed(workspace, board.loc[("dice", "none")].to_dict(), cell)
    classes = table(workspace, "tables/per_class").query("loss == 'dice' and strategy == 'none'")
    assert classes["absent"].tolist() == [0, 0, 0, 0, 10]
    for score in ("iou", "specificity", "boundary_iou", "hd95", "cl_dice", "object_f1"):
        assert np.isnan(classes[score].iloc[4])
        assert classes[score][:4].notna().all()
    assert board.loc[("dice", "none"), "miou"] == pytest.approx(classes["iou"][:4].mean(), abs=1e-6)


def test_a_control_that_diverged_leaves_nothing_to_claim(deciding, tmp_path):
    """Nor does its repeat, which diverged too; strategies that judge its weights have diverged with it."""
    workspace = deciding.copy(tmp_path / "work")
    for seed in (0, 5):
        cell = CELL("cross_entropy", "none", seed)
        edit_json(workspace, f"models/{cell}/cell.json", status="diverged", diverged_at=2)
    said = [workspace.run(f"pipeline.{stage}").stdout for stage in ("evaluate", "report", "publish")]
    assert f"{CELL('cross_entropy', 'none', 5)}: left out, it diverged at iteration 2." in said[0]

    board = table(workspace, "leaderboard").set_index("strategy")
    assert board["n"].to_dict() == {"both": 1, "none": 0, "idle": 0, "class_thresholds": 0}
    assert board["miou"].isna().tolist() == [False, True, True, True]
    differences = table(workspace, "tables/differences")
    assert differences["verdict"].tolist() == ["inconclusive"] * 3
    assert differences[["mean", "p_holm"]].isna().all(axis=None)
    assert table(workspace, "tables/noise_floor")[["n", "score", "mean"]].fillna(-1).to_numpy().tolist() == [
        [0, -1, -1]
    ]
    assert set(table(workspace, "cells").query("strategy != 'both'")["state"]) == {"diverged at iteration 2"}
    assert text_of(workspace, "leaderboard.md").count("seed 0 diverged at iteration 2") == 3
    status = {run["cell"]: run["status"] for run in runs(workspace) if run["tags"]["state"] == "current"}
    failed = {
        CELL("cross_entropy", *names) for names in (("none", 0), ("none", 5), ("idle", 0), ("class_thresholds", 0))
    }
    assert {name for name, each in status.items() if each == "FAILED"} == failed


def test_a_report_with_missing_cells_names_them(workspace):
    workspace.edit_params(axes__seed=[0, 7], report__noise_floor=[9])
    workspace.run("pipeline.check")
    said = workspace.run("pipeline.report").stdout
    assert "Partial: 4 of 8 cells are missing: digits-unet_tiny-cross_entropy-none-7, " in said
    assert CELL("dice", "none", 7) in text_of(workspace, "report/index.html")
    assert table(workspace, "leaderboard")["n"].tolist() == [1, 1, 1, 1]
    states = table(workspace, "cells").set_index("seed")["state"]
    assert {seed: set(states[[seed]]) for seed in (0, 7, 9)} == {0: {"finished"}, 7: {"missing"}, 9: {"missing"}}


def test_a_report_before_anything_has_finished_says_so(workspace):
    workspace.run("pipeline.publish")
    shutil.rmtree(workspace.root / "models")
    said = [workspace.run(f"pipeline.{stage}").stdout for stage in ("evaluate", "gradients", "report", "publish")]
    assert "Nothing has finished: 4 missing." in said[2]
    assert "Partial: 4 of 4 cells are missing: " in said[2]
    board = table(workspace, "leaderboard")
    assert board["n"].tolist() == [0] * 4
    assert board[list(METRICS)].isna().all(axis=None)
    assert "Nothing has finished: 4 missing." in text_of(workspace, "report/index.html")
    assert {run["tags"]["state"] for run in runs(workspace)} == {"superseded"}

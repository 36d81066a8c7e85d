"""The report of a finished run, recomputed by other means, and what it does with gaps."""

import json
import math
import subprocess

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import jaccard_score

from pipeline.measure.metrics.table import METRICS
from tests.direct_prediction import logits_and_truth
from tests.miniature import Miniature
from tests.recompute import metrics_of

pytestmark = pytest.mark.xdist_group("miniature b")

CELL = "digits-unet_tiny-{}-{}-{}".format


def table(workspace: Miniature, name: str) -> pd.DataFrame:
    return pd.read_csv(workspace.root / "results" / f"{name}.csv")


def page(workspace: Miniature) -> str:
    return (workspace.root / "results" / "report" / "index.html").read_text()


def board_text(workspace: Miniature) -> str:
    return (workspace.root / "results" / "leaderboard.md").read_text()


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # in from_pretrained of the library
def test_the_score_of_a_model_is_that_of_scikit_learn_on_a_direct_prediction(finished):
    logits, truth = logits_and_truth(finished.root, CELL("dice", "none", 0), "test")
    predicted = logits.argmax(axis=1)
    board = table(finished, "leaderboard").set_index(["loss", "strategy"])
    union = np.union1d(truth, predicted)
    expected = jaccard_score(truth.ravel(), predicted.ravel(), labels=union, average="macro")
    assert board.loc[("dice", "none"), "miou"] == pytest.approx(expected, abs=2e-6)


def test_every_number_of_the_leaderboard_follows_from_the_counts(finished):
    """The same over several seeds: `test_folds.py`."""
    board = table(finished, "leaderboard")
    assert len(board) == 4
    for row in board.to_dict("records"):
        expected = metrics_of(finished.root, CELL(row["loss"], row["strategy"], 0))
        for name in METRICS:
            message = f"{row['loss']} with {row['strategy']}: {name}"
            np.testing.assert_allclose(row[name], expected[name], rtol=1e-6, atol=1e-6, err_msg=message)


def test_void_pixels_count_nowhere_and_every_other_pixel_once(finished):
    counts = pd.read_parquet(finished.root / "results" / "counts" / CELL("dice", "none", 0) / "classes.parquet")
    masks = np.load(finished.root / "data/prepared/digits/test_masks.npy")
    valid = (masks != 255).sum(axis=(1, 2))
    assert (counts.groupby("image")[["tp", "fn"]].sum().sum(axis=1).to_numpy() == valid).all()
    assert (counts[["tp", "fp", "fn", "tn"]].sum(axis=1).to_numpy() == np.repeat(valid, 5)).all()


def test_dvc_shows_the_metrics_and_plots(finished, tmp_path):
    shown = json.loads(finished.dvc("metrics", "show", "--json").stdout)
    files = shown[""]["data"]
    assert len(files) == 4
    assert all(file["data"].keys() == {"n", "miou"} for file in files.values()), "one seed has no spread"
    finished.dvc("plots", "show", "--out", str(tmp_path / "plots"))
    page = (tmp_path / "plots" / "index.html").read_text()
    assert "heatmap-digits-unet_tiny.png" in page
    assert "leaderboard.csv" in page


def test_no_mean_stands_without_its_number_of_seeds_spread_and_interval(finished):
    columns = "n | mean IoU | std | interval | difference | its interval | P(better) | verdict"
    assert f"| rank | model | loss | strategy | {columns} |" in board_text(finished)


def test_one_seed_has_no_interval(finished):
    board = table(finished, "leaderboard")
    assert all(math.isnan(value) for value in board[["miou_std", "miou_low", "miou_high"]].to_numpy().ravel())


def test_the_effect_of_a_strategy_is_the_difference_of_two_rows_of_the_leaderboard(finished):
    """With one seed there is nothing to test, and the files say so by an empty p."""
    board = table(finished, "leaderboard").set_index(["loss", "strategy"])["miou"]
    effects = table(finished, "tables/strategy_effects").set_index("loss")
    for loss in ("cross_entropy", "dice"):
        expected = board[loss, "class_weights"] - board[loss, "none"]
        assert effects.loc[loss, "mean"] == pytest.approx(expected, abs=2e-6)
    assert effects["strategy"].tolist() == ["class_weights"] * 2
    assert effects["p"].isna().all()
    main = table(finished, "tables/main_effects").set_index(["factor", "level"])
    assert main.loc[("strategy", "class_weights"), "mean"] == pytest.approx(effects["mean"].mean(), abs=2e-6)
    assert table(finished, "tables/two_way").empty
    assert "There is no two-way analysis: it needs two seeds" in page(finished)


def test_what_the_network_saw_is_the_train_split_where_no_strategy_moves_it(finished):
    """Shares of all classes sum to 1, and without a strategy they are near those of the train split."""
    seen = table(finished, "tables/seen")
    assert seen.groupby("strategy")["seen"].sum().tolist() == pytest.approx([1, 1], abs=1e-5)
    common = seen[(seen["strategy"] == "none") & (seen["class_name"] == "background")].iloc[0]
    assert common["seen"] == pytest.approx(common["train_share"], abs=0.1)
    assert common["cells"] == 2


def test_one_dataset_makes_no_dial_and_no_strategy_decides(finished):
    for name in ("dial", "decisions"):
        found = table(finished, f"tables/{name}")
        assert found.empty
        assert "strategy" in found


def test_the_gallery_shows_the_images_on_which_the_experiments_differ_most(finished):
    """Standard deviation over the experiments of the mean IoU of an image, from the counts by pandas."""
    places = [CELL(*names, 0) for names in table(finished, "leaderboard")[["loss", "strategy"]].to_numpy()]
    scores = []
    for place in places:
        counts = pd.read_parquet(finished.root / "results" / "counts" / place / "classes.parquet")
        iou = counts.assign(iou=counts.eval("tp / (tp + fp + fn)"))
        scores.append(iou.groupby("image")["iou"].mean())
    expected = pd.concat(scores, axis=1).std(axis=1, ddof=0).sort_values(ascending=False)[:2]
    chosen = table(finished, "tables/gallery")
    assert chosen["image"].tolist() == expected.index.tolist()
    assert chosen["disagreement"].to_numpy() == pytest.approx(expected.to_numpy(), abs=1e-6)
    assert chosen["name"].tolist() == [f"test_{image:04}" for image in chosen["image"]]


def test_the_noise_floor_stands_beside_the_experiments(deciding):
    """The control once more: a cell and a row of its own, never one of the leaderboard or of the claims."""
    again, control = (metrics_of(deciding.root, CELL("cross_entropy", "none", seed))["miou"] for seed in (5, 0))
    (row,) = table(deciding, "tables/noise_floor").to_dict("records")
    assert (row["dataset"], row["model"], row["n"]) == ("digits", "unet_tiny", 1)
    assert row["score"] == pytest.approx(again, abs=1e-6)
    assert row["mean"] == pytest.approx(again - control, abs=2e-6)
    assert math.isnan(row["low"]), "one seed has no interval"

    last = table(deciding, "cells").iloc[-1]
    assert last[["loss", "strategy", "seed", "state"]].tolist() == ["cross_entropy", "none", 5, "finished"]
    assert last["miou"] == pytest.approx(again, abs=1e-6)
    board = table(deciding, "leaderboard")
    assert board["strategy"].value_counts().to_dict() == {"none": 1, "idle": 1, "class_thresholds": 1, "both": 1}
    assert len(table(deciding, "tables/differences")) == 3
    line = board_text(deciding).split("| – | unet_tiny | cross_entropy | none | 1 |")[1].splitlines()[0]
    assert line == f" {again:.3f} | – | – | {again - control:+.3f} | – |  | noise floor |"
    assert ">noise floor</td>" in page(deciding)


def test_dvc_tells_what_changed_since_a_commit(workspace: Miniature):
    def git(*command: str) -> None:
        identity = ("-c", "user.name=tester", "-c", "user.email=tester@example.org")
        subprocess.run(["git", *identity, *command], cwd=workspace.root, check=True, capture_output=True)

    workspace.dvc("config", "--unset", "core.no_scm")
    git("init")
    git("add", "results/metrics", "dvc.yaml", "dvc.lock", "params.yaml", ".dvc/config")
    git("commit", "-m", "first run")
    file = workspace.root / "results" / "metrics" / "digits-unet_tiny-dice-none.json"
    numbers = json.loads(file.read_text())
    file.write_text(json.dumps({**numbers, "miou": numbers["miou"] + 0.5}))
    changed = json.loads(workspace.dvc("metrics", "diff", "--json").stdout)
    assert changed["results/metrics/digits-unet_tiny-dice-none.json"]["miou"]["diff"] == pytest.approx(0.5)
    assert len(changed) == 1

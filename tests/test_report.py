"""The report of a finished run, recomputed by other means, and what it does with gaps."""

import json
import math
import subprocess

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import jaccard_score

from tests.miniature import Miniature

pytestmark = pytest.mark.xdist_group("miniature b")


def predicted_again(root, cell: str) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted classes of all test pixels, by a direct forward pass of the saved model."""
    import torch

    from pipeline.learn import model as unet

    facts = json.loads((root / "models" / cell / "cell.json").read_text())
    images = np.load(root / "data/prepared/digits/test_images.npy")
    model = unet.load(root / "models" / cell / "model", facts["mean"], facts["std"]).unet
    x = (images / 255 - np.array(facts["mean"])) / np.array(facts["std"])
    with torch.inference_mode():
        logits = model(torch.tensor(x.transpose(0, 3, 1, 2), dtype=torch.float32))
    return np.load(root / "data/prepared/digits/test_masks.npy"), logits.argmax(1).numpy()


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # in from_pretrained of the library
def test_the_score_of_a_model_is_that_of_scikit_learn_on_a_direct_prediction(finished):
    truth, predicted = predicted_again(finished.root, "digits-unet_tiny-dice-none-0")
    board = pd.read_csv(finished.root / "results" / "leaderboard.csv").set_index(["loss", "strategy"])
    union = np.union1d(truth, predicted)
    expected = jaccard_score(truth.ravel(), predicted.ravel(), labels=union, average="macro")
    assert board.loc[("dice", "none"), "miou"] == pytest.approx(expected, abs=2e-6)


def test_every_number_of_the_leaderboard_follows_from_the_counts(finished):
    """The independent way: plain pandas on the stored counts."""
    results = finished.root / "results"
    board = pd.read_csv(results / "leaderboard.csv")
    assert len(board) == 4
    for row in board.itertuples():
        counts = pd.read_parquet(results / "counts" / f"digits-unet_tiny-{row.loss}-{row.strategy}-0.parquet")
        total = counts.groupby("class_index")[["tp", "fp", "fn"]].sum()
        per_image = counts.assign(iou=counts.tp / (counts.tp + counts.fp + counts.fn))
        assert row.miou == pytest.approx((total.tp / total.sum(axis=1)).mean(), abs=1e-6)
        assert (
            row.mdice
            == row.mf1
            == pytest.approx((2 * total.tp / (2 * total.tp + total.fp + total.fn)).mean(), abs=1e-6)
        )
        assert row.mprecision == pytest.approx((total.tp / (total.tp + total.fp)).mean(), abs=1e-6)
        assert row.mrecall == pytest.approx((total.tp / (total.tp + total.fn)).mean(), abs=1e-6)
        assert row.pixel_accuracy == pytest.approx(total.tp.sum() / (total.tp + total.fn).sum(), abs=1e-6)
        assert row.miou_image == pytest.approx(per_image.groupby("image").iou.mean().mean(), abs=1e-6)


def test_void_pixels_count_nowhere_and_every_other_pixel_once(finished):
    counts = pd.read_parquet(finished.root / "results" / "counts" / "digits-unet_tiny-dice-none-0.parquet")
    masks = np.load(finished.root / "data/prepared/digits/test_masks.npy")
    valid = (masks != 255).sum(axis=(1, 2))
    assert (counts.groupby("image")[["tp", "fn"]].sum().sum(axis=1).to_numpy() == valid).all()
    assert (counts[["tp", "fp", "fn", "tn"]].sum(axis=1).to_numpy() == np.repeat(valid, 5)).all()


def test_dvc_shows_the_metrics_and_plots(finished, tmp_path):
    shown = json.loads(finished.dvc("metrics", "show", "--json").stdout)
    files = shown[""]["data"]
    assert len(files) == 4
    assert all({"miou", "mdice", "n"} <= file["data"].keys() for file in files.values())
    finished.dvc("plots", "show", "--out", str(tmp_path / "plots"))
    page = (tmp_path / "plots" / "index.html").read_text()
    assert "heatmap-digits-unet_tiny.png" in page
    assert "leaderboard.csv" in page


def test_a_report_with_missing_cells_names_them(workspace: Miniature):
    workspace.edit_params(axes__seed=[0, 7])
    workspace.run("pipeline.check")
    said = workspace.run("pipeline.report").stdout
    assert "Partial: 4 of 8 cells are missing: digits-unet_tiny-cross_entropy-none-7, " in said
    assert "digits-unet_tiny-dice-none-7" in (workspace.root / "results" / "report" / "index.html").read_text()
    board = pd.read_csv(workspace.root / "results" / "leaderboard.csv")
    assert board["n"].tolist() == [1, 1, 1, 1]


def test_no_mean_stands_without_its_number_of_seeds_spread_and_interval(finished):
    text = (finished.root / "results" / "leaderboard.md").read_text()
    assert "| loss | strategy | n | mean IoU | std | interval | difference | its interval | verdict |" in text


def test_one_seed_has_no_interval(finished):
    board = pd.read_csv(finished.root / "results" / "leaderboard.csv")
    assert all(math.isnan(value) for value in board[["miou_std", "miou_low", "miou_high"]].to_numpy().ravel())


def test_the_effect_of_a_strategy_is_the_difference_of_two_rows_of_the_leaderboard(finished):
    """With one seed there is nothing to test, and the files say so by an empty p."""
    results = finished.root / "results"
    board = pd.read_csv(results / "leaderboard.csv").set_index(["loss", "strategy"])["miou"]
    effects = pd.read_csv(results / "tables" / "strategy_effects.csv").set_index("loss")
    for loss in ("cross_entropy", "dice"):
        expected = board[loss, "class_weights"] - board[loss, "none"]
        assert effects.loc[loss, "mean"] == pytest.approx(expected, abs=2e-6)
    assert effects["strategy"].tolist() == ["class_weights"] * 2
    assert effects["p"].isna().all()
    main = pd.read_csv(results / "tables" / "main_effects.csv").set_index(["factor", "level"])
    assert main.loc[("strategy", "class_weights"), "mean"] == pytest.approx(effects["mean"].mean(), abs=2e-6)
    assert pd.read_csv(results / "tables" / "two_way.csv").empty
    assert "There is no two-way analysis: it needs two seeds" in (results / "report" / "index.html").read_text()


def test_what_the_network_saw_is_the_train_split_where_no_strategy_moves_it(finished):
    """Shares of all classes sum to 1, and without a strategy they are near those of the train split."""
    seen = pd.read_csv(finished.root / "results" / "tables" / "seen.csv")
    assert seen.groupby("strategy")["seen"].sum().tolist() == pytest.approx([1, 1], abs=1e-5)
    common = seen[(seen["strategy"] == "none") & (seen["class_name"] == "background")].iloc[0]
    assert common["seen"] == pytest.approx(common["train_share"], abs=0.1)
    assert common["cells"] == 2


def test_one_dataset_makes_no_dial_and_no_strategy_decides(finished):
    for name in ("dial", "decisions"):
        table = pd.read_csv(finished.root / "results" / f"{name}.csv")
        assert table.empty
        assert "strategy" in table


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

"""Cross-validation through the whole graph: the folds are trained one by one and reported as one dataset."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student_t

from pipeline.measure.metrics.table import METRICS
from tests.exported_runs import runs
from tests.miniature import Miniature
from tests.recompute import metrics_of

pytestmark = pytest.mark.xdist_group("folds")

FOLDS = ["digits_fold_0", "digits_fold_1", "digits_fold_2"]
IMAGES = {"image_size": 32, "train_images": 16, "val_images": 10, "test_images": 10, "digits": [0, 1], "imbalance": 1.0}
SHARED = {"kind": "digits", "folds": 3, **IMAGES}


@pytest.fixture(scope="module")
def validated(tmp_path_factory) -> Miniature:
    """Three folds of 12 images under two losses, run to the end; under Dice it is long enough to find some digits."""
    made = Miniature.create(tmp_path_factory.mktemp("folds") / "work")
    made.edit_params(
        axes__dataset={name: {**SHARED, "fold": fold} for fold, name in enumerate(FOLDS)},
        axes__strategy={"none": {}},
        fit={"iterations": 60, "batch_size": 8, "lr": 2e-2, "validations": 1, "augmentation": "none"},
    )
    made.dvc("repro")
    return made


def table(workspace: Miniature, name: str) -> pd.DataFrame:
    return pd.read_csv(workspace.root / "results" / f"{name}.csv")


def test_every_image_is_tested_once(validated):
    prepared = [validated.root / "data" / "prepared" / name for name in FOLDS]
    splits = [json.loads((place / "names.json").read_text()) for place in prepared]
    tested = [image for split in splits for image in split["test"]]
    assert len(tested) == len(set(tested)) == 36
    for split in splits:
        assert sorted(image for images in split.values() for image in images) == sorted(tested)
        assert {name: len(images) for name, images in split.items()} == {"train": 12, "val": 12, "test": 12}


def test_the_folds_are_the_repeats_of_one_dataset(validated):
    board = table(validated, "leaderboard")
    assert board[["dataset", "n"]].to_numpy().tolist() == [["digits", 3], ["digits", 3]]
    cells = table(validated, "cells")
    assert set(cells["dataset"]) == {"digits"}
    assert cells["seed"].tolist() == [f"fold {fold} seed 0" for fold in range(3) for _ in range(2)]


def test_means_and_spreads_over_the_folds_follow_from_their_counts(validated):
    for row in table(validated, "leaderboard").to_dict("records"):
        cells = pd.DataFrame(metrics_of(validated.root, f"{name}-unet_tiny-{row['loss']}-none-0") for name in FOLDS)
        for name in METRICS:
            known = cells[name].dropna()
            expected = known.mean(), known.std()
            found = row[name], row[f"{name}_std"]
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6, err_msg=f"{row['loss']}: {name}")


def test_the_digits_found_make_every_metric_known(validated):
    """So that the test above sees objects that match and skeletons that meet, not only what an untrained network does."""
    row = table(validated, "leaderboard").set_index("loss").loc["dice"]
    assert row[list(METRICS)].notna().all()
    assert row["miou"] > 0.4
    assert row["object_recall"] > 0.3


def test_the_interval_is_wider_than_that_of_independent_repeats(validated):
    """Folds share images: with 12 test images for 12 train images the variance over folds counts four times, by Nadeau
    and Bengio (2003), and that of the test images is added."""
    for row in table(validated, "leaderboard").to_dict("records"):
        independent = student_t.ppf(0.975, 2) * row["miou_std"] / np.sqrt(3)
        assert row["miou_high"] - row["miou"] > independent


def test_the_page_has_one_chapter_for_all_folds(validated):
    page = (validated.root / "results" / "report" / "index.html").read_text()
    assert re.findall(r"<h2[^>]*>(digits[^<]*)</h2>", page) == ["digits"]
    text = (validated.root / "results" / "leaderboard.md").read_text()
    assert text.count("\n## ") == 1


def test_each_fold_is_an_experiment_and_the_first_has_the_summaries(validated):
    found = runs(validated)
    kinds = {(run["experiment"], run["tags"]["kind"]) for run in found if run["tags"]["state"] == "current"}
    assert kinds == {*((name, "cell") for name in FOLDS), (FOLDS[0], "summary"), (FOLDS[0], "report")}
    assert len(found) == 9
    board = table(validated, "leaderboard").set_index("loss")
    for run in found:
        if run["tags"]["kind"] == "summary":
            assert run["params"]["n"] == "3"
            assert run["history"]["test/miou"][0][1] == board["miou"][run["tags"]["loss"]]
        elif run["tags"]["kind"] == "cell":
            assert run["status"] == "FINISHED"
            assert run["tags"]["dataset"] == run["experiment"]


def test_nothing_is_left_to_do(validated):
    assert validated.status() == set()

"""The search for a learning rate: equal for every loss, judged on validation, and written down trial by trial."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from pipeline.tune import choose
from tests.exported_runs import runs
from tests.miniature import ROOT

pytestmark = pytest.mark.xdist_group("miniature a")


def trials(*scores: float | None) -> list[dict]:
    """Trials at rates 0.001, 0.01, ...; None for one that diverged."""
    return [{"lr": 10.0 ** (place - 3), "val_miou": score} for place, score in enumerate(scores)]


@pytest.mark.parametrize(
    ("scores", "lr", "flag"),
    [
        ((0.3, 0.6, 0.2), 0.01, None),
        ((0.3, 0.6, 0.7), 0.1, "edge: the best rate is the highest tried"),
        ((0.9, 0.6, None), 0.001, "edge: the best rate is the lowest tried"),
        ((0.3, 0.6, None), 0.01, None),
        ((0.500, 0.511, 0.505), 0.01, "flat: all rates score within 0.02"),
        ((0.6, 0.6, 0.2), 0.001, "edge: the best rate is the lowest tried"),
        ((None, None), 0.005, "every trial diverged, so the rate is the one of fit.lr"),
        ((), 0.005, None),
    ],
)
def test_the_best_rate_is_chosen_and_a_doubtful_optimum_flagged(scores, lr, flag):
    assert choose(trials(*scores), untuned=0.005) == {"lr": lr, "flag": flag}


@pytest.fixture(scope="module")
def searched(finished, tmp_path_factory):
    """A miniature with three losses, of which one is not tuned, after a search over three rates and `fit.lr`."""
    made = finished.copy(tmp_path_factory.mktemp("searched") / "work")
    search = {"rates": 3, "lowest": 1e-4, "highest": 1.0, "iterations": 4, "seed": 7}
    losses = {"cross_entropy": {}, "dice": {}, "dice_untuned": {"kind": "dice", "tune": False}}
    made.edit_params(tune=search, axes__loss=losses, axes__strategy={"none": {}})
    made.dvc("repro")
    return made


def read(workspace, loss: str, file: str) -> dict:
    return json.loads((workspace.root / "data" / "tuned" / f"digits-unet_tiny-{loss}" / file).read_text())


def test_every_loss_gets_the_same_rates_and_the_one_of_fit(searched):
    for loss in ("cross_entropy", "dice"):
        tried = [trial["lr"] for trial in read(searched, loss, "search.json")["trials"]]
        assert tried == [1e-4, 1e-3, 1e-2, 1.0], "fit.lr is 1e-3 by default"
        assert [read(searched, loss, f"trials/{number:02}.json")["lr"] for number in range(4)] == tried


def test_a_trial_is_as_long_as_the_search_says_and_keeps_its_validations(searched):
    history = read(searched, "dice", "trials/00.json")["history"]
    assert [each["iteration"] for each in history] == [4]
    assert history[0]["val_miou"] == read(searched, "dice", "search.json")["trials"][0]["val_miou"]


def test_cells_are_trained_at_the_rate_that_was_found(searched):
    """With the schedule of the smoke preset the first iteration runs at the peak rate."""
    for loss in ("cross_entropy", "dice", "dice_untuned"):
        rate = read(searched, loss, "rate.json")["lr"]
        facts = json.loads((searched.root / "models" / f"digits-unet_tiny-{loss}-none-0" / "cell.json").read_text())
        assert facts["lr"] == rate
        history = pd.read_csv(searched.root / "models" / f"digits-unet_tiny-{loss}-none-0" / "history.csv")
        assert history["lr"].iloc[0] == pytest.approx(rate / 2), "half the cosine at the second of two iterations"
    assert read(searched, "dice_untuned", "rate.json")["lr"] == 1e-3
    assert read(searched, "dice_untuned", "search.json")["trials"] == []


def test_a_repeated_search_reuses_its_trials(searched):
    kept = {file: file.stat().st_mtime_ns for file in (searched.root / ".cache" / "tune").iterdir()}
    assert len(kept) == 8
    before = read(searched, "dice", "search.json")
    said = searched.run("pipeline.tune", "digits-unet_tiny-dice").stdout
    assert "from 4 trials." in said
    assert {file: file.stat().st_mtime_ns for file in (searched.root / ".cache" / "tune").iterdir()} == kept
    assert read(searched, "dice", "search.json") == before


def test_a_trial_that_was_damaged_in_the_cache_is_made_again(searched):
    """The best one, which says now that it had no score."""
    best = read(searched, "dice", "rate.json")["lr"]
    kept = {file: json.loads(file.read_text()) for file in (searched.root / ".cache" / "tune").iterdir()}
    for file, entry in kept.items():
        if entry["content"]["lr"] == best:
            file.write_text(json.dumps(entry | {"content": entry["content"] | {"val_miou": None}}))
    searched.run("pipeline.tune", "digits-unet_tiny-dice")
    assert read(searched, "dice", "rate.json")["lr"] == best


def test_every_trial_is_a_run_in_mlflow_and_the_report_tells_of_the_search(searched):
    found = [run for run in runs(searched) if run["tags"]["kind"] == "trial"]
    assert len(found) == 8
    chosen = [run["params"] for run in found if run["tags"]["chosen"] == "true"]
    rates = {loss: read(searched, loss, "rate.json")["lr"] for loss in ("cross_entropy", "dice")}
    assert {params["loss"]: float(params["fit.lr"]) for params in chosen} == rates
    for run in found:
        assert [step for step, *_ in run["history"]["val/miou"]] == [4]
    table = pd.read_csv(searched.root / "results" / "tables" / "tuning.csv")
    assert table[["loss", "untuned", "strategy", "n"]].to_numpy().tolist() == [["dice", "dice_untuned", "none", 1]]
    page = (searched.root / "results" / "report" / "index.html").read_text()
    assert "<h4>Learning rates</h4>" in page
    assert "<h4>Tuned and untuned, on the test split</h4>" in page


def test_one_rate_is_taken_without_a_training_or_torch(finished):
    """So that a search nobody asked for costs a second."""
    code = (
        "import sys; from pipeline.tune import tune; tune('digits', 'unet_tiny', 'dice'); "
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=finished.root, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "digits-unet_tiny-dice: learning rate 0.001, from 0 trials.\n")


@pytest.mark.parametrize("name", ["digits-unet_tiny", "digits-unet_tiny-dice-none-0", ""])
def test_a_name_that_is_no_search_is_one_sentence(finished, name):
    found = finished.run("pipeline.tune", name, check=False)
    assert found.returncode == 1
    assert found.stderr == f"error: {name}: not a search; it must read DATASET-MODEL-LOSS.\n"

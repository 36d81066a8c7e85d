"""What an edit may cost: each row of the design's table, asked of DVC itself."""

from pathlib import Path

import pandas as pd
import pytest

from tests.miniature import Miniature

pytestmark = pytest.mark.xdist_group("miniature a")

AFTER_COUNTS = {"report", "publish"}
GRADIENTS = {"gradients"}  # it compares all losses of params.yaml
CELL = "train@digits-unet_tiny-{}-{}-{}".format
TUNE = "tune@digits-unet_tiny-{}".format


def cells(losses=("cross_entropy", "dice"), strategies=("none", "class_weights"), seeds=(0,)) -> set[str]:
    return {CELL(loss, strategy, seed) for loss in losses for strategy in strategies for seed in seeds}


def cached(workspace: Miniature, files: str) -> dict[Path, int]:
    """Files in the cache of the stages, with the time at which they were made."""
    return {file: file.stat().st_mtime_ns for file in (workspace.root / ".cache").glob(files)}


def counts(workspace: Miniature) -> pd.DataFrame:
    files = sorted((workspace.root / "results" / "counts").glob("*/classes.parquet"))
    return pd.concat(map(pd.read_parquet, files))


def test_a_finished_workspace_is_up_to_date(finished):
    assert finished.status() == set()
    assert "Data and pipelines are up to date." in finished.dvc("repro").stdout


def test_comments_docstrings_and_format_run_check_only(workspace):
    workspace.edit("pipeline/losses/dice.py", '"""Soft Dice loss.', '"""The soft loss of Dice.')
    workspace.edit("pipeline/train.py", "def main() -> None:\n", "def main() -> None:\n    # a comment\n")
    workspace.edit("pipeline/learn/fit.py", "    model.train()\n", "\n    model . train( )\n")
    workspace.edit("pipeline/measure/metrics/region.py", "def iou(", "# a comment\ndef iou(")
    workspace.edit("pipeline/plumbing/tracking.py", "PATIENCE = 20", "PATIENCE = 20  # patient")
    workspace.edit("requirements.lock", "# The whole environment", "# All of the environment")
    assert workspace.status() == {"check"}
    assert workspace.stale_after_check() == set()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (
            "pipeline/measure/metrics/region.py",
            "tp, fp, _, _ = _counts(columns)\n    return ratio(tp, tp + fp)",
            "tp, fp, _, _ = _counts(columns)\n    return ratio(tp, fp + tp)",
        ),
        ("pipeline/measure/statistics/estimates.py", "float(values.std(ddof=1))", "float(np.std(values, ddof=1))"),
        ("pipeline/measure/statistics/verdicts.py", "level = 1 - confidence", "level = 1.0 - confidence"),
        ("pipeline/measure/page/summary.py", '"# Leaderboard"', '"# The leaderboard"'),
        ("pipeline/measure/figures/gallery.py", "SMALL, LARGE = 1.15, 1.7", "SMALL, LARGE = 1.2, 1.7"),
        ("pipeline/measure/page/page.html.j2", "<!doctype html>", "<!DOCTYPE html>"),
        ("pipeline/measure/figures/gradients.py", "STRONGEST = 5", "STRONGEST = 6"),
    ],
)
def test_a_metric_statistic_figure_or_word_runs_the_report_and_after(workspace, file, old, new):
    workspace.edit(file, old, new)
    assert "report" in workspace.stale_after_check() <= AFTER_COUNTS


@pytest.mark.parametrize("option", [{"gallery": 1}, {"rope": 0.01}, {"resamples": 200}])
def test_an_option_of_the_report_runs_the_report_and_after(workspace, option):
    """Also the gallery: `evaluate` stores all predictions, whichever are shown."""
    workspace.edit_params(**{f"report__{name}": value for name, value in option.items()})
    assert workspace.stale_after_check() == AFTER_COUNTS


def test_another_tolerance_judges_again_and_trains_nothing(workspace):
    before = counts(workspace)
    workspace.edit_params(eval__tolerance=5.0)
    assert workspace.stale_after_check() == {"evaluate"}
    said = workspace.dvc("repro", "evaluate").stdout
    assert "Running stage 'evaluate'" in said
    assert "Running stage 'train@" not in said
    assert workspace.status() == AFTER_COUNTS
    after = counts(workspace)
    changed = [name for name in before if not after[name].equals(before[name])]
    assert changed == ["surface_predicted_near", "surface_true_near"]


def test_one_more_repeat_of_the_control_runs_its_cell_and_then_only_what_is_new(workspace):
    workspace.edit_params(report__noise_floor=[5])
    repeat = "repeat@digits-unet_tiny-cross_entropy-none-5"
    assert workspace.stale_after_check() == {repeat} | AFTER_COUNTS
    kept = cached(workspace, "evaluate/*/*.npz")
    said = workspace.dvc("repro", "evaluate").stdout
    assert f"Running stage '{repeat}'" in said
    assert "Running stage 'train@" not in said
    after = cached(workspace, "evaluate/*/*.npz")
    assert kept.items() < after.items()
    assert len(after) == len(kept) + 1
    assert workspace.status() == GRADIENTS | AFTER_COUNTS


def test_a_colour_or_a_citation_trains_nothing_again(workspace):
    """Both are in the code of `prepare`, whose arrays stay the same."""
    workspace.edit(
        "pipeline/measure/figures/colours.py", "VOID = np.array([150, 150, 150]", "VOID = np.array([140, 150, 150]"
    )
    workspace.edit("pipeline/datasets/digits.py", "JMLR 12, 2011", "JMLR 12 (2011)")
    assert "prepare@digits" in workspace.stale_after_check()
    assert "train@" not in workspace.dvc("repro", "prepare").stdout
    assert {stage for stage in workspace.status() if stage.startswith("train@")} == set()


def test_new_plug_ins_that_params_do_not_name_run_check_only(workspace):
    for plug_in in ("losses/cross_entropy", "strategies/none"):
        code = workspace.root / "pipeline" / f"{plug_in}.py"
        code.with_name("brand_new.py").write_text(code.read_text())
    assert workspace.status() == {"check"}
    assert workspace.stale_after_check() == set()


def test_a_new_loss_runs_its_cells_and_then_only_what_is_new(workspace):
    kept, measured = cached(workspace, "evaluate/*/*.npz"), cached(workspace, "gradients/*.json")
    workspace.edit_params(axes__loss__focal={})
    assert workspace.stale_after_check() == {TUNE("focal")} | cells(losses=["focal"]) | GRADIENTS | AFTER_COUNTS
    workspace.dvc("repro")
    after, measured_after = cached(workspace, "evaluate/*/*.npz"), cached(workspace, "gradients/*.json")
    assert len(kept) == 4
    assert kept.items() <= after.items(), "models that were there are not predicted again"
    assert len(after) == 6
    assert len(measured) == 3
    assert measured.items() <= measured_after.items(), "nor are their gradients measured again"
    assert len(measured_after) == 5, "all losses at the initial weights, and the new one after its training"
    assert workspace.status() == set()


def test_the_code_of_one_loss_runs_its_cells(workspace):
    workspace.edit("pipeline/losses/dice.py", "sizes = n.tp + n.fp + n.tp + n.fn", "sizes = n.fp + n.tp + n.tp + n.fn")
    assert workspace.stale_after_check() == {TUNE("dice")} | cells(losses=["dice"]) | GRADIENTS


def test_the_code_of_one_strategy_runs_its_cells(workspace):
    workspace.edit("pipeline/strategies/class_weights.py", "return weights / weights", "return 1.0 * weights / weights")
    assert workspace.stale_after_check() == cells(strategies=["class_weights"])


def test_an_option_of_one_loss_runs_its_cells(workspace):
    workspace.edit_params(axes__loss__dice={"denominator": "squared"})
    assert workspace.stale_after_check() == {TUNE("dice")} | cells(losses=["dice"]) | GRADIENTS
    workspace.dvc("repro", TUNE("dice"))
    assert workspace.status() == cells(losses=["dice"]) | GRADIENTS, (
        "a search that finds the same rate makes nothing stale"
    )


def test_a_search_for_learning_rates_runs_the_searches_and_then_what_changed(workspace):
    workspace.edit_params(tune={"rates": 2, "iterations": 1}, axes__loss__dice={"tune": False})
    assert workspace.stale_after_check() == {TUNE("cross_entropy")}


def test_writing_out_a_default_runs_nothing(workspace):
    workspace.edit_params(axes__loss__dice={"denominator": "plain"})
    assert workspace.stale_after_check() == set()


def test_one_more_seed_runs_the_cells_of_that_seed(workspace):
    workspace.edit_params(axes__seed=[0, 1])
    assert workspace.stale_after_check() == cells(seeds=[1]) | AFTER_COUNTS


def test_a_new_image_size_prepares_but_does_not_download(workspace):
    workspace.edit_params(axes__dataset__digits__image_size=64)
    assert workspace.stale_after_check() == {"prepare@digits"}


def test_removing_a_loss_runs_the_report_which_then_does_not_list_it(workspace):
    workspace.edit_params(axes__loss__dice=None)
    assert workspace.stale_after_check() == GRADIENTS | AFTER_COUNTS
    workspace.dvc("repro")
    assert len(list((workspace.root / "models").glob("*dice*"))) == 2, "the trained cells are kept"
    assert ",dice," not in (workspace.root / "results" / "leaderboard.csv").read_text()


def test_a_typo_stops_everything_at_once(workspace: Miniature):
    workspace.edit_params(axes__loss__dcie={})
    found = workspace.dvc("repro", check=False)
    assert found.returncode != 0
    assert "error: params.yaml: axes.loss.dcie: no pipeline/losses/dcie.py. Did you mean 'dice'?" in found.stderr
    assert "train@" not in found.stdout
    assert "download@" not in found.stdout


STAGES = {
    "download digits": "data/raw/digits",
    "prepare digits": "data/prepared/digits",
    "tune digits-unet_tiny-dice": "data/tuned/digits-unet_tiny-dice",
    "train digits-unet_tiny-dice-none-0": "models/digits-unet_tiny-dice-none-0",
    "train digits-unet_tiny-dice-class_thresholds-0": "models/digits-unet_tiny-dice-class_thresholds-0",
    "evaluate": "results/counts",
    "gradients": "results/gradients",
    "report": "results/tables",
    "publish": "mlflow.db",
}


def times(path: Path) -> dict[Path, int]:
    """When each file at a path, or below it, was changed."""
    return {file: file.stat().st_mtime_ns for file in [path, *path.rglob("*")] if file.is_file()}


def test_code_edited_after_check_is_used_by_no_stage(workspace):
    """Or what it makes would be recorded as made by the code that the plan names. A comment is no edit."""
    workspace.edit_params(tune={"rates": 3, "iterations": 1}, axes__strategy__class_thresholds={})
    workspace.run("pipeline.check")
    workspace.edit("pipeline/plumbing/plan.py", "PLAN = Path(", "# a comment\nPLAN = Path(")
    workspace.run("pipeline.train", "digits-unet_tiny-dice-class_thresholds-0")
    workspace.edit(
        "pipeline/plumbing/plan.py", 'GRADIENTS = Path("results/gradients")', 'GRADIENTS = Path("results/grads")'
    )
    for stage, output in STAGES.items():
        before = times(workspace.root / output)
        found = workspace.run(*f"pipeline.{stage}".split(), check=False)
        assert (found.returncode, found.stderr) == (
            1,
            "error: the code of pipeline/plumbing/plan.py has changed since `check` made the plan; run `dvc repro` (or "
            "`python -m pipeline.run`) again.\n",
        ), stage
        assert times(workspace.root / output) == before


def test_what_edited_code_would_have_made_is_neither_recorded_nor_kept(workspace):
    """The edit is taken back after DVC has tried: the next run has the results of the code that is there."""
    name, formula, edited = CELL("dice", "none", 0), "return 1 - dice if", "return 3 - dice if"
    weights = workspace.root / "models" / name.removeprefix("train@") / "model" / "model.safetensors"
    before, lock = weights.read_bytes(), (workspace.root / "dvc.lock").read_bytes()
    workspace.edit("pipeline/losses/dice.py", formula, edited)
    found = workspace.dvc("repro", "--force", "--single-item", name, check=False)
    assert "the code of pipeline/losses/dice.py has changed since `check` made the plan" in found.stderr
    assert (workspace.root / "dvc.lock").read_bytes() == lock
    workspace.edit("pipeline/losses/dice.py", edited, formula)
    workspace.dvc("repro", "--single-item", name)
    assert weights.read_bytes() == before
    assert workspace.status() == set()

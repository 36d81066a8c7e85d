"""Stage `tune`: finds the learning rate of one loss on one dataset with one model, by a search on the validation split.

Gradients of losses differ by orders of magnitude, so one rate for all would favour some. Every loss gets the same
number of trials of the same length. With one rate to try, or for a loss with `tune: false`, that rate is taken and
nothing is trained. Writes to `data/tuned/<dataset>-<model>-<loss>/`:
    rate.json      the learning rate: all that trainings depend on
    search.json    every rate with its score, the rate of the block `fit` among them, and a flag on a doubtful optimum
    trials/*.json  each trial with its validations
"""

import argparse
from pathlib import Path
from typing import Any

from pipeline.plumbing.errors import UserError, run_stage
from pipeline.plumbing.files import check_writable, whole, write_json
from pipeline.plumbing.fingerprints import as_planned
from pipeline.plumbing.lifeline import die_with_parent
from pipeline.plumbing.plan import TUNED, read_plan

FLAT = 0.02  # mean IoU: a search whose scores differ by less has chosen among equals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("search", help="DATASET-MODEL-LOSS, names as in params.yaml")
    name = parser.parse_args().search
    names = name.split("-")
    if len(names) != 3:
        raise UserError(f"{name}: not a search; it must read DATASET-MODEL-LOSS.")
    die_with_parent()
    tune(*names)


def tune(dataset: str, model: str, loss: str) -> None:
    """Choose a learning rate and write why."""
    untuned = read_plan("train", "dataset", dataset)["fit"]["lr"]
    trials = []
    check_writable(TUNED / f"{dataset}-{model}-{loss}")
    with as_planned(read_plan("tune", loss)):
        if searched(loss):
            from pipeline.learn.search import run_trials  # imports torch, which one rate does not need

            trials = run_trials(dataset, model, loss)
        found = {"untuned_lr": untuned, **choose(trials, untuned)}
    write(TUNED / f"{dataset}-{model}-{loss}", found, trials)
    remark = f" ({found['flag']})" if found["flag"] else ""
    print(f"{dataset}-{model}-{loss}: learning rate {found['lr']:.3g}{remark}, from {len(trials)} trials.")


def searched(loss: str) -> bool:
    """Whether more than one rate is tried for the loss."""
    return read_plan("tune", loss)["search"] is not None


def choose(trials: list[dict[str, Any]], untuned: float) -> dict[str, Any]:
    """The rate with the best validation score, and a `flag` if it is no clear optimum: a sentence, or None.

    Between equal scores the lower rate is taken. A trial that diverged has no score.
    """
    scores = {trial["lr"]: trial["val_miou"] for trial in trials if trial["val_miou"] is not None}
    if not scores:
        return {"lr": untuned, "flag": "every trial diverged, so the rate is the one of fit.lr" if trials else None}
    best = max(sorted(scores), key=scores.__getitem__)
    lowest, *_, highest = sorted(trial["lr"] for trial in trials)
    flag = None
    if max(scores.values()) - min(scores.values()) < FLAT and len(scores) == len(trials):
        flag = f"flat: all rates score within {FLAT}"
    elif best in (lowest, highest):
        flag = f"edge: the best rate is the {'lowest' if best == lowest else 'highest'} tried"
    return {"lr": best, "flag": flag}


def write(directory: Path, found: dict[str, Any], trials: list[dict[str, Any]]) -> None:
    """Write the directory of the search, whole or not at all."""
    kept = ("lr", "val_miou", "iteration", "diverged_at")
    with whole(directory) as part:
        (part / "trials").mkdir(parents=True)
        write_json(part / "rate.json", {"lr": found["lr"]})
        write_json(part / "search.json", {**found, "trials": [{key: trial[key] for key in kept} for trial in trials]})
        for number, trial in enumerate(trials):
            write_json(part / "trials" / f"{number:02}.json", trial)


if __name__ == "__main__":
    run_stage(main)

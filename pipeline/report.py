"""Stage `report`: computes every table and figure from the stored counts.

Rows come from the plan, never from a listing of directories: what params.yaml no longer names is not shown, and what is
not trained yet is named as missing. Writes to `results/`:
    leaderboard.csv, leaderboard.md    a row per loss and strategy, best first
    cells.csv                          a row per cell, with its state
    differences.csv                    paired differences from the control
    per_class.csv                      the leaderboard per class
    learning_rates.csv                 the rate of each loss, and what the search says of it
    tuning.csv                         tuned and untuned losses side by side, where both are listed
    metrics/, plots/                   for `dvc metrics` and `dvc plots`
    report/index.html                  one page that needs no network; its figures also as files
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.measure.gradient_tables import read_gradients
from pipeline.measure.metrics import METRICS
from pipeline.measure.page import write_page
from pipeline.measure.rates import rate_table, trial_table, tuning_table
from pipeline.measure.story import Shown, Story
from pipeline.measure.summary import leaderboard_text, missing, sentence
from pipeline.measure.tables import (
    EXPERIMENT,
    Judged,
    cell_table,
    class_table,
    counts_from_table,
    difference_table,
    leaderboard,
)
from pipeline.plumbing.cells import Cell, combinations
from pipeline.plumbing.errors import run_stage
from pipeline.plumbing.files import read_json, whole, write_json, write_text
from pipeline.plumbing.plan import COUNTS, GRADIENTS, MODELS, PREDICTIONS, PREPARED, TUNED, read_plan

RESULTS = Path("results")


def main() -> None:
    plan = read_plan("report")
    facts = {cell: _facts(cell) for cell in combinations(plan["axes"])}
    story = make_story(plan, facts)
    write_tables(story)
    write_page(RESULTS / "report", story)
    print(*(sentence(story, dataset) for dataset in story.datasets), *missing(story), sep="\n")
    print(f"{RESULTS}/leaderboard.md, {RESULTS}/report/index.html")


def make_story(plan: dict[str, Any], facts: dict[Cell, dict[str, Any] | None]) -> Story:
    """Everything that the tables and the page show."""
    judged = {cell: judge(cell, known) for cell, known in facts.items()}
    metas = {name: _meta(PREPARED / name) for name in plan["axes"]["dataset"]}
    primary, confidence = plan["primary_metric"], plan["confidence"]
    cells = cell_table(judged)
    found = searches(plan["axes"])
    rates = rate_table(found)
    losses = {cell.loss: known["plan"]["loss"] for cell, known in facts.items() if known}
    return Story(
        primary=primary,
        confidence=confidence,
        control=plan["control"],
        datasets=metas,
        fits={cell.dataset: known["plan"]["dataset"]["fit"] for cell, known in facts.items() if known},
        cells=cells,
        leaderboard=leaderboard(cells, primary, confidence),
        differences=difference_table(cells, primary, plan["control"], confidence),
        classes=class_table(judged, {name: meta["pixel_frequency"] for name, meta in metas.items()}, confidence),
        curves=learning_curves(facts),
        gradients=read_gradients(GRADIENTS, plan["axes"]),
        rates=rates,
        trials=trial_table(found),
        tuning=tuning_table(cells, losses, rates, primary, confidence),
        gallery=[shown for name in metas for shown in gallery(name, metas[name], facts)],
        origins=[read_json(MODELS / cell.name / "provenance.json") for cell, known in facts.items() if known],
    )


def _meta(prepared: Path) -> dict[str, Any]:
    """What is known of a prepared dataset, with its licence and citation."""
    return read_json(prepared / "meta.json") | read_json(prepared / "about.json")


def _facts(cell: Cell) -> dict[str, Any] | None:
    """What training recorded of a cell; None if it is not trained yet."""
    file = MODELS / cell.name / "cell.json"
    return read_json(file) if file.is_file() else None


def judge(cell: Cell, known: dict[str, Any] | None) -> Judged:
    """State and counts of a cell."""
    if known is None:
        return Judged("missing", [], None)
    if known["status"] == "diverged":
        return Judged(f"diverged at iteration {known['diverged_at']}", known["classes"], None)
    file = COUNTS / f"{cell.name}.parquet"
    if not file.is_file():
        return Judged("missing", known["classes"], None)
    return Judged("finished", known["classes"], counts_from_table(pd.read_parquet(file)))


def learning_curves(facts: dict[Cell, dict[str, Any] | None]) -> pd.DataFrame:
    """A row per cell and validation: axes, iteration, lr, train_loss, val_miou."""
    columns = [*Cell._fields, "iteration", "lr", "train_loss", "val_miou"]
    histories = {cell: pd.read_csv(MODELS / cell.name / "history.csv") for cell, known in facts.items() if known}
    # A history is empty if training diverged before its first validation.
    curves = [history.assign(**cell._asdict())[columns] for cell, history in histories.items() if len(history)]
    return pd.concat(curves) if curves else pd.DataFrame(columns=columns)


def searches(axes: dict[str, list[str]]) -> dict[tuple[str, ...], dict[str, Any]]:
    """What `tune` found, by dataset, model and loss."""
    names = dict.fromkeys((cell.dataset, cell.model, cell.loss) for cell in combinations(axes))
    files = {each: TUNED / "-".join(each) / "search.json" for each in names}
    return {each: read_json(file) for each, file in files.items() if file.is_file()}


def gallery(dataset: str, meta: dict[str, Any], facts: dict[Cell, dict[str, Any] | None]) -> list[Shown]:
    """The test images whose predictions were kept, with that of the first seed of each experiment that finished."""
    images = np.load(PREPARED / dataset / "test_images.npy", mmap_mode="r")
    masks = np.load(PREPARED / dataset / "test_masks.npy", mmap_mode="r")
    names = read_json(PREPARED / dataset / "names.json")["test"]
    shown, kept = set(), {}
    for cell, known in facts.items():
        file = PREDICTIONS / f"{cell.name}.npz"
        if cell.dataset == dataset and known and file.is_file() and cell.experiment not in shown:
            shown.add(cell.experiment)
            with np.load(file) as stored:
                for position, mask in zip(stored["positions"].tolist(), stored["masks"], strict=True):
                    kept.setdefault(position, {})[cell] = mask
    return [
        Shown(dataset, names[at], np.array(images[at]), np.array(masks[at]), meta["classes"], predictions)
        for at, predictions in kept.items()
    ]


def write_tables(story: Story) -> None:
    """The tables as files, and what DVC's own `metrics` and `plots` read."""
    tables = {
        "leaderboard": story.leaderboard,
        "cells": story.cells,
        "differences": story.differences,
        "per_class": story.classes,
        "learning_rates": story.rates,
        "tuning": story.tuning,
    }
    for name, table in tables.items():
        with whole(RESULTS / f"{name}.csv") as part:
            table.to_csv(part, index=False, float_format="%.6f")
    write_text(RESULTS / "leaderboard.md", leaderboard_text(story))
    with whole(RESULTS / "metrics") as part:
        part.mkdir(parents=True)
        for name, row in zip(experiment_names(story.leaderboard), story.leaderboard.to_dict("records"), strict=True):
            numbers = {metric: row[metric] for metric in METRICS if not np.isnan(row[metric])}
            spread = {
                key: row[key] for key in (f"{story.primary}_low", f"{story.primary}_high") if not np.isnan(row[key])
            }
            write_json(part / f"{name}.json", {"n": row["n"], **numbers, **spread})
    with whole(RESULTS / "plots") as part:
        part.mkdir(parents=True)
        bars = {"experiment": experiment_names(story.leaderboard), "score": story.leaderboard[story.primary]}
        pd.DataFrame(bars).to_csv(part / "leaderboard.csv", index=False, float_format="%.6f")


def experiment_names(table: pd.DataFrame) -> list[str]:
    """`dataset-model-loss-strategy` of each row."""
    return ["-".join(row) for row in table[EXPERIMENT].itertuples(index=False)]


if __name__ == "__main__":
    run_stage(main)

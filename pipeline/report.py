"""Stage `report`: computes every table and figure from the stored counts.

Rows come from the plan, never from a listing of directories: what params.yaml no longer names is not shown, and what is
not trained yet is named as missing. Writes to `results/`:
    leaderboard.csv, leaderboard.md    a row per loss and strategy, best first
    cells.csv                          a row per cell, with its state
    differences.csv                    paired differences from the control
    per_class.csv                      the leaderboard per class
    strategy_effects.csv               paired differences of each strategy from that of the control, under each loss
    main_effects.csv                   the same averaged over losses, and of losses averaged over strategies
    two_way.csv                        two-way analysis of loss and strategy, with seeds as blocks
    dial.csv                           scores against the rarity of a class, where datasets differ in it
    seen.csv                           share of each class among the pixels that training saw
    decisions.csv                      what was fitted on the validation split, for strategies that decide
    learning_rates.csv                 the rate of each loss, and what the search says of it
    tuning.csv                         tuned and untuned losses side by side, where both are listed
    metrics/, plots/                   for `dvc metrics` and `dvc plots`
    report/index.html                  one page that needs no network; its figures also as files
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.measure.evidence import (
    Facts,
    decisions,
    gallery,
    judge,
    learning_curves,
    origins,
    read_facts,
    read_meta,
    reused_strategies,
    searches,
    trained,
)
from pipeline.measure.metrics.table import METRICS
from pipeline.measure.page.page import write_page
from pipeline.measure.page.summary import leaderboard_text, missing, sentence
from pipeline.measure.story import Story
from pipeline.measure.tables.decisions import decision_table
from pipeline.measure.tables.dial import dial_table, find_dials
from pipeline.measure.tables.factorial import factorial
from pipeline.measure.tables.gradients import read_gradients
from pipeline.measure.tables.rates import rate_table, trial_table, tuning_table
from pipeline.measure.tables.scores import EXPERIMENT, cell_table, class_table, difference_table, leaderboard
from pipeline.measure.tables.seen import seen_table
from pipeline.plumbing.errors import run_stage
from pipeline.plumbing.files import whole, write_json, write_text
from pipeline.plumbing.plan import GRADIENTS, read_plan

RESULTS = Path("results")


def main() -> None:
    plan = read_plan("report")
    story = make_story(plan, read_facts(plan["axes"]))
    write_tables(story)
    write_page(RESULTS / "report", story)
    print(*(sentence(story, dataset) for dataset in story.datasets), *missing(story), sep="\n")
    print(f"{RESULTS}/leaderboard.md, {RESULTS}/report/index.html")


def make_story(plan: dict[str, Any], facts: Facts) -> Story:
    """Everything that the tables and the page show."""
    judged = {cell: judge(cell, known) for cell, known in facts.items()}
    metas = {name: read_meta(name) for name in plan["axes"]["dataset"]}
    primary, confidence, control = plan["primary_metric"], plan["confidence"], plan["control"]
    cells = cell_table(judged)
    board = leaderboard(cells, primary, confidence)
    classes = class_table(judged, {name: meta["pixel_frequency"] for name, meta in metas.items()}, confidence)
    effects, dials = factorial(cells, primary, control, confidence), find_dials(metas)
    found = searches(plan["axes"])
    rates = rate_table(found)
    plans = {cell: known["plan"] for cell, known in trained(facts).items()}
    return Story(
        primary=primary,
        confidence=confidence,
        control=control,
        datasets=metas,
        fits={cell.dataset: each["dataset"]["fit"] for cell, each in plans.items()},
        cells=cells,
        leaderboard=board,
        differences=difference_table(cells, primary, control, confidence),
        classes=classes,
        curves=learning_curves(facts),
        gradients=read_gradients(GRADIENTS, plan["axes"]),
        factorial=effects,
        reused=reused_strategies(facts),
        dials=dials,
        dial=dial_table(dials, board, classes, effects.effects, primary),
        seen=seen_table(facts, metas),
        decisions=decision_table(decisions(facts), metas, confidence),
        rates=rates,
        trials=trial_table(found),
        tuning=tuning_table(
            cells, {cell.loss: each["loss"] for cell, each in plans.items()}, rates, primary, confidence
        ),
        gallery=[shown for name in metas for shown in gallery(name, metas[name], facts)],
        origins=origins(facts),
    )


def write_tables(story: Story) -> None:
    """The tables as files, and what DVC's own `metrics` and `plots` read."""
    tables = {
        "leaderboard": story.leaderboard,
        "cells": story.cells,
        "differences": story.differences,
        "per_class": story.classes,
        "strategy_effects": story.factorial.effects,
        "main_effects": story.factorial.main,
        "two_way": story.factorial.two_way,
        "dial": story.dial,
        "seen": story.seen,
        "decisions": story.decisions,
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

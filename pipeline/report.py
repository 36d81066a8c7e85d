"""Stage `report`: computes every table and figure from the stored counts.

Rows come from the plan, never from a listing of directories: what params.yaml no longer names is not shown, and what is
not trained yet is named as missing. Writes to `results/`:
    leaderboard.csv, leaderboard.md    a row per loss and strategy, best first
    cells.csv                          a row per cell, with its state; the repeats of the control last
    tables/
        differences.csv, noise_floor.csv    paired differences from the control, and of the control from itself
        per_class.csv                       the leaderboard per class
        rank_*.csv                          how far the order of the leaderboard can be relied on
        strategy_effects.csv                paired differences of each strategy from the control's, under each loss
        main_effects.csv, two_way.csv       the same averaged over losses, and of losses; their two-way analysis
        dial.csv                            scores against the rarity of a class, where datasets differ in it
        seen.csv                            share of each class among the pixels that training saw
        decisions.csv                       what was fitted on the validation split, for strategies that decide
        reliability.csv, temperatures.csv   whether probabilities mean what they say
        learning_rates.csv, tuning.csv      the rate of each loss, and losses with and without a search for it
        gallery.csv                         the test images on which the experiments differ most
    metrics/, plots/                   for `dvc metrics` and `dvc plots`
    report/index.html                  one page that needs no network; its figures also as files
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.measure.page.page import write_page
from pipeline.measure.page.summary import leaderboard_text, missing, sentence
from pipeline.measure.story import Story
from pipeline.measure.tables.scores import EXPERIMENT, SPREAD
from pipeline.measure.telling import tell
from pipeline.plumbing.errors import run_stage
from pipeline.plumbing.files import whole, write_json, write_text
from pipeline.plumbing.fingerprints import as_planned
from pipeline.plumbing.plan import read_plan
from pipeline.plumbing.spreadsheets import harmless_table

RESULTS = Path("results")


def main() -> None:
    plan = read_plan("report")
    with as_planned(plan):
        story = tell(plan)
        write_tables(story)
        write_page(RESULTS / "report", story)
    print(*(sentence(story, dataset) for dataset in story.datasets), *missing(story), sep="\n")
    print(f"{RESULTS}/leaderboard.md, {RESULTS}/report/index.html")


def write_tables(story: Story) -> None:
    """The tables as files, and what DVC's own `metrics` and `plots` read."""
    _write(RESULTS / "leaderboard.csv", story.leaderboard)
    _write(RESULTS / "cells.csv", pd.concat([story.cells, story.repeats]) if len(story.repeats) else story.cells)
    with whole(RESULTS / "tables") as part:
        part.mkdir(parents=True)
        for name, table in tables_of(story).items():
            _write(part / f"{name}.csv", table)
    write_text(RESULTS / "leaderboard.md", leaderboard_text(story))
    with whole(RESULTS / "metrics") as part:
        part.mkdir(parents=True)
        for name, row in zip(experiment_names(story.leaderboard), story.leaderboard.to_dict("records"), strict=True):
            write_json(part / f"{name}.json", headline_numbers(row, story.primary))
    with whole(RESULTS / "plots") as part:
        part.mkdir(parents=True)
        bars = {"experiment": experiment_names(story.leaderboard), "score": story.leaderboard[story.primary]}
        _write(part / "leaderboard.csv", pd.DataFrame(bars))


def tables_of(story: Story) -> dict[str, pd.DataFrame]:
    """All tables but the leaderboard and the cells, by the name of their file."""
    return {
        "differences": story.differences,
        "noise_floor": story.noise,
        "per_class": story.classes,
        **{f"rank_{name}": table for name, table in story.ranking._asdict().items()},
        "strategy_effects": story.factorial.effects,
        "main_effects": story.factorial.main,
        "two_way": story.factorial.two_way,
        "dial": story.dial,
        "seen": story.seen,
        "decisions": story.decisions,
        "reliability": story.reliability,
        "temperatures": story.temperatures,
        "learning_rates": story.rates,
        "tuning": story.tuning,
        "gallery": story.chosen,
    }


def _write(file: Path, table: pd.DataFrame) -> None:
    with whole(file) as part:
        harmless_table(table).to_csv(part, index=False, float_format="%.6f")


def headline_numbers(row: dict[str, Any], primary: str) -> dict[str, float]:
    """What `dvc metrics` shows of an experiment: the primary metric, never without n, spread and interval."""
    numbers = {f"{primary}{suffix}": row[f"{primary}{suffix}"] for suffix in SPREAD}
    return {"n": row["n"]} | {name: value for name, value in numbers.items() if not np.isnan(value)}


def experiment_names(table: pd.DataFrame) -> list[str]:
    """`dataset-model-loss-strategy` of each row."""
    return ["-".join(row) for row in table[EXPERIMENT].itertuples(index=False)]


if __name__ == "__main__":
    run_stage(main)

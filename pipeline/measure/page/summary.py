"""The leaderboard in words and Markdown, for the terminal, `results/leaderboard.md` and the top of the page."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.measure.metrics.table import METRICS
from pipeline.measure.story import Story
from pipeline.measure.tables.scores import EXPERIMENT

NAMED = 3  # claims or missing cells named one by one; more are counted


def leaderboard_text(story: Story) -> str:
    """The leaderboard as Markdown: a verdict and a table per dataset, and what the numbers mean."""
    parts = ["# Leaderboard"]
    for dataset, rows in story.leaderboard.groupby("dataset", sort=False):
        table = markdown_table([readable_row(row, story) for row in rows.to_dict("records")])
        parts += [f"## {dataset}", sentence(story, dataset), table]
    return "\n\n".join([*parts, notes(story), *missing(story)]) + "\n"


def sentence(story: Story, dataset: str) -> str:
    """The verdict on one dataset: what the evidence supports."""
    board = story.leaderboard[story.leaderboard["dataset"] == dataset]
    best, metric = board.iloc[0], METRICS[story.primary]
    if np.isnan(best[story.primary]):
        states = story.cells.loc[story.cells["dataset"] == dataset, "state"].str.split().str[0].value_counts()
        return f"On {dataset}, nothing has finished: {', '.join(f'{n} {state}' for state, n in states.items())}."
    seeds = "1 seed" if best["n"] == 1 else f"{best['n']} seeds"
    score = f"{metric.title}: {best[story.primary]:.3f} over {seeds}"
    lead = f"On {dataset}, {_experiment(best, story)} has the highest {score}"
    if len(board) == 1:
        return f"{lead}; it is the only experiment, so there is nothing to compare."
    rows = story.differences[
        (story.differences["dataset"] == dataset) & (story.differences["verdict"] != "inconclusive")
    ]
    claims = [f"{_experiment(row, story)} is {row['verdict']}" for _, row in rows.iterrows()]
    control = f"the control ({story.control['loss']}, {story.control['strategy']})"
    if not claims:
        return f"{lead}; no difference from {control} is proven."
    return f"{lead}. Compared with {control}, {_some(claims)}."


def _experiment(row: pd.Series, story: Story) -> str:
    """Loss and strategy, and the model where there are several."""
    model = f" on {row['model']}" if story.cells["model"].nunique() > 1 else ""
    return f"{row['loss']} with {row['strategy']}{model}"


def _some(items: list[str]) -> str:
    """The first few of a list, and how many there are beyond."""
    more = f", and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return ", ".join(items[:NAMED]) + more


def readable_row(row: dict[str, Any], story: Story) -> dict[str, str]:
    """One experiment as text: never a mean without its number of seeds, spread and interval."""
    metric = story.primary
    same = [(story.differences[axis] == row[axis]) for axis in EXPERIMENT]
    found = story.differences[np.logical_and.reduce(same)].to_dict("records")
    difference = found[0] if found else None
    return {
        "model": row["model"],
        "loss": row["loss"],
        "strategy": row["strategy"],
        "n": str(row["n"]),
        METRICS[metric].title: number(row[metric]),
        "std": number(row[f"{metric}_std"]),
        "interval": interval(row[f"{metric}_low"], row[f"{metric}_high"]),
        "difference": number(difference["mean"], "+.3f") if difference else "",
        "its interval": interval(difference["low"], difference["high"], "+.3f") if difference else "",
        "verdict": difference["verdict"] if difference else "control",
        "remark": remark(row, story),
    }


def remark(row: dict[str, Any], story: Story) -> str:
    """Which seeds of an experiment did not finish, and why."""
    seeds = story.cells[np.logical_and.reduce([story.cells[axis] == row[axis] for axis in EXPERIMENT])]
    unfinished = seeds[seeds["state"] != "finished"]
    return "; ".join(
        f"seed {seed} {state}" for seed, state in zip(unfinished["seed"], unfinished["state"], strict=True)
    )


def notes(story: Story) -> str:
    """How to read the numbers."""
    metric, rules = METRICS[story.primary], {fit["checkpoint"] for fit in story.fits.values()}
    percent = f"{100 * story.confidence:g} %"
    return (
        f"{metric.title}: {metric.formula}; {metric.averages}. n: seeds that finished. std: over seeds. Intervals: "
        f"{percent}, Student's t over seeds. Difference: from the control at the same seeds; a verdict needs a paired "
        f"t-test below {1 - story.confidence:.2g} after Holm's correction over all rows of a dataset. Judged once, on "
        f"the test split; checkpoint rule: {', '.join(sorted(rules)) or 'none trained yet'}."
    )


def missing(story: Story) -> list[str]:
    """A paragraph that names the cells this report is without; none if it is complete."""
    absent = story.cells[story.cells["state"] == "missing"]
    if absent.empty:
        return []
    names = absent[[*EXPERIMENT, "seed"]].astype(str).agg("-".join, axis=1)
    return [f"Partial: {len(absent)} of {len(story.cells)} cells are missing: {_some(list(names))}."]


def markdown_table(rows: list[dict[str, str]]) -> str:
    """Rows as a Markdown table, without columns that are empty throughout."""
    columns = [column for column in rows[0] if any(row[column] for row in rows)]
    lines = [columns, ["---"] * len(columns), *([row[column] for column in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float, form: str = ".3f") -> str:
    """A number as text, and a dash for one that is not known."""
    return "–" if pd.isna(value) else format(value, form)


def percent(share: float) -> str:
    """A share of 1 as `0.35 %`, two digits that count."""
    return "–" if pd.isna(share) else f"{float(f'{100 * share:.2g}'):g} %"


def interval(low: float, high: float, form: str = ".3f") -> str:
    """`[0.1, 0.2]`, or a dash."""
    return "–" if pd.isna(low) else f"[{low:{form}}, {high:{form}}]"

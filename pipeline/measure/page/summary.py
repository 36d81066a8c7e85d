"""The leaderboard in words and Markdown, for the terminal, `results/leaderboard.md` and the page."""

from typing import Any

import numpy as np

from pipeline.measure.metrics.table import METRICS
from pipeline.measure.page.headline import sentence
from pipeline.measure.story import Story
from pipeline.measure.tables.scores import EXPERIMENT
from pipeline.measure.text import UNKNOWN, chance, interval, number
from pipeline.plumbing.errors import listed

NOISE = "noise floor"
INTERVALS = {
    "t": "the margins of seeds and of resampled test images, each by Student's t, added as squares",
    "percentile": "percentiles of the hierarchical bootstrap, which draws seeds and then test images",
    "bca": "the hierarchical bootstrap, which draws seeds and then test images, bias-corrected and accelerated",
}


def leaderboard_text(story: Story) -> str:
    """The leaderboard as Markdown: a verdict and a table per dataset, and what the numbers mean."""
    parts = ["# Leaderboard"]
    for dataset in story.datasets:
        parts += [f"## {dataset}", sentence(story, dataset), markdown_table(leaderboard_rows(story, dataset))]
    return "\n\n".join([*parts, notes(story), *missing(story)]) + "\n"


def leaderboard_rows(story: Story, dataset: str) -> list[dict[str, str]]:
    """The experiments of a dataset as text, best first, and below them the noise floor; without empty columns."""
    board, noise = (table[table["dataset"] == dataset] for table in (story.leaderboard, story.noise))
    places = board[story.primary].rank(method="min", ascending=not METRICS[story.primary].higher_is_better)
    rows = [
        {"rank": number(place, ".0f"), **readable_row(row, story)}
        for place, row in zip(places, board.to_dict("records"), strict=True)
    ]
    rows += [{"rank": UNKNOWN, **noise_row(row, story)} for row in noise.to_dict("records")]
    columns = [name for name in rows[0] if any(row[name] for row in rows)]
    return [{name: row[name] for name in columns} for row in rows]


def readable_row(row: dict[str, Any], story: Story) -> dict[str, str]:
    """One experiment as text: never a mean without its number of seeds, spread and interval."""
    same = [(story.differences[axis] == row[axis]) for axis in EXPERIMENT]
    found = story.differences[np.logical_and.reduce(same)].to_dict("records")
    better = {"P(better)": chance(found[0]["probability_better"])} if found else {"P(better)": ""}
    verdict = {"verdict": found[0]["verdict"] if found else "control", "remark": remark(row, story)}
    return _named(row) | _scored(row, story, story.primary) | _compared(found[0] if found else {}) | better | verdict


def noise_row(row: dict[str, Any], story: Story) -> dict[str, str]:
    """The control trained with other seeds, as text, beside the experiments."""
    verdict = {"P(better)": "", "verdict": NOISE, "remark": ""}
    return _named(row | story.control) | _scored(row, story, "score") | _compared(row) | verdict


def remark(row: dict[str, Any], story: Story) -> str:
    """Which seeds of an experiment did not finish, and why."""
    seeds = story.cells[np.logical_and.reduce([story.cells[axis] == row[axis] for axis in EXPERIMENT])]
    unfinished = seeds[seeds["state"] != "finished"]
    return "; ".join(
        f"seed {seed} {state}" for seed, state in zip(unfinished["seed"], unfinished["state"], strict=True)
    )


def notes(story: Story) -> str:
    """How to read the numbers."""
    metric, rules = METRICS[story.primary], story.rules
    checkpoints = sorted({fit["checkpoint"] for fit in story.fits.values()})
    sizes = ", ".join(f"{dataset} at {each['size']} size" for dataset, each in story.evaluations.items())
    scored = f"on the test split ({sizes})" if sizes else "on the test split"
    folds = ", or folds, each the mean over its seeds" if any(each.overlap for each in story.units.values()) else ""
    return (
        f"{metric.title}: {metric.formula}; {metric.averages}. n: seeds that finished{folds}. std: over n. Intervals: "
        f"{100 * rules.confidence:g} %, {INTERVALS[rules.interval]}; they speak of training again with other seeds and "
        f"of other test images. Difference: from the control at the same seeds and on the same images. Better, worse: "
        f"p below {1 - rules.confidence:.2g} after Holm's correction over all rows of a dataset, and a difference "
        f"greater than that of the noise floor, the control trained with other seeds. Equivalent: two one-sided tests, "
        f"also corrected, place the difference within ±{rules.rope:g}. Inconclusive: neither. P(better): how probable "
        f"it is that the difference exceeds {rules.rope:g} in favour. Judged once, {scored}; checkpoint rule: "
        f"{', '.join(checkpoints) or 'none trained yet'}."
    )


def missing(story: Story) -> list[str]:
    """A paragraph that names the cells this report is without; none if it is complete."""
    absent = story.cells[story.cells["state"] == "missing"]
    if absent.empty:
        return []
    names = absent[[*EXPERIMENT, "seed"]].astype(str).agg("-".join, axis=1)
    return [f"Partial: {len(absent)} of {len(story.cells)} cells are missing: {listed(names, 3)}."]


def markdown_table(rows: list[dict[str, str]]) -> str:
    """Rows as a Markdown table."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(row.values()) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _named(row: dict[str, Any]) -> dict[str, str]:
    return {axis: row[axis] for axis in ("model", "loss", "strategy")} | {"n": str(row["n"])}


def _scored(row: dict[str, Any], story: Story, name: str) -> dict[str, str]:
    """A mean with its spread and interval."""
    return {
        METRICS[story.primary].title: number(row[name]),
        "std": number(row[f"{name}_std"]),
        "interval": interval(row[f"{name}_low"], row[f"{name}_high"]),
    }


def _compared(row: dict[str, Any]) -> dict[str, str]:
    """A difference from the control with its interval; empty where nothing is compared."""
    if not row:
        return {"difference": "", "its interval": ""}
    return {
        "difference": number(row["mean"], "+.3f"),
        "its interval": interval(row["low"], row["high"], "+.3f"),
    }

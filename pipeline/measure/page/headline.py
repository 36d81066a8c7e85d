"""The verdict on a dataset: what to train with, as far as the evidence goes."""

import itertools
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.measure.figures.style import of
from pipeline.measure.metrics.table import METRICS
from pipeline.measure.page.factorial import mean_claims
from pipeline.measure.page.models import several_models
from pipeline.measure.pools import which_fold
from pipeline.measure.story import Story
from pipeline.measure.tables.scores import EXPERIMENT
from pipeline.measure.text import interval, percent
from pipeline.plumbing.errors import listed

MEANINGS = {
    "better": "better",
    "worse": "worse",
    "equivalent": "equivalent",
    "inconclusive": "not distinguishable",
}
PLURALS = {"loss": "losses", "strategy": "strategies"}


class Claim(NamedTuple):
    """All experiments of a dataset that compare with the control in one way."""

    verdict: str
    meaning: str
    names: list[str]


class Headline(NamedTuple):
    """What a reader sees first of a dataset."""

    setting: str
    """On which data, with which budget."""
    answer: str
    reason: str
    """The numbers behind the answer; empty if there are none."""
    averages: str
    """What is proven of strategies on average over losses, and of losses over strategies; empty if nothing is."""
    rivals: str
    """How sure the first place is; empty where nothing is ranked."""
    claims: list[Claim]


def sentence(story: Story, dataset: str) -> str:
    """The headline as a line of text, for the terminal and Markdown."""
    said = headline(story, dataset)
    counts = [f"{len(each.names)} {each.meaning} ({listed(each.names, 3)})" for each in said.claims]
    compared = f"Compared with {control_name(story)}: {'; '.join(counts)}." if counts else ""
    return " ".join(filter(None, [f"{said.setting}:", said.answer, said.reason, said.averages, said.rivals, compared]))


def headline(story: Story, dataset: str) -> Headline:
    """The verdict on one dataset."""
    board = story.leaderboard[story.leaderboard["dataset"] == dataset]
    setting, scored = _setting(story, dataset), board[board[story.primary].notna()]
    if scored.empty:
        states = story.cells.loc[story.cells["dataset"] == dataset, "state"].str.split().str[0].value_counts()
        counts = ", ".join(f"{count} {state}" for state, count in states.items())
        return Headline(setting, f"Nothing has finished: {counts}.", "", "", "", [])
    best = scored.iloc[0].to_dict()
    if len(board) == 1:
        answer = f"{_name(best, story)} is the only experiment, so there is nothing to compare."
        return Headline(setting, answer, f"Its {_score(best, story)}.", "", "", [])
    rows = story.differences[story.differences["dataset"] == dataset]
    answer, rivals, claims = _answer(scored, rows, story), _rivals(best, story), _claims(board, rows, story)
    return Headline(setting, *answer, _averages(story, dataset), rivals, claims)


def control_name(story: Story) -> str:
    return f"the control ({story.control['loss']} with {story.control['strategy']})"


def _setting(story: Story, dataset: str) -> str:
    seeds = story.cells.loc[story.cells["dataset"] == dataset, "seed"].astype(str)
    folds, count = seeds.map(which_fold).nunique(), seeds.str.split().str[-1].nunique()
    budget = [f"{folds} folds"] * (folds > 1) + [f"{count} {'seed' if count == 1 else 'seeds'}"]
    if dataset in story.fits:
        fit = story.fits[dataset]
        budget.insert(0, f"{fit['iterations']} iterations of {fit['batch_size']} images")
    if images := story.datasets[dataset].get("counts", {}).get("test"):
        budget.append(f"{images} test images")
    return f"On {dataset}, with this budget ({', '.join(budget)})"


def _answer(scored: pd.DataFrame, rows: pd.DataFrame, story: Story) -> tuple[str, str]:
    """What to do, and the numbers that say so."""
    best, control = scored.iloc[0].to_dict(), control_name(story)
    verdicts = rows.set_index(EXPERIMENT)["verdict"].to_dict()
    better = [row for row in scored.to_dict("records") if verdicts.get(_key(row)) == "better"]
    top = f"{_name(best, story)} scores highest, {_score(best, story)}"
    if better and _key(better[0]) == _key(best):
        change = _difference(best, rows, story)
        return (
            f"Use {_name(best, story)}.",
            f"It scores highest, {_score(best, story)}; better than {control} by {change}.",
        )
    if better:
        proven = f"It is better than {control} by {_difference(better[0], rows, story)}, {_score(better[0], story)}."
        return f"Use {_name(better[0], story)}.", f"{proven} {top}, but that is not proven."
    if _key(best) not in verdicts:
        return f"Stay with {control}.", f"Nothing scores higher than its {_score(best, story)}."
    answer = f"Nothing is proven better than {control}."
    change = _difference(best, rows, story)
    if verdicts[_key(best)] == "equivalent":
        return answer, f"{top}, which is equivalent: {change}, and ±{story.rules.rope:g} does not matter."
    if not change:
        return answer, f"{top}; the control has no score at the same seeds."
    return answer, f"{top}. Its difference from the control is {change}: too uncertain for a claim."


def _averages(story: Story, dataset: str) -> str:
    """The proven mean effects. A mean has less noise than its parts, so it may be proven where no row is."""
    sentences, factors = [], (("strategy", "loss"), ("loss", "strategy"))
    for model, (factor, other) in itertools.product(story.cells["model"].unique(), factors):
        claims, count = mean_claims(story, dataset, model, factor), story.cells[other].nunique()
        if claims and count > 1:
            sentences.append(f"Averaged over {count} {PLURALS[other]}{_on(model, story)}, {listed(claims, 3)}.")
    return " ".join(sentences)


def _rivals(best: dict[str, Any], story: Story) -> str:
    """What cannot be told from the best, by the ranks over the resamples."""
    ranks = of(story.ranking.ranks, best["dataset"], best["model"])
    if len(ranks) < 2:
        return ""
    rows = ranks.set_index(EXPERIMENT, drop=False)
    first = rows["first"][_key(best)]
    others = [_name(row, story) for row in rows[rows["low"] <= 1].to_dict("records") if _key(row) != _key(best)]
    may = f"{len(others)} more may be as good: {listed(others, 2)}" if others else "no other is likely to be"
    return f"{_name(best, story)} is first in {percent(first)} of the resamples; {may}."


def _claims(board: pd.DataFrame, rows: pd.DataFrame, story: Story) -> list[Claim]:
    """What may be said of each experiment beside the control, best first."""
    verdicts = rows.set_index(EXPERIMENT)["verdict"].to_dict()
    names: dict[str, list[str]] = {verdict: [] for verdict in MEANINGS}
    for row in board.to_dict("records"):
        if _key(row) in verdicts:
            names[verdicts[_key(row)]].append(_name(row, story))
    return [Claim(verdict, MEANINGS[verdict], names[verdict]) for verdict in MEANINGS if names[verdict]]


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(row[axis] for axis in EXPERIMENT)


def _name(row: dict[str, Any], story: Story) -> str:
    """Loss and strategy, and the model where there are several."""
    return f"{row['loss']} with {row['strategy']}{_on(row['model'], story)}"


def _on(model: str, story: Story) -> str:
    return f" on {model}" if several_models(story) else ""


def _score(row: dict[str, Any], story: Story) -> str:
    """`mean IoU 0.531 ± 0.088 [0.313, 0.748] over 3 seeds`."""
    name, what = story.primary, "fold" if story.units[row["dataset"]].overlap else "seed"
    seeds = f"1 {what}" if row["n"] == 1 else f"{row['n']} {what}s"
    spread = "" if np.isnan(row[f"{name}_std"]) else f" ± {row[f'{name}_std']:.3f}"
    limits = "" if np.isnan(row[f"{name}_low"]) else f" {interval(row[f'{name}_low'], row[f'{name}_high'])}"
    return f"{METRICS[name].title} {row[name]:.3f}{spread}{limits} over {seeds}"


def _difference(row: dict[str, Any], rows: pd.DataFrame, story: Story) -> str:
    """`+0.212 [+0.049, +0.327]`; empty if it is not known."""
    found = rows.set_index(EXPERIMENT).loc[_key(row)]
    if np.isnan(found["mean"]):
        return ""
    limits = "" if np.isnan(found["low"]) else f" {interval(found['low'], found['high'], '+.3f')}"
    return f"{found['mean']:+.3f}{limits}"

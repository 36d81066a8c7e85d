"""How far the order of the leaderboard can be relied on, in words and numbers for the page."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline.measure.figures.style import of
from pipeline.measure.metrics.table import METRICS
from pipeline.measure.page.models import paragraphs, without_only_model
from pipeline.measure.story import Story
from pipeline.measure.tables.ranking import TOP
from pipeline.measure.text import interval, number, p_value, percent


def ranking_chapter(story: Story, dataset: str) -> dict[str, Any]:
    """What the page says of the ranking of a dataset."""
    models = story.ranking.stability.loc[story.ranking.stability["dataset"] == dataset, "model"]
    return {
        "ranking_sentences": paragraphs(story, models, lambda model: _paragraph(story, dataset, model)),
        "ranks": rank_rows(story, dataset),
        "agreement": agreement_rows(story, dataset),
        **tests_chapter(story, dataset),
    }


def tests_chapter(story: Story, dataset: str) -> dict[str, Any]:
    """What the page says of the tests between many experiments, where they are of this dataset (or of `ALL`)."""
    known = story.ranking.omnibus
    tests = known[known["dataset"] == dataset].to_dict("records")
    return {
        "test_sentences": [_tests(story, row) for row in tests if not np.isnan(row["critical_difference"])],
        "test_warnings": [row["warning"] for row in tests if row["warning"]],
    }


def rank_rows(story: Story, dataset: str) -> list[dict[str, str]]:
    """The ranked experiments as text, best first."""
    known = story.ranking.ranks
    rows = [
        {
            **{axis: row[axis] for axis in ("model", "loss", "strategy")},
            "n": str(row["n"]),
            "rank": f"{row['rank']:g}",
            "mean rank": number(row["mean_rank"], ".1f"),
            "its interval": interval(row["low"], row["high"], ".0f"),
            "first": percent(row["first"]),
            f"top {TOP}": percent(row["top3"]),
        }
        for row in known[known["dataset"] == dataset].to_dict("records")
    ]
    return without_only_model(rows, story)


def agreement_rows(story: Story, dataset: str) -> list[dict[str, str]]:
    """How far each other metric gives the same order, as text; a metric by which nothing can be ordered is left out."""
    known = story.ranking.between_metrics.dropna(subset="tau")
    rows = [
        {
            "model": row["model"],
            "metric": METRICS[row["metric"]].title,
            "family": METRICS[row["metric"]].family,
            "tau": number(row["tau"], "+.2f"),
        }
        for row in known[known["dataset"] == dataset].to_dict("records")
    ]
    return without_only_model(rows, story)


def _paragraph(story: Story, dataset: str, model: str) -> str:
    stability = of(story.ranking.stability, dataset, model).iloc[0]
    if stability["experiments"] < 2:
        return "There is nothing to rank: fewer than two experiments have finished."
    if not stability["resamples"]:
        return "How stable the order is cannot be told: in no resample do all experiments have a score."
    return " ".join(
        filter(None, [_best(story, dataset, model, stability), _order(stability), _metrics(story, dataset, model)])
    )


def _best(story: Story, dataset: str, model: str, stability: pd.Series) -> str:
    """How often the first experiment of the leaderboard stays first."""
    best = of(story.ranking.ranks, dataset, model).iloc[0]
    seeds = of(story.cells, dataset, model)["seed"].nunique()
    drawn = "seeds and test images" if seeds > 1 else "test images (not of seeds: there is one)"
    top = f" and among the first {TOP} in {percent(best['top3'])}" if stability["experiments"] > TOP else ""
    return (
        f"{best['loss']} with {best['strategy']} is first in {percent(best['first'])} of {stability['resamples']:,} "
        f"resamples of {drawn}{top}."
    )


def _order(stability: pd.Series) -> str:
    """How alike the orders of the resamples are."""
    if np.isnan(stability["tau"]):
        return "All experiments tie."
    limits = interval(stability["tau_low"], stability["tau_high"], ".2f")
    return (
        f"The order of a resample agrees with that of the leaderboard with Kendall's tau {stability['tau']:.2f} "
        f"{limits}, where 1 is the same order and 0 none in common."
    )


def _metrics(story: Story, dataset: str, model: str) -> str:
    """Which other metric gives the least and which the most similar order."""
    known = of(story.ranking.between_metrics, dataset, model).dropna(subset="tau")
    if known.empty:
        return ""
    least, most = (known.loc[index] for index in (known["tau"].idxmin(), known["tau"].idxmax()))
    ends = [f"{row['tau']:+.2f} ({METRICS[row['metric']].title})" for row in (least, most)]
    primary = METRICS[story.primary].title
    return f"Other metrics agree with the order by {primary} with tau from {' to '.join(ends)}."


def _tests(story: Story, row: dict[str, Any]) -> str:
    """What Friedman's and Wilcoxon's tests find."""
    blocks = f"{row['experiments']} experiments over {row['blocks']} {row['of']}"
    friedman = (
        f"{blocks} tie in every one."
        if np.isnan(row["statistic"])
        else f"{blocks}: Friedman's test finds chi-squared({row['experiments'] - 1}) = {row['statistic']:.2f}, "
        f"{p_value(row['p'])}."
    )
    pairs = of(story.ranking.pairs, row["dataset"], row["model"])["p_holm"]
    told = int((pairs < 1 - story.rules.confidence).sum())
    apart = f"{told or 'none'} of {len(pairs)} pairs apart"
    return f"{friedman} Wilcoxon's signed-rank test with Holm's correction tells {apart}."

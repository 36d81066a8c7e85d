"""How far the order of the leaderboard can be relied on, in figures."""

import textwrap

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pipeline.measure.figures.colours import OKABE_ITO
from pipeline.measure.figures.style import of, styled
from pipeline.measure.metrics.table import METRICS
from pipeline.measure.story import Story
from pipeline.measure.tables.ranking import ALL
from pipeline.measure.tables.scores import PAIR

ROW = 0.24  # inches
WIDEST = 8.0  # inches for all ranks
POINTS = 72  # per inch


@styled
def rank_stability(story: Story, dataset: str, model: str) -> Figure:
    """The ranks of each experiment over the resamples: area of a dot by share, the interval as a line, the mean as a
    cross. After the blob plots of challengeR (Wiesenfarth et al., 2021)."""
    rows, shares = (of(table, dataset, model).set_index(PAIR) for table in (story.ranking.ranks, story.ranking.shares))
    count = len(rows)
    heights = pd.Series(range(count), rows.index)
    column = min(ROW, WIDEST / count)
    whole = (0.9 * column * POINTS) ** 2  # area of a dot that stands for all resamples: it touches its neighbours
    figure = Figure(figsize=(3.2 + column * max(count, 10), 1.2 + ROW * count), layout="constrained")
    axes = figure.subplots()
    axes.grid(True)
    axes.set_axisbelow(True)
    axes.hlines(heights, rows["low"], rows["high"], colors=OKABE_ITO[0], linewidth=1)
    axes.scatter(shares["rank"], heights[shares.index], s=whole * shares["share"], color=OKABE_ITO[0], linewidth=0)
    axes.plot(rows["mean_rank"], heights, "x", color=OKABE_ITO[1], markersize=5, markeredgewidth=1.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="rank, 1 is best", xlim=(0.3, max(count, 2) + 0.7))
    _name_rows(axes, rows.index, story)
    resamples = of(story.ranking.stability, dataset, model)["resamples"].iloc[0]
    axes.set_title(f"Ranks by {METRICS[story.primary].title} in {resamples:,} resamples: {dataset}, {model}")
    return figure


@styled
def critical_differences(story: Story, dataset: str, model: str) -> Figure:
    """Mean rank of each experiment over the blocks of the tests; lines join groups within which no two are told apart.

    After Demšar (2006), section 3.2.4, with a row per experiment, so that many stay readable.
    """
    rows = of(story.ranking.block_ranks, dataset, model).set_index(PAIR)
    tests = of(story.ranking.omnibus, dataset, model).iloc[0]
    groups = alike(_distinct(story, dataset, model, rows.index))
    warning = textwrap.fill(tests["warning"], 90)
    size = (7.6 + 0.16 * len(groups), 1.5 + ROW * len(rows) + 0.2 * warning.count("\n"))
    figure = Figure(figsize=size, layout="constrained")
    axes, joined = figure.subplots(1, 2, sharey=True, width_ratios=[4.5, 0.3 + 0.16 * len(groups)])
    axes.grid(True)
    axes.plot(rows["mean_rank"], range(len(rows)), "o", color=OKABE_ITO[0])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    difference = tests["critical_difference"]
    axes.errorbar(1 + difference / 2, -1, xerr=difference / 2, color="black", capsize=3, linewidth=1.4)
    axes.text(1, -1.35, f"critical difference (Nemenyi): {difference:.2f}", fontsize=8, va="bottom")
    axes.set(xlabel="mean rank, 1 is best", xlim=(0.5, max(len(rows), 1 + difference) + 0.5))
    _name_rows(axes, rows.index, story)
    axes.set_ylim(len(rows) - 0.5, -2.4)
    for place, (first, last) in enumerate(groups):
        joined.plot([place, place], [first, last], color="black", linewidth=3, solid_capstyle="butt")
    joined.set_xlim(-1, max(len(groups), 1))
    joined.axis("off")
    where = f"{dataset}, {model}" if dataset != ALL else "all together"
    figure.suptitle(f"Mean ranks over {tests['blocks']} {tests['of']}: {where}", fontsize=11)
    figure.supxlabel(warning, fontsize=8, color="#9c4600")
    return figure


def alike(distinct: np.ndarray) -> list[tuple[int, int]]:
    """First and last place of each longest run of experiments no two of which are told apart by `distinct` `k k`.

    Runs of at least two; every run that no other contains.
    """
    runs: list[tuple[int, int]] = []
    for first in range(len(distinct)):
        last = first
        while last + 1 < len(distinct) and not distinct[first : last + 1, last + 1].any():
            last += 1
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs


def _distinct(story: Story, dataset: str, model: str, order: pd.Index) -> np.ndarray:
    """Which two experiments Wilcoxon's test tells apart, `k k`; the pairs are in the order of the mean ranks."""
    found = of(story.ranking.pairs, dataset, model)["p_holm"].to_numpy() < 1 - story.rules.confidence
    distinct = np.zeros((len(order), len(order)), bool)
    distinct[np.triu_indices(len(order), 1)] = found
    return distinct | distinct.T


def _name_rows(axes: Axes, pairs: pd.Index, story: Story) -> None:
    """A row per loss and strategy from the top down, the control in bold."""
    axes.set_yticks(range(len(pairs)), [f"{loss}, {strategy}" for loss, strategy in pairs])
    axes.set_ylim(len(pairs) - 0.5, -0.5)
    for label, tick in zip(pairs, axes.get_yticklabels(), strict=True):
        if label == (story.control["loss"], story.control["strategy"]):
            tick.set_fontweight("bold")

"""What quality costs: each experiment by the time of a training, and those that nothing beats in both."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from pipeline.measure.figures.style import line_styles, of, styled
from pipeline.measure.metrics.table import METRICS
from pipeline.measure.story import Story

PALE = 0.3
WIDE = 3  # times the least; from here on the axis of seconds is logarithmic

NEAR = np.array([0.03, 0.06])  # of the width and height of the axes


@styled
def pareto(story: Story, dataset: str, model: str) -> Figure:
    """Primary metric with its interval against seconds of a training. The Pareto front is drawn and numbered from cheap
    to dear; all else is pale, in the look of its loss."""
    metric, name = METRICS[story.primary], story.primary
    rows = of(story.leaderboard, dataset, model).dropna(subset=["seconds", name]).sort_values("seconds", kind="stable")
    seconds, scores = rows["seconds"].to_numpy(float), rows[name].to_numpy(float)
    first = on_front(seconds, scores if metric.higher_is_better else -scores)
    figure = Figure(figsize=(8.5, 4.2), layout="constrained")
    axes, styles = figure.subplots(), line_styles(story)
    axes.grid(True)
    axes.step(seconds[first], scores[first], where="post", color="#999999", linewidth=1, zorder=1)
    numbers = np.cumsum(first)
    for row, leads, number in zip(rows.to_dict("records"), first, numbers, strict=True):
        look = styles[row["loss"]] | {"linestyle": "none", "alpha": 1 if leads else PALE}
        axes.vlines(row["seconds"], row[f"{name}_low"], row[f"{name}_high"], look["color"], alpha=look["alpha"], lw=1)
        label = f"{number}  {row['loss']}, {row['strategy']}" if leads else f"_{row['loss']}"
        axes.plot(row["seconds"], row[name], **look, markersize=6, label=label)
    _others(axes, story, set(rows.loc[~first, "loss"]))
    if len(seconds) and seconds.max() > WIDE * seconds.min() > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="seconds of a training", ylabel=metric.title, title=f"Cost against quality: {dataset}, {model}")
    _number(axes, np.stack([seconds[first], scores[first]], axis=1), metric.higher_is_better)
    figure.legend(loc="outside right center", title="numbered: the Pareto front", frameon=False)
    return figure


def on_front(costs: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Which of `n` points nothing beats: no other is at least as cheap and as good, and cheaper or better."""
    as_good = (costs[None] <= costs[:, None]) & (scores[None] >= scores[:, None])
    better = (costs[None] < costs[:, None]) | (scores[None] > scores[:, None])
    return ~(as_good & better).any(axis=1)


def _number(axes: Axes, points: np.ndarray, higher_is_better: bool) -> None:
    """Number the points `k 2` of the front, above and to the left where higher is better: no other point can lie there.
    Where they stand so near each other that numbers would overlap, they share one label."""
    axes.autoscale_view()
    places = (axes.transScale + axes.transLimits).transform(points)
    labels: dict[int, list[str]] = {}
    for at in range(len(points)):
        near = at and (np.abs(places[at] - places[at - 1]) < NEAR).all()
        labels.setdefault(max(labels) if near else at, []).append(str(at + 1))
    side = {"xytext": (-5, 4 if higher_is_better else -11), "textcoords": "offset points", "ha": "right"}
    for at, numbers in labels.items():
        axes.annotate(", ".join(numbers), points[at], **side, weight="bold")


def _others(axes: Axes, story: Story, losses: set[str]) -> None:
    """Entries of the legend for the losses that are drawn pale."""
    for loss, style in line_styles(story).items():
        if loss in losses:
            axes.plot([], [], **(style | {"linestyle": "none"}), alpha=PALE, markersize=6, label=f"{loss}, beaten")

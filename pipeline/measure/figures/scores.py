"""The scores in figures: each function takes what it shows and returns a matplotlib Figure."""

import itertools

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pipeline.measure.figures.colours import OKABE_ITO
from pipeline.measure.figures.style import (
    axes_of,
    ink,
    leftmost,
    legend,
    line_styles,
    of,
    present,
    shortened,
    small_multiples,
    styled,
)
from pipeline.measure.metrics.table import METRICS
from pipeline.measure.story import Story


@styled
def heatmap(story: Story, dataset: str, model: str) -> Figure:
    """Primary metric by loss and strategy, with its interval; the control is framed, the best is bold."""
    metric, losses, strategies = METRICS[story.primary], *axes_of(story)
    rows = of(story.leaderboard, dataset, model).set_index(["loss", "strategy"])
    states = of(story.cells, dataset, model).groupby(["loss", "strategy"])["state"].agg(list)
    pairs = list(itertools.product(losses, strategies))
    values = rows[story.primary].reindex(pairs).to_numpy(float).reshape(len(losses), len(strategies))
    known = values[~np.isnan(values)] if not np.isnan(values).all() else np.array([metric.low, metric.high])

    figure = Figure(figsize=(2.6 + 1.15 * len(strategies), 1.1 + 0.62 * len(losses)), layout="constrained")
    axes = figure.subplots()
    colours = matplotlib.colormaps["cividis" if metric.higher_is_better else "cividis_r"].with_extremes(bad="#eeeeee")
    image = axes.imshow(values, colours, vmin=known.min() - 1e-3, vmax=known.max() + 1e-3, aspect="auto")
    figure.colorbar(image, ax=axes, label=f"{metric.title}, {metric.low:g} to {metric.high:g}", fraction=0.05)
    best = known.max() if metric.higher_is_better else known.min()
    for (row, column), pair in zip(np.ndindex(values.shape), pairs, strict=True):
        value = values[row, column]
        limits = (rows[f"{story.primary}_{end}"].get(pair, np.nan) for end in ("low", "high"))
        text = _score(value, *limits, states.get(pair, []))
        look = {"color": ink(image.to_rgba(value)), "weight": "bold" if value == best else "normal", "fontsize": 7.5}
        axes.text(column, row, text, ha="center", va="center", **look)
    control = (story.control["loss"], story.control["strategy"])
    row, column = divmod(pairs.index(control), len(strategies))
    axes.add_patch(Rectangle((column - 0.47, row - 0.46), 0.94, 0.92, fill=False, edgecolor=OKABE_ITO[1], linewidth=2))
    axes.set_xticks(range(len(strategies)), strategies, rotation=20 if len(strategies) > 3 else 0)
    axes.set_yticks(range(len(losses)), losses)
    axes.set(title=f"{metric.title} on the test split: {dataset}, {model}", xlabel="strategy", ylabel="loss")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return figure


@styled
def curves(story: Story, dataset: str, model: str) -> Figure:
    """Validation mIoU and training loss against iteration: mean over seeds in a band from least to greatest."""
    rows = of(story.curves, dataset, model)
    strategies = present(story, rows, "strategy")  # the others train nothing
    panels = {"val_miou": "validation mIoU", "train_loss": "training loss"}
    figure, grid = small_multiples(strategies, len(panels), height=2.1)
    for strategy, column in zip(strategies, grid, strict=True):
        column[0].set_title(strategy)
        column[-1].set_xlabel("iteration")
        for axes, quantity in zip(column, panels, strict=True):
            axes.grid(True)
            for loss, style in line_styles(story).items():
                seeds = rows[(rows["strategy"] == strategy) & (rows["loss"] == loss)]
                spread = seeds.groupby("iteration")[quantity].agg(["min", "mean", "max"])
                axes.plot(spread.index, spread["mean"], markersize=3, linewidth=1.4, label=loss, **style)
                axes.fill_between(spread.index, spread["min"], spread["max"], color=style["color"], alpha=0.15, lw=0)
    for axes, label in zip(grid[0], panels.values(), strict=True):
        axes.set_ylabel(label)
    if rows["train_loss"].min() > 0 and rows["train_loss"].max() > 20 * rows["train_loss"].min():
        for column in grid:
            _logarithmic(column[1])
    legend(figure, story)
    figure.suptitle(f"Learning curves: {dataset}, {model}", fontsize=11)
    return figure


@styled
def class_scores(story: Story, dataset: str, model: str) -> Figure:
    """IoU of each class with its standard deviation over seeds, the class rarest in training on top."""
    losses, strategies = axes_of(story)
    rows = of(story.classes, dataset, model)
    classes = rows.drop_duplicates("class_name").sort_values("train_frequency", kind="stable")
    places = {name: place for place, name in enumerate(classes["class_name"])}
    figure, grid = small_multiples(strategies, 1, height=0.9 + len(places) * (0.2 + 0.045 * len(losses)))
    for strategy, (axes,) in zip(strategies, grid, strict=True):
        axes.set(title=strategy, xlabel="IoU", xlim=(-0.03, 1.03), ylim=(len(places) - 0.5, -0.5))
        axes.grid(True, axis="x")
        axes.hlines(np.arange(len(places) - 1) + 0.5, 0, 1, colors="#dddddd", linewidth=0.8)
        for (loss, style), shift in zip(line_styles(story).items(), np.linspace(-0.32, 0.32, len(losses)), strict=True):
            each = rows[(rows["strategy"] == strategy) & (rows["loss"] == loss)].dropna(subset="iou")
            height = each["class_name"].map(places).to_numpy(float) + shift * (len(losses) > 1)
            axes.plot(each["iou"], height, **(style | {"linestyle": "none"}), markersize=4, label=loss)
            std = each["iou_std"].fillna(0)
            axes.hlines(height, each["iou"] - std, each["iou"] + std, colors=style["color"], linewidth=1)
    labels = [f"{shortened(row.class_name)}  {100 * row.train_frequency:.2g} %" for row in classes.itertuples()]
    for axes in leftmost(grid):
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylabel("class, share of train pixels")
    legend(figure, story)
    figure.suptitle(f"IoU of each class, rarest first: {dataset}, {model}", fontsize=11)
    return figure


def _score(value: float, low: float, high: float, states: list[str]) -> str:
    """`0.712` over `[0.702, 0.722]`, or why there is no number."""
    unfinished = sorted({state.split()[0] for state in states} - {"finished"})
    if np.isnan(value):
        return "\n".join(unfinished) or "no score"
    lines = [f"{value:.3f}", "" if np.isnan(low) else f"[{low:.3f}, {high:.3f}]"]
    return "\n".join(
        [*filter(None, lines), *(f"{sum(s.startswith(kind) for s in states)} {kind}" for kind in unfinished)]
    )


def _logarithmic(axes: Axes) -> None:
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")

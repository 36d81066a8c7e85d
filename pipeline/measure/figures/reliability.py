"""The reliability diagram: how often the network is right where it is so sure."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.measure.figures.style import legend, line_styles, of, present, small_multiples, styled
from pipeline.measure.story import Story

ROWS = ("right, as predicted", "right, temperature scaled", "share of pixels")


@styled
def reliability(story: Story, dataset: str, model: str) -> Figure:
    """Share of right pixels against the probability of the predicted class, without and with temperature, and how many
    pixels have that probability: a panel per strategy, a line per loss, bars of one standard deviation over seeds."""
    rows = of(story.reliability, dataset, model)
    strategies = present(story, rows, "strategy")
    figure, grid = small_multiples(strategies, len(ROWS), height=1.9)
    for strategy, column in zip(strategies, grid, strict=True):
        column[0].set_title(strategy)
        column[-1].set(xlabel="confidence", xlim=(-0.03, 1.03), yscale="log")
        column[-1].set_ylim(min(1e-3, rows["share"].min()) / 1.5, 1.5)
        column[-1].yaxis.set_major_formatter("{x:g}")
        for axes in column[:-1]:
            axes.plot([0, 1], [0, 1], color="#999999", linewidth=1, zorder=1)
            axes.set_ylim(-0.03, 1.03)
        for loss, style in line_styles(story).items():
            each = rows[(rows["strategy"] == strategy) & (rows["loss"] == loss)]
            if len(each):
                _lines(column, each, loss, style)
    for axes, label in zip(grid[0], ROWS, strict=True):
        axes.set_ylabel(label)
    for axes in (axes for column in grid for axes in column):
        axes.grid(True)
    figure.suptitle(f"Reliability of the predicted class: {dataset}, {model}", fontsize=11)
    legend(figure, story)
    return figure


def _lines(column: list[Axes], rows: pd.DataFrame, loss: str, style: dict[str, str]) -> None:
    """Of one experiment, in the axes of its strategy."""
    look = style | {"markersize": 3, "linewidth": 1.2}
    for axes, scaled in zip(column, (False, True), strict=False):
        each = rows[rows["scaled"] == scaled]
        axes.plot(each["confidence"], each["accuracy"], label=loss, **look)
        std = each["accuracy_std"].fillna(0)
        axes.vlines(
            each["confidence"], each["accuracy"] - std, each["accuracy"] + std, color=style["color"], linewidth=1
        )
    raw = rows[~rows["scaled"]]
    column[-1].plot(raw["confidence"], raw["share"], **look)

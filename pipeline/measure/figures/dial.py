"""The figure of a dial: how scores change as one class gets rarer in training."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from pipeline.measure.figures.style import axes_of, legend, line_styles, shortened, small_multiples, styled
from pipeline.measure.metrics.table import METRICS
from pipeline.measure.story import Story
from pipeline.measure.tables.dial import Dial
from pipeline.measure.text import percent


@styled
def dial_figure(story: Story, dial: Dial, model: str) -> Figure:
    """Primary metric (above) and IoU of the class (below) against its share of the train split, rarer to the right: a
    panel per loss, a line per strategy, bars from end to end of the interval over seeds."""
    losses = axes_of(story)[0]
    rows = story.dial[(story.dial["dial"] == dial.name) & (story.dial["model"] == model)]
    figure, grid = small_multiples(losses, 2, height=2.1)
    shares = np.array(list(dial.shares.values()))
    beside = (shares[:-1] / shares[1:]).min() ** 0.15  # the outermost strategies are moved by this factor
    labels = METRICS[story.primary].title, f"IoU of {shortened(dial.class_name)}"
    for loss, column in zip(losses, grid, strict=True):
        column[0].set_title(loss)
        for axes, quantity in zip(column, (story.primary, "iou"), strict=True):
            _lines(axes, rows[rows["loss"] == loss], quantity, line_styles(story, "strategy"), beside)
        column[-1].set_xlabel(f"share of train {dial.quantity}")
        column[-1].tick_params(axis="x", rotation=30)
    for axes, label in zip(grid[0], labels, strict=True):
        axes.set_ylabel(label)
    shared = grid[0][0]  # one axis for all panels
    shared.set_xscale("log")
    shared.set_xticks(shares, [percent(share) for share in shares])
    shared.xaxis.set_minor_locator(NullLocator())
    shared.set_xlim(beside**2 * shares.max(), shares.min() / beside**2)
    figure.suptitle(f"The rarer {shortened(dial.class_name)}: {dial.name}, {model}", fontsize=11)
    legend(figure, story, "strategy")
    return figure


def _lines(axes: Axes, rows: pd.DataFrame, quantity: str, styles: dict[str, dict[str, str]], beside: float) -> None:
    """A line per strategy, its points beside those of the others, so that no bar hides another."""
    axes.grid(True)
    for (strategy, style), move in zip(styles.items(), np.linspace(1, -1, len(styles)), strict=True):
        each = rows[rows["strategy"] == strategy]
        at = each["share"] * beside ** (move if len(styles) > 1 else 0)
        axes.plot(at, each[quantity], label=strategy, markersize=4, linewidth=1.3, **style)
        axes.vlines(at, each[f"{quantity}_low"], each[f"{quantity}_high"], color=style["color"], linewidth=1)

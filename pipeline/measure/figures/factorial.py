"""The figure that says which strategy helps which loss."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.measure.figures.colours import OKABE_ITO
from pipeline.measure.figures.style import axes_of, of, small_multiples, styled
from pipeline.measure.metrics.table import METRICS
from pipeline.measure.story import Story

COLOURS = {"better": OKABE_ITO[2], "worse": OKABE_ITO[1], "equivalent": OKABE_ITO[0], "inconclusive": "#777777"}
MEAN = "mean over losses"


@styled
def effects(story: Story, dataset: str, model: str) -> Figure:
    """Difference of each strategy from the control's with its interval, a panel per loss and one for their mean; a
    filled dot is proven, a hollow one is not."""
    losses, strategies = axes_of(story)
    others = [name for name in strategies if name != story.control["strategy"]]
    by_loss = of(story.factorial.effects, dataset, model)
    main = of(story.factorial.main, dataset, model)
    panels = {loss: by_loss[by_loss["loss"] == loss].set_index("strategy") for loss in losses}
    if len(losses) > 1:
        panels[MEAN] = main[main["factor"] == "strategy"].set_index("level")
    figure, grid = small_multiples(list(panels), 1, height=0.75 + 0.22 * len(others))
    for (title, rows), (axes,) in zip(panels.items(), grid, strict=True):
        _dots(axes, rows.loc[others])
        axes.set_title(title, style="italic" if title == MEAN else "normal")
        axes.set_yticks(range(len(others)), others)
        axes.set_ylim(len(others) - 0.5, -0.5)
    score, control = METRICS[story.primary].title, story.control["strategy"]
    figure.supxlabel(f"difference in {score} from {control} under the same loss", fontsize=9)
    figure.suptitle(f"Which strategy helps which loss: {dataset}, {model}", fontsize=11)
    return figure


def _dots(axes: Axes, rows: pd.DataFrame) -> None:
    """One dot with its interval per row, from top to bottom."""
    axes.axvline(0, color="black", linewidth=0.8)
    axes.grid(True, axis="x")
    for place, row in enumerate(rows.itertuples()):
        colour = COLOURS[row.verdict]
        axes.hlines(place, row.low, row.high, colors=colour, linewidth=1.4)
        filled = "white" if row.verdict == "inconclusive" else colour
        axes.plot(row.mean, place, "o", markersize=5, color=colour, markerfacecolor=filled)

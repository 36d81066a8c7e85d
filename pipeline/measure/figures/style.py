"""What the figures share: their look, the order and marks of losses and strategies, and how they become files.

Figures are made without pyplot, which would keep them in global state. Lines and classes have the colours of Okabe and
Ito (2008), which colour-blind readers tell apart; the heat map has cividis.
"""

import io
import itertools
import textwrap
import warnings
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from pipeline.measure.figures.colours import BLACK, OKABE_ITO
from pipeline.measure.story import Story

LINES = OKABE_ITO[:-1]  # its yellow is too faint for a line on white
MARKERS = ("o", "s", "^", "D", "v", "P", "<", "h", ">", "p", "d", "*")
STYLE = {
    "figure.dpi": 144,
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.color": "#dddddd",
    "text.parse_math": False,  # a dollar sign in the name of a class is no formula
}
styled = matplotlib.rc_context(STYLE)


def png(figure: Figure) -> bytes:
    """The figure as a PNG file; equal figures give equal bytes."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # A class name in a script that the font lacks is drawn as boxes; the tables of the page have it right.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        FigureCanvasAgg(figure).print_png(stream, metadata={"Software": None})
    return stream.getvalue()


def axes_of(story: Story) -> tuple[list[str], list[str]]:
    """Losses and strategies in the order of params.yaml."""
    return list(story.cells["loss"].unique()), list(story.cells["strategy"].unique())


def present(story: Story, rows: pd.DataFrame, axis: str) -> list[str]:
    """The losses, or strategies, that have a row, in the order of params.yaml."""
    known = set(rows[axis])
    return [name for name in story.cells[axis].unique() if name in known]


def of(table: pd.DataFrame, dataset: str, model: str) -> pd.DataFrame:
    """The rows of one dataset and model."""
    return table[(table["dataset"] == dataset) & (table["model"] == model)]


def line_styles(story: Story, axis: str = "loss") -> dict[str, dict[str, Any]]:
    """How each loss, or strategy, is drawn: the control's in black, the others by colour and marker, and past six also
    by dashes."""
    names, control = story.cells[axis].unique(), story.control[axis]
    kinds = itertools.cycle(zip(["-"] * len(LINES) + ["--"] * len(LINES), 2 * LINES, MARKERS, strict=True))
    looks = {control: ("-", BLACK, "X"), **dict(zip((name for name in names if name != control), kinds, strict=False))}
    return {name: dict(zip(("linestyle", "color", "marker"), looks[name], strict=True)) for name in names}


def small_multiples(names: list[str], rows: int, height: float) -> tuple[Figure, list[list[Axes]]]:
    """A figure with a column of `rows` axes for each name, at most four side by side, and its axes by column."""
    across = min(4, len(names))
    blocks = -(-len(names) // across)
    figure = Figure(figsize=(1.9 + 2.45 * across, 0.6 + height * rows * blocks), layout="constrained")
    grid = figure.subplots(rows * blocks, across, sharex=True, sharey="row", squeeze=False)
    columns = [list(grid[block * rows : (block + 1) * rows, place]) for block, place in np.ndindex(blocks, across)]
    for column in columns[len(names) :]:
        for axes in column:
            axes.remove()
    for column in columns[: len(names)]:
        column[-1].tick_params(labelbottom=True)
    return figure, columns[: len(names)]


def leftmost(grid: list[list[Axes]]) -> list[Axes]:
    """Of the axes of `small_multiples`, the upper ones of the first name in each row of names."""
    return list({column[0].get_subplotspec().rowspan.start: column[0] for column in reversed(grid)}.values())


def legend(figure: Figure, story: Story, axis: str = "loss") -> None:
    """Beside the panels: each loss, or strategy, that any of them shows, once and in the order of params.yaml."""
    drawn: dict[str, Artist] = {}
    for axes in figure.axes:
        drawn |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    names = [name for name in line_styles(story, axis) if name in drawn]
    figure.legend([drawn[name] for name in names], names, loc="outside right center", title=axis, frameon=False)


def ink(colour: Any) -> str:
    """Black or white, whichever is easier to read on `colour` (relative luminance of WCAG 2)."""
    channels = np.array(to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return "black" if linear @ (0.2126, 0.7152, 0.0722) > 0.179 else "white"


def shortened(name: str) -> str:
    return textwrap.shorten(name, 28, placeholder="…") if " " in name else name[:28]

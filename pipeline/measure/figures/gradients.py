"""The figures of the gradients: how long they are, at which classes they pull, and how alike their directions are.

Heat maps have the purple and orange of ColorBrewer's PuOr, which colour-blind readers tell apart, and are white where
nothing stands out.
"""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from pipeline.measure.figures.colours import OKABE_ITO
from pipeline.measure.figures.style import ink, of, present, shortened, styled
from pipeline.measure.story import Story
from pipeline.measure.tables.gradients import END, START

POINTS = {START: "at the initial weights", END: "after the loss's own training"}
STRONGEST = 5  # doublings beyond which the colour of a share stays the same


@styled
def gradient_norms(story: Story, dataset: str, model: str) -> Figure:
    """Norm of the gradient of each loss relative to cross-entropy, with respect to weights and logits."""
    rows = of(story.gradients.norms, dataset, model)
    losses = present(story, rows, "loss")
    figure = Figure(figsize=(9, 1.4 + 0.24 * len(losses)), layout="constrained")
    looks = {START: {"marker": "o", "markerfacecolor": "white"}, END: {"marker": "s"}}
    known = rows[["weights_relative", "logits_relative"]].to_numpy(float)
    known = known[known > 0]
    limits = min(known, default=1), max(known, default=1)
    for axes, quantity in zip(figure.subplots(1, 2, sharey=True), ("weights", "logits"), strict=True):
        values = rows.pivot(index="loss", columns="at", values=f"{quantity}_relative").reindex(losses)
        values = values.where(values > 0)  # a zero has no place on a logarithmic axis; the table has it
        axes.axvline(1, color="#999999", linewidth=1)
        axes.hlines(losses, values.min(axis=1), values.max(axis=1), color="#bbbbbb", linewidth=1)
        for (point, look), colour in zip(looks.items(), OKABE_ITO, strict=False):
            axes.plot(values[point], losses, linestyle="none", color=colour, label=POINTS[point], markersize=5, **look)
        axes.set(xscale="log", title=f"with respect to the {quantity}", xlabel="norm / norm of cross-entropy")
        axes.set(xlim=(min(limits[0], 0.1) / 1.5, max(limits[1], 1) * 1.5), ylim=(len(losses) - 0.4, -0.6))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.grid(True)
    figure.suptitle(f"Norm of the gradient relative to cross-entropy: {dataset}, {model}", fontsize=11)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure


@styled
def gradient_classes(story: Story, dataset: str, model: str) -> Figure:
    """Share of the gradient with respect to the logits at the pixels of each class, beside the class's pixel share."""
    rows = of(story.gradients.classes, dataset, model)
    losses, classes = present(story, rows, "loss"), rarest_first(story, dataset)
    pixels = rows.drop_duplicates("class_name").set_index("class_name")["pixel_share"].reindex(classes).to_numpy(float)
    shares = {at: _shares(rows[rows["at"] == at], losses, classes) for at in POINTS}
    doublings = {at: _doublings(of_point, pixels) for at, of_point in shares.items()}
    known = np.abs(np.concatenate(list(doublings.values())))
    limit = int(np.clip(np.ceil(np.nanmax(known, initial=1)), 1, STRONGEST))

    figure = Figure(figsize=(max(6.5, 2.4 + 0.92 * len(classes)), 2.2 + 0.25 * len(losses)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, (at, title) in zip(panels, POINTS.items(), strict=True):
        percent = 100 * np.vstack([pixels, shares[at]])
        texts = [["–" if np.isnan(value) else f"{value:.2g}" for value in row] for row in percent]
        image = _heatmap(axes, np.vstack([np.zeros(len(pixels)), doublings[at]]), limit, texts)
        axes.set_xticks(range(len(classes)), [shortened(name) for name in classes], rotation=60, ha="right")
        axes.axhline(0.5, color="black", linewidth=1)
        axes.set_title(title)
    panels[0].set_yticks(range(len(losses) + 1), ["share of pixels, %", *losses])
    bar = figure.colorbar(image, ax=panels, label="gradient share / pixel share", fraction=0.05)
    ticks = range(-limit, limit + 1)
    bar.set_ticks(ticks, labels=[f"{2**each}" if each >= 0 else f"1/{2**-each}" for each in ticks])
    figure.suptitle(f"Share of the gradient at each class in %, rarest first: {dataset}, {model}", fontsize=11)
    return figure


@styled
def gradient_cosines(story: Story, dataset: str, model: str) -> Figure:
    """Cosine between the gradients of every two losses at the initial weights."""
    rows = of(story.gradients.cosines, dataset, model)
    losses = present(story, rows, "loss")
    values = rows.pivot(index="loss", columns="other", values="cosine").reindex(index=losses, columns=losses)
    values = values.to_numpy(float)
    figure = Figure(figsize=(max(4.5, 3 + 0.42 * len(losses)), 2.2 + 0.36 * len(losses)), layout="constrained")
    axes = figure.subplots()
    texts = [["–" if np.isnan(value) else f"{round(value, 2) + 0:.2f}" for value in row] for row in values]
    image = _heatmap(axes, values, 1, texts)
    figure.colorbar(image, ax=axes, label="cosine", fraction=0.05)
    axes.set_xticks(range(len(losses)), losses, rotation=60, ha="right")
    axes.set_yticks(range(len(losses)), losses)
    figure.suptitle(f"Cosine between gradients at the initial weights:\n{dataset}, {model}", fontsize=11)
    return figure


def rarest_first(story: Story, dataset: str) -> list[str]:
    """The classes of a dataset by their share of the train pixels."""
    meta = story.datasets[dataset]
    return [name for _, name in sorted(zip(meta["pixel_frequency"], meta["classes"], strict=True))]


def _shares(rows: pd.DataFrame, losses: list[str], classes: list[str]) -> np.ndarray:
    """`losses classes`; NaN where there is none."""
    table = rows.pivot(index="loss", columns="class_name", values="gradient_share")
    return table.reindex(index=losses, columns=classes).to_numpy(float)


def _doublings(shares: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """How often the pixel share doubles to the gradient share; NaN for a class without pixels."""
    with np.errstate(divide="ignore", invalid="ignore"):  # a class without pixels, or without gradient
        return np.clip(np.log2(shares / pixels), -STRONGEST, STRONGEST)


def _heatmap(axes: Axes, values: np.ndarray, limit: float, texts: list[list[str]]) -> AxesImage:
    """Values from -limit to limit as colours, each with its text."""
    colours = matplotlib.colormaps["PuOr_r"].with_extremes(bad="#eeeeee")
    image = axes.imshow(values, colours, vmin=-limit, vmax=limit, aspect="auto")
    for row, column in np.ndindex(values.shape):
        colour = ink(image.to_rgba(values[row, column]))
        axes.text(column, row, texts[row][column], color=colour, ha="center", va="center", fontsize=7)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return image

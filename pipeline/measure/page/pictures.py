"""The figures of the page: each drawn once, stored as a file beside it and embedded in it."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from pipeline.measure.figures.dial import dial_figure
from pipeline.measure.figures.factorial import effects
from pipeline.measure.figures.frequency import class_gains
from pipeline.measure.figures.gallery import gallery
from pipeline.measure.figures.gradients import gradient_classes, gradient_cosines, gradient_norms
from pipeline.measure.figures.pareto import pareto
from pipeline.measure.figures.ranking import critical_differences, rank_stability
from pipeline.measure.figures.reliability import reliability
from pipeline.measure.figures.scores import class_scores, curves, heatmap
from pipeline.measure.figures.style import axes_of, of, png
from pipeline.measure.metrics.table import METRICS
from pipeline.measure.story import Story
from pipeline.measure.tables.dial import Dial
from pipeline.measure.tables.ranking import ALL
from pipeline.measure.tables.rates import sensitivity


class Picture(NamedTuple):
    """A figure as it stands in the page."""

    kind: str
    alt: str
    width: int
    """In CSS pixels; the PNG has half as many again, for sharp screens and print."""
    height: int
    base64: str


class Kind(NamedTuple):
    """A figure that is drawn for every dataset and model of which its table knows something."""

    table: Callable[[Story], pd.DataFrame]
    draw: Callable[[Story, str, str], Figure]
    alt: str
    """`{}`: title of the primary metric."""


KINDS = {
    "heatmap": Kind(
        lambda story: story.leaderboard, heatmap, "Heat map of {} by loss and strategy; the leaderboard has the numbers"
    ),
    "ranks": Kind(
        lambda story: story.ranking.shares,
        rank_stability,
        "Ranks of each experiment by {} over the resamples; a table has the numbers",
    ),
    "critical-differences": Kind(
        lambda story: story.ranking.block_ranks,
        critical_differences,
        "Mean rank of each experiment by {}, and which of them the tests do not tell apart",
    ),
    "effects": Kind(
        lambda story: story.factorial.effects,
        effects,
        "Effect of each strategy under each loss with its interval; a table has the numbers",
    ),
    "class-gains": Kind(
        lambda story: _but_control(story.classes, story),
        class_gains,
        "Difference in IoU of each class from the control by share of pixels",
    ),
    "classes": Kind(
        lambda story: story.classes,
        class_scores,
        "IoU of each class, rarest first, by strategy and loss; the table below has the numbers",
    ),
    "pareto": Kind(
        lambda story: story.leaderboard.dropna(subset=["seconds", story.primary]),
        pareto,
        "{} of each experiment against the seconds of a training, with the Pareto front",
    ),
    "reliability": Kind(
        lambda story: story.reliability,
        reliability,
        "How often each network is right by how sure it is, without and with temperature; a table has the scores",
    ),
    "curves": Kind(
        lambda story: story.curves,
        curves,
        "Validation mIoU and training loss of each loss against iteration, by strategy",
    ),
    "rates": Kind(
        lambda story: story.trials, sensitivity, "Validation mIoU of each loss against the learning rate tried"
    ),
    "gradient-norms": Kind(
        lambda story: story.gradients.norms,
        gradient_norms,
        "Norm of the gradient of each loss relative to cross-entropy",
    ),
    "gradient-classes": Kind(
        lambda story: story.gradients.norms,
        gradient_classes,
        "Share of the gradient of each loss at each class, and its pixel share",
    ),
    "gradient-cosines": Kind(
        lambda story: story.gradients.norms, gradient_cosines, "Cosine between the gradients of every two losses"
    ),
}


def pictures(story: Story, dataset: str, folder: Path) -> Iterator[Picture]:
    """Draw the figures of a dataset, each to a file `KIND-DATASET-MODEL.png` and for the page."""
    for model in story.cells["model"].unique():
        place = f"{dataset}-{model}"
        for name, kind in KINDS.items():
            if len(of(kind.table(story), dataset, model)):
                alt = f"{kind.alt.format(METRICS[story.primary].title)}, for {place}."
                yield _picture(name, alt, kind.draw(story, dataset, model), folder / f"{name}-{place}.png")
        for index, shown in enumerate(each for each in story.gallery if each.dataset == dataset):
            alt = f"Test image {shown.name} of {dataset}, its truth, and the prediction and errors of each experiment."
            figure = gallery(shown, model, *axes_of(story))
            yield _picture("gallery", alt, figure, folder / f"gallery-{place}-{index}.png")


def tests_pictures(story: Story, folder: Path) -> Iterator[Picture]:
    """Draw the figure of the tests over several datasets and models, if there are any."""
    if len(of(story.ranking.block_ranks, ALL, ALL)):
        alt = f"{KINDS['critical-differences'].alt.format(METRICS[story.primary].title)}, over all datasets and models."
        figure = critical_differences(story, ALL, ALL)
        yield _picture("critical-differences", alt, figure, folder / "critical-differences-all.png")


def dial_pictures(story: Story, dial: Dial, folder: Path) -> Iterator[Picture]:
    """Draw the figures of a dial, as `pictures` does."""
    score = METRICS[story.primary].title
    for model in story.cells["model"].unique():
        place = f"{dial.name}-{model}"
        alt = f"{score} and IoU of {dial.class_name} against its share of train {dial.quantity}, by loss, for {place}."
        yield _picture("dial", alt, dial_figure(story, dial, model), folder / f"dial-{place}.png")


def _but_control(table: pd.DataFrame, story: Story) -> pd.DataFrame:
    return table[(table["loss"] != story.control["loss"]) | (table["strategy"] != story.control["strategy"])]


def _picture(kind: str, alt: str, figure: Figure, file: Path) -> Picture:
    drawn = png(figure)
    file.write_bytes(drawn)
    width, height = (round(96 * inches) for inches in figure.get_size_inches())
    return Picture(kind, alt, width, height, base64.b64encode(drawn).decode())

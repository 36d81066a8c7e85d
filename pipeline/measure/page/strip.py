"""The leading experiments as a strip of intervals around the control, drawn by the template as inline SVG.

Lengths are in per cent of the width of the strip, so that it fits a phone as well as a desk.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pipeline.measure.figures.style import of
from pipeline.measure.metrics.table import METRICS
from pipeline.measure.page.summary import noise_row, readable_row
from pipeline.measure.story import Story
from pipeline.measure.tables.scores import EXPERIMENT

LEADING = 5
MARGIN = 4  # at either end


class Bar(NamedTuple):
    """One row of the strip; its place is not known where there is no difference or no interval."""

    row: dict[str, str]
    """The same texts as in the leaderboard."""
    mean: float | None
    low: float | None
    high: float | None


class Strip(NamedTuple):
    """The leading experiments of one dataset and model, and the noise floor, as differences from the control."""

    model: str
    bars: list[Bar]
    control: float
    rope: tuple[float, float]
    """Ends of the region of practical equivalence."""
    floor: tuple[float, float] | None
    """Ends of what the control moves when it is trained with other seeds."""
    change: float | None
    """What it moves, in the unit of the metric."""
    higher_is_better: bool


def strips(story: Story, dataset: str) -> list[Strip]:
    """A strip for each model of which a difference is known."""
    found = (_strip(story, dataset, model) for model in story.cells["model"].unique())
    return [strip for strip in found if strip]


def _strip(story: Story, dataset: str, model: str) -> Strip | None:
    """The differences of the leading experiments, in the order of the leaderboard."""
    board = of(story.leaderboard, dataset, model).set_index(EXPERIMENT, drop=False)
    known = of(story.differences, dataset, model).set_index(EXPERIMENT).dropna(subset="mean")
    leading = [key for key in board.index if key in known.index][:LEADING]
    if not leading:
        return None
    noise = of(story.noise, dataset, model).dropna(subset="mean")
    texts = [readable_row(board.loc[key].to_dict(), story) for key in leading]
    texts += [noise_row(row, story) for row in noise.to_dict("records")]
    numbers = np.concatenate([each[["mean", "low", "high"]].to_numpy(float) for each in (known.loc[leading], noise)])
    change = float(noise["mean"].abs().max()) if len(noise) else None
    rope = story.rules.rope
    place = _scale([*numbers.ravel(), rope, -rope, change or 0, -(change or 0)])
    return Strip(
        model=model,
        bars=[Bar(text, *map(place, row)) for text, row in zip(texts, numbers, strict=True)],
        control=place(0),
        rope=(place(-rope), place(rope)),
        floor=None if change is None else (place(-change), place(change)),
        change=change,
        higher_is_better=METRICS[story.primary].higher_is_better,
    )


def _scale(numbers: list[float]) -> Callable[[float], float | None]:
    """From a difference to its place, such that all numbers and 0 lie within the margins."""
    known = [each for each in numbers if not np.isnan(each)]
    least, greatest = min(known), max(known)
    width = greatest - least or 1.0
    return lambda value: None if np.isnan(value) else round(MARGIN + (100 - 2 * MARGIN) * (value - least) / width, 2)

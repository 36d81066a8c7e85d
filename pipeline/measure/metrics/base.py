"""What a metric is: a number for each resample of the test images of one cell, computed from its stored counts."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.measure.counts.region import ratio

if TYPE_CHECKING:
    from pipeline.measure.counts.store import Counts

WORST = 0.1  # share of the images that the averages over the worst ones take
FEW = 12  # columns: a product with a matrix first copies all weights, so for fewer, one by one is faster


class Resample:
    """The counts of one cell, with each of its `n` test images taken as often as `b` resamples say.

    weights: `b n` float64, not negative. A row of ones is the test split as it is, a row of a bootstrap says how often
    each image was drawn. Rows do not influence each other. Products are kept, so all metrics of a cell should share one
    object.
    """

    def __init__(self, counts: Counts, weights: np.ndarray) -> None:
        self.counts = counts
        self.weights = weights
        self._totals: dict[str, np.ndarray] = {}
        self._scores: dict[Score, np.ndarray] = {}

    def sum(self, values: np.ndarray) -> np.ndarray:
        """Sums `b ...` over the images of `values` `n ...`. Integers stay exact, as far as 2 ** 53."""
        columns = values.reshape(len(values), -1).astype(float, copy=False)
        if columns.shape[1] > FEW:
            summed = self.weights @ columns
        else:
            summed = np.stack([self.weights @ column for column in columns.T], axis=-1)
        return summed.reshape(len(self.weights), *values.shape[1:])

    def total(self, column: str) -> np.ndarray:
        """`b c`: a column of `Counts.classes` summed over the images."""
        if column not in self._totals:
            self._totals[column] = self.sum(self.counts.classes[column])
        return self._totals[column]

    def total_of_images(self, column: str) -> np.ndarray:
        """`b`: a column of `Counts.images` summed over the images."""
        return self.sum(self.counts.images[column])

    @cached_property
    def gaps(self) -> np.ndarray:
        """`b 2 1+c bins`: of each bin of `Counts.bins` the hits less the sum of confidence."""
        _, confidence, hits = np.moveaxis(self.counts.bins, -1, 0)
        return self.sum(np.moveaxis(hits - confidence, 1, 0))

    def images(self, score: Score) -> np.ndarray:
        """`n c`: a score of each image and class, in which the weights play no part."""
        if score not in self._scores:
            self._scores[score] = score.of(self.counts.classes)
        return self._scores[score]

    def mean(self, values: np.ndarray) -> np.ndarray:
        """Mean `b ...` over the images of `values` `n ...`. NaN is left out; a mean of nothing is NaN."""
        known = ~np.isnan(values)
        total, weight = np.moveaxis(self.sum(np.stack([np.where(known, values, 0), known], axis=-1)), -1, 0)
        return ratio(total, weight)

    def worst(self, values: np.ndarray, higher_is_better: bool) -> np.ndarray:
        """Mean `b` over the worst tenth of the images, of those whose value in `values` `n` is not NaN.

        A tenth of the weight: of 25 images the worst two and half of the third, so the mean does not jump from one
        resample to the next. (The code of Wang et al. takes whole images, rounded down.)
        """
        known = ~np.isnan(values)
        order = np.argsort(values if higher_is_better else -values)[: np.count_nonzero(known)]
        quota = WORST * self.sum(known)
        taken = np.diff(np.minimum(self._filled(order, quota), quota[:, None]), prepend=0.0)
        return ratio(taken @ values[order[: taken.shape[1]]], quota)

    def _filled(self, order: np.ndarray, quota: np.ndarray) -> np.ndarray:
        """Running sums `b k` of the weights in `order`, for as many images as fill the quota of every row."""
        images = math.ceil(1.25 * WORST * len(order))  # enough for most resamples, and far less than all
        while True:
            filled = np.cumsum(np.take(self.weights, order[:images], axis=1), axis=1)
            if images >= len(order) or (filled[:, -1] >= quota).all():
                return filled
            images *= 2


class Score(NamedTuple):
    """A number for each class of an image or of all images, from columns of `Counts.classes`."""

    title: str
    formula: str
    of: Callable[[Mapping[str, np.ndarray]], np.ndarray]
    """From columns `... c` to `... c`; NaN for a class without a score."""
    columns: tuple[str, ...]
    absent: str
    """Which class has no score. It is left out of every mean, never counted as 0 or 1."""
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True
    unit: str = ""
    sums: bool = True
    """Whether the columns may be summed over images."""

    def total(self, resample: Resample) -> np.ndarray:
        """`b c`: from counts summed over the images, or the mean over images of a score that has no such sum."""
        if not self.sums:
            return resample.mean(resample.images(self))
        return self.of({column: resample.total(column) for column in self.columns})


class Metric(NamedTuple):
    """One number for a test split."""

    title: str
    family: str
    formula: str
    averages: str
    """What it is a mean of."""
    absent: str
    """What a class does that does not occur."""
    compute: Callable[[Resample], np.ndarray]
    """`b`; NaN where nothing is known."""
    low: float = 0.0
    high: float = 1.0
    higher_is_better: bool = True
    unit: str = ""


def mean_of_known(values: np.ndarray) -> np.ndarray:
    """Mean over the last axis, `... c` to `...`. NaN is left out; a mean of nothing is NaN."""
    known = ~np.isnan(values)
    return ratio(np.where(known, values, 0).sum(axis=-1), known.sum(axis=-1))

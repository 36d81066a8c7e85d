"""What the report needs of one cell: every metric once, and the same under resamples of the test images.

The counts of a cell are many numbers, so they are read, measured and let go, cell by cell.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from pipeline.measure.counts.store import Counts
from pipeline.measure.metrics.base import Resample, mean_of_known
from pipeline.measure.metrics.table import CLASS_SCORES, METRICS
from pipeline.measure.statistics.bootstrap import image_weights, jackknife_weights
from pipeline.plumbing.random_streams import stream

FEWER = 1000  # resamples for what is not the primary metric: enough for a variance


class Weights(NamedTuple):
    """How often each test image of a dataset is taken; the same for all its cells, so that they stay paired."""

    draws: np.ndarray
    """`b n`."""
    left_out: np.ndarray | None
    """`u n`: without one unit each; only where intervals need it."""
    units: int
    """What is drawn: images, or groups of them."""

    @classmethod
    def of(cls, dataset: str, groups: np.ndarray, resamples: int, interval: str) -> "Weights":
        """`groups` has the number of each test image's group, `n`."""
        draws = image_weights(groups, resamples, stream(0, f"resamples of {dataset}"))
        left_out = jackknife_weights(groups) if interval == "bca" else None
        return cls(draws, left_out, len(np.unique(groups)))


class Measured(NamedTuple):
    """One cell."""

    state: str
    """`finished`, `diverged at iteration n`, or `missing`: then all metrics are NaN, and the rest is not known."""
    metrics: Mapping[str, float]
    draws: Mapping[str, np.ndarray]
    """By metric, `b`: all resamples for the primary metric, `FEWER` for the others."""
    left_out: np.ndarray | None
    """`u`: the primary metric without each unit; only where intervals need it."""
    class_scores: Mapping[str, np.ndarray] = {}
    """By score, `c`."""
    class_draws: Mapping[str, np.ndarray] = {}
    """By score, `b c`."""
    absent: np.ndarray | None = None
    """`c`: test images with the class in neither truth nor prediction."""
    image_iou: np.ndarray | None = None
    """`n`: mean IoU of each test image; NaN for one without any class in truth and prediction."""
    evaluation: Mapping[str, Any] = {}
    """evaluation.json."""
    bins: np.ndarray | None = None
    """`2 1+c bins 3`: those of `Counts`, summed over the images."""


def unmeasured(state: str, weights: Weights, primary: str) -> Measured:
    """A cell that is not finished."""
    resamples = len(weights.draws)
    return Measured(
        state=state,
        metrics=dict.fromkeys(METRICS, np.nan),
        draws={name: np.full(resamples if name == primary else min(FEWER, resamples), np.nan) for name in METRICS},
        left_out=None if weights.left_out is None else np.full(len(weights.left_out), np.nan),
    )


def measure(counts: Counts, weights: Weights, primary: str) -> Measured:
    """All numbers of a finished cell."""
    every_image_once = np.ones((1, weights.draws.shape[1]))
    few = Resample(counts, np.concatenate([every_image_once, weights.draws[:FEWER]]))
    metrics = {name: metric.compute(few) for name, metric in METRICS.items()}
    classes = {name: score.total(few) for name, score in CLASS_SCORES.items()}
    iou, compute = few.images(CLASS_SCORES["iou"]), METRICS[primary].compute
    draws = {name: found[1:] for name, found in metrics.items()}
    return Measured(
        state="finished",
        metrics={name: float(found[0]) for name, found in metrics.items()},
        draws=draws | {primary: compute(Resample(counts, weights.draws))},
        left_out=None if weights.left_out is None else compute(Resample(counts, weights.left_out)),
        class_scores={name: found[0] for name, found in classes.items()},
        class_draws={name: found[1:] for name, found in classes.items()},
        absent=np.isnan(iou).sum(axis=0),
        image_iou=mean_of_known(iou),
        evaluation=counts.evaluation,
        bins=counts.bins.sum(axis=1),
    )


def mean_over_seeds(seeds: list[Measured]) -> Measured:
    """One for several cells that judge the same images: the mean of those that finished, or the first if none has."""
    finished = [each for each in seeds if each.state == "finished"]
    if not finished:
        return seeds[0]

    def means(of: str) -> dict[str, np.ndarray]:
        return {
            name: np.mean([getattr(each, of)[name] for each in finished], axis=0) for name in getattr(finished[0], of)
        }

    left_out = [each.left_out for each in finished if each.left_out is not None]
    return finished[0]._replace(
        **{of: means(of) for of in ("metrics", "draws", "class_scores", "class_draws")},
        left_out=np.mean(left_out, axis=0) if left_out else None,
        absent=np.mean([each.absent for each in finished], axis=0),
    )

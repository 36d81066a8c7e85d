"""Cells measured from counts that are easy to check by hand, for the tests of tables."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipeline.measure.counts import objects, skeletons, surfaces
from pipeline.measure.counts.calibration import BINS
from pipeline.measure.counts.store import Counts
from pipeline.measure.statistics.estimates import Rules, Units
from pipeline.measure.tables.measured import Measured, Weights, measure, unmeasured
from pipeline.measure.tables.scores import PAIR, Scores
from pipeline.plumbing.cells import Cell

RULES = Rules(confidence=0.95, interval="t", rope=0.005)
UNITS = {"digits": Units(8)}
RESAMPLES = 500
Correct = int | list[int] | np.ndarray | None


def region(correct: int, pixels: int) -> np.ndarray:
    """Counts `1 c 4` of one image of two classes with `pixels` each, of which `correct` are right in each class."""
    wrong = pixels - correct
    return np.array([[[correct, wrong, wrong, correct]] * 2])


def counts_of(tables: np.ndarray) -> Counts:
    """Counts with the columns tp, fp, fn, tn from `n c 4`, and without anything else that is known."""
    images, classes, _ = tables.shape
    nothing = np.zeros((images, classes))
    shapes = dict.fromkeys([*surfaces.COLUMNS, *skeletons.COLUMNS, *objects.COLUMNS], nothing)
    sums = ("pixels", "nll", "brier", "nll_scaled", "brier_scaled")
    return Counts(
        classes=dict(zip(("tp", "fp", "fn", "tn"), np.moveaxis(tables, -1, 0), strict=True)) | shapes,
        images=dict.fromkeys(sums, np.ones(images)),
        bins=np.zeros((2, images, 1 + classes, BINS, 3)),
        evaluation={"temperature": 1.0, "size": "prepared", "tolerance": 2.0},
        cost=dict.fromkeys(("seconds", "seconds_per_iteration", "images_per_second", "peak_memory", "loss_share"), 1.0),
    )


def measured_cells(
    seeds: Mapping[tuple[str, str], list[Correct]], pixels: int = 5, first_seed: int = 0
) -> dict[Cell, Measured]:
    """Cells of one dataset and model by loss and strategy. Of each seed: how many pixels are right, of each image if
    that is a list; or counts `n c 4`; None has diverged."""
    known = [_tables(each, pixels) for every in seeds.values() for each in every if each is not None]
    images = len(known[0]) if known else 1
    weights = Weights.of("digits", np.arange(images), RESAMPLES, "t")
    return {
        Cell("digits", "unet", *pair, first_seed + seed): unmeasured("diverged at iteration 3", weights, "miou")
        if correct is None
        else measure(counts_of(_tables(correct, pixels)), weights, "miou")
        for pair, every in seeds.items()
        for seed, correct in enumerate(every)
    }


def scores_by_seed(
    values: Mapping[tuple[str, str], list[float]], dataset: str = "digits"
) -> dict[tuple[str, str], Scores]:
    """Scores of one dataset and model by loss and strategy, of each seed; the test images do not matter."""
    table = pd.DataFrame(values).rename_axis(columns=PAIR)
    draws = np.repeat(table.to_numpy()[None], 50, axis=0)
    return {(dataset, "unet_tiny"): Scores(table, draws, None, UNITS["digits"])}


def _tables(correct: Correct, pixels: int) -> np.ndarray:
    if isinstance(correct, np.ndarray):
        return correct
    images = [correct] if isinstance(correct, int) else correct
    return np.concatenate([region(each, pixels) for each in images])

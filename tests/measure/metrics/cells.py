"""Counts of a cell for the tests of metrics: made of masks, or drawn at random within what counting can give."""

import numpy as np
import torch

from pipeline.measure.counts.region import COUNTS, count
from pipeline.measure.counts.store import Counts
from pipeline.measure.metrics.base import Resample
from pipeline.measure.metrics.table import METRICS

VOID = 255
COST = {
    "seconds": 61.5,
    "seconds_per_iteration": 0.05,
    "images_per_second": 320.0,
    "peak_memory": 2e9,
    "loss_share": 0.04,
}


def once(counts: Counts) -> Resample:
    """Each image once."""
    return Resample(counts, np.ones((1, len(next(iter(counts.classes.values()))))))


def value(key: str, counts: Counts) -> float:
    (found,) = METRICS[key].compute(once(counts))
    return float(found)


def of_classes(**columns) -> Counts:
    """Columns `n c`, nothing else counted."""
    return Counts({name: np.array(column) for name, column in columns.items()}, {}, np.zeros((2, 0, 1, 15, 3)), {}, {})


def of_masks(predicted: np.ndarray, target: np.ndarray, classes: int) -> Counts:
    """Region counts of class indices `n h w`."""
    counted = count(torch.from_numpy(predicted), torch.from_numpy(target), classes)
    return of_classes(**dict(zip(COUNTS, np.moveaxis(counted, -1, 0), strict=True)))


def random_cell(images: int = 7, classes: int = 3, seed: int = 0) -> Counts:
    """Everything counted. The last class occurs in half of the images, and nothing is right in the first image."""
    rng = np.random.default_rng(seed)
    shape, there = (images, classes), np.ones((images, classes), bool)
    there[::2, -1] = False

    def part_of(whole):
        return rng.integers(0, whole, endpoint=True)

    support = rng.integers(20, 60, shape) * there
    tp, fp = part_of(support), rng.integers(0, 20, shape) * there
    tp[0] = 0
    columns = {"tp": tp, "fp": fp, "fn": support - tp, "tn": support.sum(axis=1, keepdims=True) + 40 - support - fp}
    for name in ("surface_predicted", "surface_true", "skeleton_predicted", "skeleton_true", "band_union"):
        columns[name] = rng.integers(5, 30, shape) * there
    columns["band_intersection"] = part_of(columns["band_union"])
    for side in ("predicted", "true"):
        columns[f"surface_{side}_near"] = part_of(columns[f"surface_{side}"])
        columns[f"distance_{side}"] = columns[f"surface_{side}"] * rng.uniform(0, 9, shape)
        columns[f"skeleton_{side}_hit"] = part_of(columns[f"skeleton_{side}"])
        columns[f"objects_{side}"] = rng.integers(1, 9, shape) * there
    columns["hd95"] = np.where(there, rng.uniform(0, 30, shape), np.nan)
    columns["objects_matched"] = part_of(np.minimum(columns["objects_predicted"], columns["objects_true"]))
    columns["matched_iou"] = columns["objects_matched"] * rng.uniform(0.5, 1, shape)
    columns["matched_box_iou"] = columns["objects_matched"] * rng.uniform(0, 1, shape)
    in_bins = rng.integers(0, 30, (2, images, 1 + classes, 15))
    in_bins[:, :, :, 0] += 500 - in_bins.sum(axis=-1)  # the bins of the top label and of each class hold all pixels
    bins = np.stack([in_bins, in_bins * rng.random(in_bins.shape), part_of(in_bins)], axis=-1).astype(float)
    names = ("nll", "brier", "nll_scaled", "brier_scaled")
    pixels = {"pixels": np.full(images, 500)} | {name: rng.uniform(0, 900, images) for name in names}
    return Counts(columns, pixels, bins, {}, COST)


def changed(counts: Counts, columns=lambda name, each: each, images=lambda each: each) -> Counts:
    """Other columns `n c`, and the columns `n` of images and the bins, made of the old ones."""
    return counts._replace(
        classes={name: columns(name, each) for name, each in counts.classes.items()},
        images={name: images(each) for name, each in counts.images.items()},
        bins=np.moveaxis(images(np.moveaxis(counts.bins, 1, 0)), 0, 1),
    )


def taken(counts: Counts, which: np.ndarray) -> Counts:
    """The images `which`, in that order, some perhaps twice."""
    return changed(counts, columns=lambda _, each: each[which], images=lambda each: each[which])


def perfect_cell(images: int = 4, classes: int = 3) -> Counts:
    """Each class in each image, found to the pixel, with certainty."""
    ones, pixels = np.ones((images, classes), np.int64), 9 * classes
    empty = random_cell(images, classes)
    columns = dict.fromkeys(empty.classes, 9 * ones) | dict.fromkeys(("fp", "fn"), 0 * ones)
    columns |= {"tn": (pixels - 9) * ones, "hd95": 0.0 * ones}
    columns |= {f"distance_{side}": 0.0 * ones for side in ("predicted", "true")}
    bins = np.zeros_like(empty.bins)  # pixels, sum of confidence, hits
    bins[:, :, 0, -1] = pixels
    bins[:, :, 1:, -1], bins[:, :, 1:, 0] = 9, [pixels - 9, 0, 0]
    sums = {name: np.zeros(images) for name in empty.images} | {"pixels": np.full(images, pixels)}
    return Counts(columns, sums, bins, {}, COST)


def nothing_known(images: int = 4, classes: int = 3) -> Counts:
    """Images of void, and a training of which no cost was recorded."""
    empty = changed(random_cell(images, classes), lambda _, each: np.zeros_like(each), np.zeros_like)
    empty.classes["hd95"][:] = np.nan
    return empty._replace(cost=dict.fromkeys(COST, np.nan))

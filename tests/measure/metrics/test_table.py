"""The contract of every metric, and the four averages by hand."""

import re
import subprocess
import sys

import numpy as np
import pytest

from pipeline.measure.metrics.base import Resample
from pipeline.measure.metrics.table import AVERAGES, CLASS_SCORES, FAMILIES, METRICS
from tests.measure.metrics.cells import (
    changed,
    nothing_known,
    of_classes,
    of_masks,
    once,
    perfect_cell,
    random_cell,
    taken,
    value,
)

every_metric = pytest.mark.parametrize("key", METRICS)
every_score = pytest.mark.parametrize("name", CLASS_SCORES)
RANDOM = random_cell()
IMAGES = len(RANDOM.images["pixels"])
REGION = {"iou", "dice", "precision", "recall", "specificity", "f1", "f2", "mcc"}
PROBABILITY = {"nll", "brier", "ece", "classwise_ece"}
COST = {"seconds", "seconds_per_iteration", "images_per_second", "peak_memory", "loss_share"}
OF_PREDICTIONS = [key for key, metric in METRICS.items() if metric.family != "cost"]


def test_the_names_are_those_of_the_issue():
    """Four averages of each score of classes, but no sum over the dataset of a percentile."""
    averaged = {
        f"{'m' if name in REGION else ''}{name}{suffix}"
        for name in CLASS_SCORES
        for suffix in AVERAGES
        if (name, suffix) != ("hd95", "")
    }
    overall = {f"{name}{suffix}" for name in ("pixel_accuracy", "fwiou") for suffix in ("", "_image", "_worst")}
    probability = {f"{name}{suffix}" for name in PROBABILITY for suffix in ("", "_scaled")}
    assert set(METRICS) == averaged | overall | {"mean_accuracy"} | probability | COST


def test_titles_are_unique_and_so_is_what_a_metric_is():
    assert len({metric.title for metric in METRICS.values()}) == len(METRICS)
    assert len({(metric.formula, metric.averages) for metric in METRICS.values()}) == len(METRICS)
    assert len({score.title for score in CLASS_SCORES.values()}) == len(CLASS_SCORES)


@every_metric
def test_an_entry_says_all_a_reader_needs(key):
    metric = METRICS[key]
    assert re.fullmatch("[a-z0-9_]+", key)
    assert metric.family in FAMILIES
    assert all([metric.title, metric.formula, metric.averages, metric.absent])
    assert metric.low < metric.high
    assert metric.unit or metric.high < np.inf


@every_metric
@pytest.mark.parametrize("seed", range(5))
def test_it_stays_in_its_range(key, seed):
    (found,) = METRICS[key].compute(once(random_cell(seed=seed)))
    assert METRICS[key].low - 1e-12 <= found <= METRICS[key].high + 1e-12


@pytest.mark.parametrize("key", OF_PREDICTIONS)
def test_a_perfect_prediction_has_the_best_value(key):
    metric = METRICS[key]
    assert value(key, perfect_cell()) == pytest.approx(metric.high if metric.higher_is_better else metric.low)


@every_metric
def test_nothing_known_is_no_value(key):
    assert np.isnan(value(key, nothing_known()))


@every_metric
def test_no_weight_is_no_value(key):
    """A resample that draws no image of a kind; cost is not drawn."""
    (found,) = METRICS[key].compute(Resample(RANDOM, np.zeros((1, IMAGES))))
    assert np.isnan(found) == (METRICS[key].family != "cost")


@every_metric
def test_the_order_of_the_images_plays_no_part(key):
    order = np.random.default_rng(3).permutation(IMAGES)
    assert value(key, taken(RANDOM, order)) == pytest.approx(value(key, RANDOM))


@every_metric
def test_a_weight_is_a_repeated_image(key):
    """What a resample says is what a test split of the drawn images would say."""
    drawn = np.array([0, 0, 1, 3, 3, 3, 5])
    (found,) = METRICS[key].compute(Resample(RANDOM, np.bincount(drawn, minlength=IMAGES)[None].astype(float)))
    assert found == pytest.approx(value(key, taken(RANDOM, drawn)))


@every_metric
def test_resamples_do_not_influence_each_other(key):
    weights = np.random.default_rng(4).multinomial(IMAGES, np.full(IMAGES, 1 / IMAGES), size=20).astype(float)
    together = METRICS[key].compute(Resample(RANDOM, weights))
    alone = np.concatenate([METRICS[key].compute(Resample(RANDOM, row[None])) for row in weights])
    assert together.shape == (20,)
    np.testing.assert_allclose(together, alone)


@pytest.mark.parametrize("key", [key for key in OF_PREDICTIONS if METRICS[key].family != "probability"])
def test_a_class_that_nobody_sees_changes_nothing(key):
    """The network gives it probabilities, so the class-wise calibration error does look at it."""

    def with_one_more(name, column):
        unseen = {"tn": RANDOM.classes["tn"][:, :1] + RANDOM.classes["tp"][:, :1], "hd95": np.full((IMAGES, 1), np.nan)}
        return np.append(column, unseen.get(name, np.zeros((IMAGES, 1), column.dtype)), axis=1)

    assert value(key, changed(RANDOM, with_one_more)) == pytest.approx(value(key, RANDOM))


@pytest.mark.parametrize("key", [key for key in OF_PREDICTIONS if METRICS[key].family != "probability"])
def test_an_image_of_void_changes_nothing(key):
    both = changed(
        RANDOM, lambda name, each: np.append(each, [[np.nan if name == "hd95" else 0] * each.shape[1]], axis=0)
    )
    assert value(key, both) == pytest.approx(value(key, RANDOM))


@every_score
def test_a_score_is_that_of_the_table_in_any_shape(name):
    """`... c`: of images, of resamples, of one total."""
    score = CLASS_SCORES[name]
    found = score.of(RANDOM.classes)
    for image, expected in enumerate(found):
        one = score.of({column: RANDOM.classes[column][image] for column in score.columns})
        np.testing.assert_array_equal(one, expected)


@every_score
def test_a_score_of_one_image_is_its_total(name):
    """Whether counts are summed or scores averaged."""
    one = once(taken(RANDOM, np.array([1])))
    np.testing.assert_allclose(CLASS_SCORES[name].total(one), one.images(CLASS_SCORES[name]))


def test_the_averages_of_two_images_by_hand():
    """Image 1: class 0 has IoU 3/4, class 1 has 0. Image 2: class 0 has 1/2, class 1 has 1/2, class 2 has 1.

    Sums: class 0 4/6, class 1 1/3, class 2 1. Class 2 is in image 2 alone, so the mean of image 1 does without it.
    """
    counts = of_classes(
        tp=[[3, 0, 0], [1, 1, 1]], fp=[[0, 1, 0], [1, 0, 0]], fn=[[1, 0, 0], [0, 1, 0]], tn=[[0, 3, 4], [2, 2, 3]]
    )
    assert value("miou", counts) == pytest.approx((4 / 6 + 1 / 3 + 1) / 3)
    assert value("miou_image", counts) == pytest.approx(((3 / 4 + 0) / 2 + (1 / 2 + 1 / 2 + 1) / 3) / 2)
    assert value("miou_class", counts) == pytest.approx(((3 / 4 + 1 / 2) / 2 + (0 + 1 / 2) / 2 + 1) / 3)
    assert value("miou_worst", counts) == pytest.approx((3 / 4 + 0) / 2)
    assert value("pixel_accuracy", counts) == pytest.approx(6 / 8)
    assert value("pixel_accuracy_image", counts) == pytest.approx((3 / 4 + 3 / 4) / 2)


def test_an_invented_class_costs():
    """One pixel of class 0, called class 1."""
    counts = of_masks(np.array([[[1]]]), np.array([[[0]]]), classes=2)
    assert value("miou_image", counts) == 0


def test_where_less_is_better_the_worst_images_are_the_highest():
    counts = of_classes(hd95=[[float(distance)] for distance in range(20)])
    assert value("hd95_worst", counts) == pytest.approx((19 + 18) / 2)


def test_it_loads_nothing_slow():
    """`check` looks up names of metrics and must answer in a second."""
    slow = {"torch", "pandas", "scipy", "matplotlib", "skimage", "cv2"}
    code = "import sys, pipeline.measure.metrics.table; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert slow & set(loaded) == set()

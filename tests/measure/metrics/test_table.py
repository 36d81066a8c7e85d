"""Metrics against scikit-learn, and what an absent class does."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, jaccard_score, precision_score, recall_score

from pipeline.measure.counts.region import count
from pipeline.measure.metrics.table import CLASS_SCORES, METRICS

REFERENCES = {
    "miou": jaccard_score,
    "mdice": f1_score,
    "mprecision": precision_score,
    "mrecall": recall_score,
    "mf1": f1_score,
}


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(8)
    return random.integers(0, 3, (6, 8, 8)), random.integers(0, 3, (6, 8, 8))


def counts_of(predicted: np.ndarray, target: np.ndarray, classes: int = 3) -> np.ndarray:
    return count(torch.from_numpy(predicted), torch.from_numpy(target), classes)


@pytest.mark.parametrize("name", REFERENCES)
def test_over_the_dataset_equals_scikit_learn_over_all_pixels(name, pair):
    predicted, target = pair
    expected = REFERENCES[name](target.ravel(), predicted.ravel(), average="macro")
    assert METRICS[name].compute(counts_of(*pair)) == pytest.approx(expected)


@pytest.mark.parametrize("name", REFERENCES)
def test_over_images_equals_the_mean_of_scikit_learn_over_images(name, pair):
    expected = np.mean([REFERENCES[name](t.ravel(), p.ravel(), average="macro") for p, t in zip(*pair, strict=True)])
    assert METRICS[f"{name}_image"].compute(counts_of(*pair)) == pytest.approx(expected)


def test_pixel_accuracy_equals_scikit_learn(pair):
    predicted, target = pair
    assert METRICS["pixel_accuracy"].compute(counts_of(*pair)) == pytest.approx(
        accuracy_score(target.ravel(), predicted.ravel())
    )


@pytest.mark.parametrize("name", METRICS)
def test_a_perfect_prediction_scores_the_best_value(name, pair):
    metric = METRICS[name]
    assert metric.compute(counts_of(pair[1], pair[1])) == (metric.high if metric.higher_is_better else metric.low)


@pytest.mark.parametrize("name", METRICS)
def test_a_class_that_nobody_sees_changes_nothing(name, pair):
    assert METRICS[name].compute(counts_of(*pair, classes=5)) == METRICS[name].compute(counts_of(*pair))


@pytest.mark.parametrize("name", METRICS)
def test_no_valid_pixel_is_no_score(name):
    assert math.isnan(METRICS[name].compute(np.zeros((2, 3, 4), dtype=np.int64)))


def test_the_absent_class_rule_differs_by_what_the_denominator_needs():
    """One pixel of class 0, called class 1; class 2 is nowhere. Columns: class 0, 1, 2."""
    counts = counts_of(np.array([[[1]]]), np.array([[[0]]]))[0]
    nan = pytest.approx(math.nan, nan_ok=True)
    assert CLASS_SCORES["iou"](counts) == pytest.approx([0, 0, math.nan], nan_ok=True)
    assert CLASS_SCORES["precision"](counts) == pytest.approx([math.nan, 0, math.nan], nan_ok=True)
    assert CLASS_SCORES["recall"](counts) == pytest.approx([0, math.nan, math.nan], nan_ok=True)
    assert CLASS_SCORES["dice"](counts)[2] == nan

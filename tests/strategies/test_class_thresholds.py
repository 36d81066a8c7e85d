"""Class thresholds: against the best threshold of scikit-learn's curve, and what the search may not do."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import jaccard_score, precision_recall_curve

from pipeline.strategies.base import ClassStatistics
from pipeline.strategies.class_thresholds import STEPS, SWEEPS, ClassThresholds


@pytest.fixture(scope="module")
def pixels():
    """True class and log odds of class 1 of 5000 pixels; a twentieth is of class 1."""
    random = np.random.default_rng(0)
    labels = (random.random(5000) < 0.05).astype(int)
    return labels, random.normal(2.0 * labels - 3.5, 1.2)


def test_two_classes_get_the_best_threshold_of_the_curve(build, statistics, pixels):
    """Deciding for class 1 where p > t is adding -log t / (1 - t) to its log odds.

    precision_recall_curve of scikit-learn gives 1 / IoU = 1 / precision + 1 / recall - 1 at every threshold on the log
    odds; no reachable one may be better than the one found.
    """
    labels, log_odds = pixels

    def iou(offsets):
        return jaccard_score(labels, log_odds + offsets[1] - offsets[0] > 0)

    offsets = build("class_thresholds").decision(statistics([950, 50]), iou)
    precision, recall, thresholds = precision_recall_curve(labels, log_odds)
    with np.errstate(divide="ignore"):
        curve = 1 / (1 / precision + 1 / recall - 1)
    step = 2 * np.log(20) / STEPS
    reachable = step * np.arange(-STEPS, STEPS + 1)  # the difference of two offsets on the grid
    best_reachable = curve[np.searchsorted(thresholds, -reachable)].max()
    assert iou(offsets) == pytest.approx(best_reachable)
    assert iou(offsets) > iou(np.zeros(2)) + 0.05
    assert best_reachable == pytest.approx(curve.max(), abs=0.02), "the grid is fine enough"


arbitrary = settings(derandomize=True, max_examples=30, deadline=None)


@arbitrary
@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
def test_never_worse_than_the_start_and_never_longer_than_the_sweeps(classes, seed):
    """For scores without any pattern. The start costs one score, each sweep 13 per class."""
    random, scores = np.random.default_rng(seed), {}
    pixels = random.integers(1, 1000, (3, classes))

    def score(offsets):
        asked.append(offsets)
        return scores.setdefault(tuple(offsets), random.random())

    asked = []
    offsets = ClassThresholds().decision(ClassStatistics(pixels, pixels), score)
    assert scores[tuple(offsets)] >= scores[(0.0,) * classes]
    assert scores[tuple(offsets)] == max(scores.values())
    assert len(asked) <= 1 + SWEEPS * classes * (STEPS + 1)
    assert np.abs(offsets).max() <= np.log(20) + 1e-9


def test_without_a_gain_thresholds_stay_equal(build, statistics):
    """After one sweep in vain the search ends."""
    asked = []
    offsets = build("class_thresholds").decision(statistics([9, 1]), lambda offsets: asked.append(offsets) or 0.5)
    assert offsets.tolist() == [0, 0]
    assert len(asked) == 1 + 2 * (STEPS + 1)


def test_independent_classes_each_get_their_own_optimum(build, statistics):
    """Of a score that is a sum over the classes, one sweep finds the nearest step of every one."""
    step = np.log(20) / 6
    best = step * np.array([-2.2, 0.1, 4.8])
    offsets = build("class_thresholds").decision(
        statistics([900, 90, 10]), lambda offsets: -((offsets - best) ** 2).sum()
    )
    np.testing.assert_allclose(offsets, step * np.array([-2, 0, 5]))


@pytest.mark.parametrize("widest", [2.0, 1000.0])
def test_thresholds_reach_as_far_as_they_may(build, statistics, widest):
    """Divided and multiplied by `widest`: the rare class gets the least threshold, the other the greatest."""
    strategy = build("class_thresholds", widest=widest)
    offsets = strategy.decision(statistics([9, 1]), lambda offsets: offsets[1] - offsets[0])
    np.testing.assert_allclose(np.exp(-offsets), [widest, 1 / widest])


def test_the_rarest_class_comes_first(build, statistics):
    """Where one move is as good as another, it is made for the class that needs it most."""
    step = np.log(20) / 6

    def score(offsets):
        return -abs(offsets[2] - offsets[0] - 2 * step)

    offsets = build("class_thresholds").decision(statistics([900, 90, 10]), score)
    np.testing.assert_allclose(offsets, [0, 0, 2 * step])
    offsets = build("class_thresholds").decision(statistics([10, 90, 900]), score)
    np.testing.assert_allclose(offsets, [-2 * step, 0, 0])

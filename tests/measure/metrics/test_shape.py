"""clDice by hand."""

import numpy as np
import pytest

from tests.measure.metrics.cells import of_classes, value


def skeletons(predicted: int, predicted_hit: int, true: int, true_hit: int):
    return of_classes(
        skeleton_predicted=[[predicted]],
        skeleton_predicted_hit=[[predicted_hit]],
        skeleton_true=[[true]],
        skeleton_true_hit=[[true_hit]],
    )


def test_it_is_the_harmonic_mean_of_both_shares():
    """3/4 of the predicted skeleton lies in the true mask, 2/5 of the true one in the predicted mask."""
    assert value("cl_dice", skeletons(4, 3, 5, 2)) == pytest.approx(2 / (4 / 3 + 5 / 2))


@pytest.mark.parametrize(
    "counted",
    [(4, 0, 5, 0), (0, 0, 5, 0), (4, 0, 0, 0), (4, 2, 5, 0)],
    ids=["beside each other", "missed", "invented", "one skeleton misses the other mask"],
)
def test_a_class_that_is_not_found_has_0(counted):
    """Its published code divides 0 by 0 where nothing is hit; to leave the class out would make a miss free."""
    assert value("cl_dice", skeletons(*counted)) == 0


def test_a_class_that_is_nowhere_has_none():
    assert np.isnan(value("cl_dice", skeletons(0, 0, 0, 0)))

"""When a claim is allowed."""

import numpy as np
import pytest

from pipeline.measure.statistics.verdicts import verdict

NONE = np.nan


@pytest.mark.parametrize(
    ("mean", "p", "p_equivalent", "noise", "higher", "expected"),
    [
        (0.1, 0.01, 0.9, NONE, True, "better"),
        (-0.1, 0.01, 0.9, NONE, True, "worse"),
        (0.1, 0.01, 0.9, NONE, False, "worse"),
        (-0.1, 0.01, 0.9, NONE, False, "better"),
        (0.1, 0.06, 0.9, NONE, True, "inconclusive"),
        (0.1, NONE, NONE, NONE, True, "inconclusive"),
        (0.0, 1.0, 0.01, NONE, True, "equivalent"),
        (0.0, 1.0, 0.06, NONE, True, "inconclusive"),
    ],
)
def test_a_verdict_needs_a_corrected_p_below_the_level(mean, p, p_equivalent, noise, higher, expected):
    assert verdict(mean, p, p_equivalent, noise, 0.95, higher) == expected


def test_a_difference_that_is_there_but_too_small_to_matter_is_equivalent():
    assert verdict(0.001, 0.01, 0.01, NONE, 0.95) == "equivalent"


@pytest.mark.parametrize(("mean", "expected"), [(0.02, "inconclusive"), (-0.02, "inconclusive"), (0.021, "better")])
def test_a_difference_within_that_of_the_repeated_control_is_no_finding(mean, expected):
    assert verdict(mean, 0.001, 0.9, noise=0.02, confidence=0.95) == expected


def test_the_level_is_that_of_the_confidence():
    assert verdict(0.1, 0.03, 0.9, NONE, confidence=0.99) == "inconclusive"

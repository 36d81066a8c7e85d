"""Numbers as a reader sees them."""

import numpy as np
import pytest

from pipeline.measure.text import chance, estimate, interval, mean_and_spread, number, p_value, percent


def test_what_is_not_known_is_a_dash():
    assert {number(np.nan), percent(np.nan), interval(np.nan, np.nan), chance(np.nan)} == {"–"}


def test_numbers_have_the_digits_that_count():
    assert number(0.12345) == "0.123"
    assert number(0.12345, "+.2f") == "+0.12"
    assert percent(0.00347) == "0.35 %"
    assert interval(-0.5, 0.25, "+.2f") == "[-0.50, +0.25]"


@pytest.mark.parametrize(("probability", "text"), [(0.0, "< 0.001"), (0.5, "0.500"), (1.0, "> 0.999")])
def test_nothing_is_certain(probability, text):
    """A probability of 1.000 would be read as a proof."""
    assert chance(probability) == text


@pytest.mark.parametrize(("p", "text"), [(0.0, "p < 0.001"), (0.04, "p = 0.040"), (1.0, "p > 0.999")])
def test_a_p_value_has_one_sign(p, text):
    assert p_value(p) == text


def test_a_mean_stands_with_its_spread_above_its_interval():
    assert estimate(0.5306, 0.088, 0.313, 0.748) == "0.531 ± 0.088\n[0.313, 0.748]"
    assert mean_and_spread(1.5, 0.25, "+.2f") == "+1.50 ± 0.25"


def test_what_a_mean_has_not_is_left_out():
    """One seed has no spread; without a seed there is not even a mean."""
    assert estimate(0.5, np.nan, np.nan, np.nan) == "0.500"
    assert estimate(0.5, 0.1, np.nan, np.nan) == "0.500 ± 0.100"
    assert estimate(*[np.nan] * 4) == "–"

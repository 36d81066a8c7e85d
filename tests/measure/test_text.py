"""Numbers as a reader sees them."""

import numpy as np
import pytest

from pipeline.measure.text import chance, interval, number, percent, some


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


def test_long_lists_end_with_a_number():
    assert some(["a", "b"]) == "a, b"
    assert some(list("abcde")) == "a, b, c, and 2 more"

"""Runs by turns, and what is written of them."""

import numpy as np

from pipeline.conformance import turns
from pipeline.conformance.turns import by_turns, digits, ratio


def test_every_round_has_every_run_once_in_the_same_order(monkeypatch):
    """Three rounds, since the time is up."""
    monkeypatch.setattr(turns, "FEWEST", 3)
    monkeypatch.setattr(turns, "ENOUGH", 0.0)
    said = []
    runs = [lambda: said.append("a") or len(said), lambda: said.append("b") or len(said)]
    assert by_turns(runs).tolist() == [[1, 3, 5], [2, 4, 6]]
    assert "".join(said) == "ababab"


def test_while_there_is_time_there_are_more_rounds_up_to_the_most(monkeypatch):
    monkeypatch.setattr(turns, "MOST", 7)
    assert by_turns([lambda: 1.0]).shape == (1, 7)


def test_a_ratio_is_of_the_runs_of_a_round():
    """By hand: 1/2, 2/2, 4/2, 3/1, 4/1; the medians of the runs alone would give 3/2."""
    found = ratio(np.array([1.0, 2.0, 4.0, 3.0, 4.0]), np.array([2.0, 2.0, 2.0, 1.0, 1.0]))
    assert found == (2.0, 1.0, 3.0)
    assert str(found) == "2.00 (1.00 to 3.00)"


def test_three_digits():
    assert [digits(number) for number in (0.12345, 12.345, 1234.5, 1234567.0)] == ["0.123", "12.3", "1,230", "1.23e+06"]

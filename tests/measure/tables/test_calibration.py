"""Reliability and temperatures by hand, and the numbers of the page."""

import numpy as np
import pytest

from pipeline.measure.statistics.estimates import Rules
from pipeline.measure.tables.calibration import calibration_rows, reliability_table, temperature_table
from pipeline.measure.tables.measured import Measured
from pipeline.plumbing.cells import Cell

RULES = Rules(confidence=0.95, interval="t", rope=0.005)


def cell(seed: int) -> Cell:
    return Cell("d", "m", "dice", "none", seed)


def judged(temperature: float, *filled: tuple[int, int, list[float]]) -> Measured:
    """A seed with (scaled, bin, [pixels, confidence, hits]) in the bins of the top label, and others in those of a class."""
    bins = np.zeros((2, 3, 15, 3))
    bins[:, 1:] = 7.0
    for scaled, place, content in filled:
        bins[scaled, 0, place] = content
    return Measured("finished", {}, {}, None, evaluation={"temperature": temperature}, bins=bins)


UNFINISHED = Measured("missing", {}, {}, None)


@pytest.fixture
def measured() -> dict[Cell, Measured]:
    """Accuracies of 0.5 and 0.75 in one bin; another is empty in one seed."""
    return {
        cell(0): judged(1.0, (0, 14, [60, 57, 30]), (1, 12, [60, 50, 30])),
        cell(1): judged(3.0, (0, 14, [20, 19, 15]), (0, 2, [20, 3, 4]), (1, 12, [40, 30, 19])),
        cell(2): UNFINISHED,
    }


def test_reliability_pools_the_pixels_of_the_seeds(measured):
    rows = reliability_table(measured).set_index(["scaled", "bin"])
    assert list(rows.index) == [(False, 2), (False, 14), (True, 12)]
    assert rows.loc[(False, 14), ["n", "share", "confidence", "accuracy"]].tolist() == [2, 0.8, 76 / 80, 45 / 80]
    assert rows.loc[(False, 14), "accuracy_std"] == pytest.approx(0.25 / 2**0.5)
    assert rows.loc[(True, 12), "share"] == 1


def test_a_bin_that_one_seed_fills_has_no_spread(measured):
    rows = reliability_table(measured).set_index(["scaled", "bin"])
    assert rows.loc[(False, 2), ["n", "accuracy"]].tolist() == [1, 0.2]
    assert np.isnan(rows.loc[(False, 2), "accuracy_std"])


def test_temperatures_are_averaged_over_seeds(measured):
    """1 and 3: mean 2, standard deviation sqrt(2), and an interval of 12.706 of it over sqrt(2), which ends at 0."""
    (row,) = temperature_table(measured, RULES).to_dict("records")
    assert (row["n"], row["temperature"], row["temperature_std"]) == (2, 2.0, pytest.approx(2**0.5))
    assert (row["temperature_low"], row["temperature_high"]) == (0.0, pytest.approx(14.706, abs=1e-3))


def test_nothing_finished_gives_no_rows(nothing_finished):
    assert reliability_table({cell(0): UNFINISHED}).empty
    assert temperature_table({cell(0): UNFINISHED}, RULES).empty
    assert calibration_rows(nothing_finished, "digits") == []


def test_rows_of_the_page_hold_the_numbers_of_the_leaderboard_in_its_order(story):
    rows = calibration_rows(story, "digits")
    board = story.leaderboard[story.leaderboard["dataset"] == "digits"].to_dict("records")
    assert [(row["loss"], row["strategy"]) for row in rows] == [(row["loss"], row["strategy"]) for row in board]
    first = board[0]
    interval = f"[{first['ece_scaled_low']:.3f}, {first['ece_scaled_high']:.3f}]"
    assert rows[0]["ECE, scaled"] == f"{first['ece_scaled']:.3f} ± {first['ece_scaled_std']:.3f}\n{interval}"
    assert rows[0]["ECE"].startswith(f"{first['ece']:.3f} ± ")
    fitted = story.temperatures.set_index(["dataset", "loss", "strategy"]).loc[
        ("digits", first["loss"], first["strategy"])
    ]
    assert rows[0]["temperature"].startswith(f"{fitted['temperature']:.2f} ± {fitted['temperature_std']:.2f}\n[")


def test_one_seed_is_a_number_without_spread(one_seed):
    (row,) = calibration_rows(one_seed, "digits")
    assert row["n"] == "1"
    assert row["ECE"] == f"{one_seed.leaderboard['ece'].iloc[0]:.3f}"

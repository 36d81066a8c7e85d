"""Places on the strip follow from the numbers."""

import numpy as np
import pandas as pd
import pytest

from pipeline.measure.page.strip import LEADING, strips


def known(story, dataset):
    board = story.leaderboard[story.leaderboard["dataset"] == dataset]
    return board[["loss", "strategy"]].merge(story.differences[story.differences["dataset"] == dataset])


def test_leading_experiments_stand_in_the_order_of_the_leaderboard_and_the_noise_floor_below(story):
    (strip,) = strips(story, "digits")
    leading = known(story, "digits").head(LEADING)
    shown = [(bar.row["loss"], bar.row["strategy"]) for bar in strip.bars[:LEADING]]
    assert shown == list(leading[["loss", "strategy"]].itertuples(index=False, name=None))
    assert [bar.row["verdict"] for bar in strip.bars[LEADING:]] == ["noise floor"]


def test_places_are_a_linear_scale_within_the_strip(story):
    """A line through all places and numbers fits, whatever the scale is."""
    (strip,) = strips(story, "digits")
    rows = known(story, "digits").head(LEADING)
    numbers = [*rows[["low", "mean", "high"]].to_numpy().ravel(), 0, story.rules.rope, -story.rules.rope, strip.change]
    places = [place for bar in strip.bars[:LEADING] for place in (bar.low, bar.mean, bar.high)]
    places += [strip.control, strip.rope[1], strip.rope[0], strip.floor[1]]
    slope, start = np.polyfit(numbers, places, 1)
    assert slope > 0
    assert places == pytest.approx(slope * np.array(numbers) + start, abs=0.02)
    assert 0 < min(places) < max(places) < 100


def test_the_floor_is_what_the_control_moved(story):
    (strip,) = strips(story, "digits")
    assert strip.change == pytest.approx(story.noise.set_index("dataset").loc["digits", "mean"].__abs__())
    assert strip.floor[1] - strip.control == pytest.approx(strip.control - strip.floor[0], abs=0.02)


def test_without_a_repeated_control_there_is_no_floor(story):
    (strip,) = strips(story._replace(noise=story.noise.iloc[:0]), "digits")
    assert strip.floor is None
    assert len(strip.bars) == LEADING


def test_without_an_interval_there_is_a_dot_alone(story):
    (strip,) = strips(story._replace(differences=story.differences.assign(low=np.nan, high=np.nan)), "digits")
    assert {(bar.low, bar.high) for bar in strip.bars[:LEADING]} == {(None, None)}
    assert all(bar.mean is not None for bar in strip.bars)


def test_nothing_to_compare_makes_no_strip(one_seed, nothing_finished):
    assert strips(one_seed, "digits") == strips(nothing_finished, "digits") == []


def test_every_model_has_its_own(tell, sizes):
    story = tell({**sizes(2, 2, 2), "model": ["unet_tiny", "unet_large"]})
    assert [strip.model for strip in strips(story, "streets")] == ["unet_tiny", "unet_large"]
    assert isinstance(story.noise, pd.DataFrame)

"""The front is what nothing beats, and the figure shows it."""

import numpy as np
import pytest

from pipeline.measure.figures.pareto import on_front, pareto
from pipeline.measure.figures.style import png


def timed(story, seconds):
    """The story in which the experiments of each dataset, best first, take so long."""
    times = np.tile(seconds, story.leaderboard["dataset"].nunique())
    return story._replace(leaderboard=story.leaderboard.assign(seconds=times))


def test_front_of_points_by_hand():
    costs, scores = np.array([1, 2, 3, 4, 2]), np.array([0.5, 0.7, 0.6, 0.9, 0.7])
    assert on_front(costs, scores).tolist() == [True, True, False, True, True]


def test_a_point_with_the_same_cost_or_score_is_beaten_by_what_is_better_in_the_other():
    assert on_front(np.array([1, 1]), np.array([0.5, 0.6])).tolist() == [False, True]
    assert on_front(np.array([1, 2]), np.array([0.5, 0.5])).tolist() == [True, False]


def test_front_is_what_no_pair_of_random_points_beats():
    costs, scores = np.random.default_rng(0).integers(0, 8, size=(2, 30))
    beaten = [
        any((c <= cost and s >= score) and (c < cost or s > score) for c, s in zip(costs, scores, strict=True))
        for cost, score in zip(costs, scores, strict=True)
    ]
    assert (on_front(costs, scores) == ~np.array(beaten)).all()


def test_the_front_is_numbered_from_cheap_to_dear(story):
    """The best takes longest, the third is cheapest; all between costs more than it and scores less."""
    figure = pareto(timed(story, [90, 80, 10, 20, 30, 40, 50, 60, 70]), "digits", "unet_tiny")
    board = story.leaderboard[story.leaderboard["dataset"] == "digits"]
    names = [f"{row.loss}, {row.strategy}" for row in board.itertuples()]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[:3] == [f"1  {names[2]}", f"2  {names[1]}", f"3  {names[0]}"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["1", "2", "3"]


def test_numbers_that_would_overlap_share_a_label(story):
    """Equal in both, so that both are on the front."""
    board = story.leaderboard.assign(miou=0.6)
    figure = pareto(timed(story._replace(leaderboard=board), [10, 10, *range(20, 90, 10)]), "digits", "unet_tiny")
    assert [text.get_text() for text in figure.axes[0].texts] == ["1, 2"]


@pytest.mark.parametrize(("slowest", "scale"), [(20, "linear"), (200, "log")])
def test_seconds_far_apart_have_a_logarithmic_axis(story, slowest, scale):
    figure = pareto(timed(story, np.linspace(10, slowest, 9)), "digits", "unet_tiny")
    assert figure.axes[0].get_xscale() == scale


def test_what_has_no_score_or_no_time_is_left_out(story):
    figure = pareto(timed(story, [1, *[np.nan] * 8]), "digits", "unet_tiny")
    assert len(figure.legends[0].get_texts()) == 1


@pytest.mark.parametrize(("losses", "strategies", "seeds"), [pytest.param(12, 4, 2, marks=pytest.mark.slow), (1, 1, 1)])
def test_every_size_is_drawn(tell, sizes, losses, strategies, seeds):
    assert png(pareto(tell(sizes(losses, strategies, seeds)), "streets", "unet_tiny")).startswith(b"\x89PNG")

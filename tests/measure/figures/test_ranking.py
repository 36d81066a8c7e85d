"""The figures of the ranking, of every size."""

import numpy as np
import pytest

from pipeline.measure.figures.ranking import alike, critical_differences, rank_stability
from pipeline.measure.figures.style import png
from pipeline.measure.tables.ranking import ALL
from tests.measure.tables.ranked import ladder, ranked_story, scores_of_values

PLACE = ("digits", "unet_tiny")


def story_of(experiments: int, seeds: int):
    return ranked_story({PLACE: scores_of_values(ladder(experiments, seeds), noise=0.01)})


@pytest.mark.parametrize(("experiments", "seeds"), [(1, 1), (2, 3), (16, 3), (60, 2)])
def test_ranks_of_every_size_are_drawn(experiments, seeds):
    assert png(rank_stability(story_of(experiments, seeds), *PLACE)).startswith(b"\x89PNG")


@pytest.mark.parametrize(("experiments", "seeds"), [(3, 2), (16, 20), (60, 3)])
def test_critical_differences_of_every_size_are_drawn(experiments, seeds):
    assert png(critical_differences(story_of(experiments, seeds), *PLACE)).startswith(b"\x89PNG")


@pytest.mark.parametrize("draw", [rank_stability, critical_differences])
def test_equal_figures_give_equal_bytes(draw):
    one, other = (png(draw(story_of(5, 3), *PLACE)) for _ in range(2))
    assert one == other


def test_diagram_prints_the_warning():
    story = story_of(16, 3)
    printed = critical_differences(story, *PLACE).get_supxlabel().replace("\n", " ")
    assert printed == story.ranking.omnibus["warning"].item() != ""


def test_diagram_of_enough_blocks_prints_none():
    assert critical_differences(story_of(3, 20), *PLACE).get_supxlabel() == ""


def test_diagram_of_all_datasets_says_so():
    scores = {(name, "unet_tiny"): scores_of_values(ladder(4, 3)) for name in ("digits", "streets")}
    figure = critical_differences(ranked_story(scores), ALL, ALL)
    assert figure.get_suptitle() == "Mean ranks over 2 datasets: all together"


def test_the_bar_is_as_long_as_the_critical_difference():
    story = story_of(4, 10)
    bar = critical_differences(story, *PLACE).axes[0].collections[0].get_segments()[0]
    assert np.ptp(bar[:, 0]) == pytest.approx(story.ranking.omnibus["critical_difference"].item())


def test_only_the_control_is_bold():
    labels = rank_stability(story_of(4, 3), *PLACE).axes[0].get_yticklabels()
    assert [label.get_text() for label in labels if label.get_weight() == "bold"] == ["cross_entropy, none"]


def test_area_of_a_dot_is_its_share():
    story = story_of(4, 3)
    areas = rank_stability(story, *PLACE).axes[0].collections[1].get_sizes()
    shares = story.ranking.shares["share"]
    assert areas / areas.max() == pytest.approx((shares / shares.max()).to_numpy())


def told(pairs: list[tuple[int, int]], count: int) -> np.ndarray:
    distinct = np.zeros((count, count), bool)
    for one, other in pairs:
        distinct[one, other] = distinct[other, one] = True
    return distinct


@pytest.mark.parametrize(
    ("pairs", "count", "runs"),
    [
        ([], 4, [(0, 3)]),
        ([(0, 3)], 4, [(0, 2), (1, 3)]),
        ([(0, 1), (0, 2), (1, 2)], 3, []),
        # the middle one is apart from both ends, which are alike: no run may jump over it
        ([(0, 1), (1, 2)], 3, []),
        # Demšar (2006), figure 1a: C4.5 is apart from the two best, C4.5+cf from none
        ([(0, 3), (1, 3)], 4, [(0, 2), (2, 3)]),
        ([], 1, []),
    ],
)
def test_lines_join_the_longest_runs_that_are_alike(pairs, count, runs):
    assert alike(told(pairs, count)) == runs

"""What strategies share: statistics of classes, draws, phases, and the two ways to draw."""

import numpy as np
import pytest
from scipy.stats import binomtest, chisquare

from pipeline.plumbing import plugins
from pipeline.strategies.base import NONE, ClassStatistics, Draws, chosen_in_each_row, passes
from tests.strategies.passes import is_made_of_passes


@pytest.fixture
def random():
    return np.random.default_rng(0)


# --- statistics ---


def test_statistics_are_those_that_were_prepared(tmp_path):
    """One file for the pixels, one for the components."""
    for what, number in (("pixels", 3), ("components", 1)):
        np.save(tmp_path / f"train_class_{what}.npy", np.full((2, 3), number))
    train = ClassStatistics.read(tmp_path)
    assert (train.pixels == 3).all()
    assert (train.components == 1).all()


def test_statistics_by_hand(statistics):
    """16 pixels: 8, 0, 2 and 6 of the classes; an equal share would be 4."""
    train = statistics([5, 0, 0, 3], [3, 0, 2, 3], [0, 0, 0, 0])
    np.testing.assert_array_equal(train.pixel_frequency, [8 / 16, 0, 2 / 16, 6 / 16])
    assert train.images_with.tolist() == [2, 0, 1, 2]
    assert train.occurring.tolist() == [0, 2, 3]
    assert train.rare_classes.tolist() == [2]
    np.testing.assert_allclose(train.log_prior, np.log([8 / 16, 1 / 16, 2 / 16, 6 / 16]))


@pytest.mark.parametrize(
    ("images", "rare"),
    [
        ([[70, 20, 10]], [1, 2]),  # an equal share is a third
        ([[40, 40, 20]], [2]),
        ([[50, 50]], []),  # an equal share exactly is not rare
        ([[51, 49]], [1]),
        ([[90, 0, 10]], [2]),  # never seen: nothing to show
        ([[0, 10, 0], [100, 0, 0]], [1]),  # over the whole split, not within an image
        ([[10, 10, 0], [10, 0, 10], [10, 10, 30]], [1]),
    ],
)
def test_rare_is_a_class_with_fewer_pixels_than_an_equal_share(statistics, images, rare):
    """Of all labelled pixels of the train split."""
    assert statistics(*images).rare_classes.tolist() == rare


# --- draws and phases ---


def test_draws_of_whole_images_have_nothing_else_in_them():
    """Neither crops nor pastes, in arrays of their type."""
    images = np.array([4, 0, 2])
    draws = Draws.of(images)
    assert draws.images is images
    assert [array.tolist() for array in draws[1:]] == [[NONE] * 3] * 3
    assert {array.dtype for array in draws} == {np.dtype(np.int64)}


def test_without_phases_a_strategy_acts_in_all_iterations():
    """`phases` is for those that change in the middle."""
    strategy = plugins.build("strategies", "none", {}, "none")
    assert strategy.stretches(7) == [(range(7), strategy)]


# --- passes ---


def test_passes_of_whole_numbers_are_shuffled_passes(random):
    """Every image in every pass as often as asked for, in another order."""
    drawn = passes(np.array([1.0, 2.0, 0.0]), 30, random).reshape(10, 3)
    assert all(sorted(each) == [0, 1, 1] for each in drawn)
    assert len({tuple(each) for each in drawn}) == 3


@pytest.mark.parametrize("draws", [0, 1, 2, 7])
def test_passes_are_cut_at_the_number_of_draws(random, draws):
    """A short training may leave a phase without a draw."""
    drawn = passes(np.array([1.0, 1.5, 0.2]), draws, random)
    assert drawn.shape == (draws,)
    assert drawn.dtype == np.int64


def test_fractions_are_rounded_up_or_down_in_each_pass(random):
    """Never further, as drawing with replacement would; which is what the check is shown to notice."""
    shows = np.array([1.0, 2.3, 1.5, 0.4])
    assert is_made_of_passes(passes(shows, 500, random), shows)
    assert not is_made_of_passes(random.choice(4, 500, p=shows / shows.sum()), shows)


def test_fractions_are_rounded_up_as_often_as_they_say(random):
    """The image that occurs once in a pass counts the passes; others are rounded up in a binomial number of them."""
    shows = np.array([1.0, 2.3, 1.5, 0.4])
    times = np.bincount(passes(shows, 20_000, random))
    for image in (1, 2, 3):
        up = times[image] - int(shows[image]) * times[0]
        assert binomtest(int(up), int(times[0]), shows[image] % 1).pvalue > 0.01


# --- one column of each row ---


def test_allowed_columns_are_chosen_alike(random):
    """Each of those that are true, and NONE where none is."""
    allowed = np.array([[True, False, True, True], [False, True, False, False], [False] * 4])
    chosen = chosen_in_each_row(np.repeat(allowed, 6000, axis=0), random).reshape(3, 6000)
    times = np.bincount(chosen[0], minlength=4)
    assert times[1] == 0
    assert chisquare(times[[0, 2, 3]]).pvalue > 0.01
    assert (chosen[1] == 1).all()
    assert (chosen[2] == NONE).all()

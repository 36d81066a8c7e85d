"""Undersample: how often images of background alone are left out."""

import numpy as np
import pytest
from scipy.stats import binomtest

from tests.strategies.passes import is_made_of_passes

IMAGES = [[50, 9], [90, 0], [90, 0], [80, 1], [0, 0]]


def test_images_of_background_alone_are_kept_by_their_share(build, statistics):
    """One pixel of another class is something; an image without a labelled pixel is nothing."""
    np.testing.assert_array_equal(build("undersample", keep=0.1).shows(statistics(*IMAGES)), [1, 0.1, 0.1, 1, 0.1])


def test_background_is_the_class_with_most_train_pixels(build, statistics):
    """Whatever its number, and whatever covers most of a single image."""
    shows = build("undersample").shows(statistics([0, 5, 90], [60, 0, 0], [0, 0, 90]))
    np.testing.assert_array_equal(shows, [1, 1, 0.25])


def test_where_every_image_holds_something_passes_are_whole(build, statistics, common):
    """Then it is the control, but for its own shuffling."""
    train = statistics([50, 9], [80, 1], [0, 3])
    drawn = build("undersample").draws(common(train, 60), train, 8, np.random.default_rng(0)).images
    assert all(sorted(each) == [0, 1, 2] for each in drawn.reshape(20, 3))


@pytest.mark.parametrize("keep", [0.05, 0.5])
def test_measured_shares(build, statistics, common, keep):
    """An image with something in it counts the passes; empty ones occur in a binomial number of them, at most once."""
    train = statistics(*IMAGES)
    drawn = build("undersample", keep=keep).draws(common(train, 20_000), train, 8, np.random.default_rng(0)).images
    times = np.bincount(drawn)
    assert abs(times[0] - times[3]) <= 1, "the last pass may be cut off"
    for image in (1, 2, 4):
        assert binomtest(int(times[image]), int(times[0]), keep).pvalue > 0.01
    assert is_made_of_passes(drawn[:1000], build("undersample", keep=keep).shows(train))


def test_a_split_of_background_alone_is_still_drawn(build, statistics, common):
    """Passes may be empty, the training is as long as ever."""
    train = statistics([90, 0], [80, 0])
    drawn = build("undersample", keep=0.01).draws(common(train, 100), train, 8, np.random.default_rng(0)).images
    assert set(drawn) == {0, 1}
    assert len(drawn) == 100


def test_names_of_classes_and_order_of_images_do_not_matter(build, statistics):
    """Permuting the images permutes what is left out."""
    images, strategy = np.array(IMAGES), build("undersample")
    shows = strategy.shows(statistics(*images))
    np.testing.assert_array_equal(strategy.shows(statistics(*images[:, ::-1])), shows)
    np.testing.assert_array_equal(strategy.shows(statistics(*images[::-1])), shows[::-1])

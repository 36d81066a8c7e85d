"""Oversample: how often each image, and so each class, is drawn."""

import numpy as np
import pytest
from scipy.stats import chisquare


def test_by_hand(build, statistics):
    """Class 0 is in 4 of 4 images (rarity 1), class 1 in 2 (2), class 2 in 1 (4): the rarest one decides."""
    train = statistics([9, 0, 0], [8, 1, 0], [7, 1, 1], [9, 0, 0])
    np.testing.assert_allclose(build("oversample").image_weights(train), np.array([1, 2, 4, 1]) / 8)


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_power_is_that_of_the_rarity(build, statistics, power):
    """A class in a quarter of the images: drawn 4^power times as often, 2 with the square root of LVIS."""
    weights = build("oversample", power=power).image_weights(statistics([9, 1], [9, 0], [9, 0], [9, 0]))
    assert weights[0] / weights[1] == pytest.approx(4**power)


def test_towards_power_zero_images_are_drawn_alike(build, statistics):
    """The neutral end, not itself allowed."""
    weights = build("oversample", power=1e-9).image_weights(statistics([9, 1], [9, 0], [9, 0]))
    np.testing.assert_allclose(weights, 1 / 3, rtol=1e-6)


def test_images_of_one_class_each_give_every_class_the_same_share_of_draws(build, statistics):
    """With power 1, whatever the number of images of each class."""
    train = statistics([9, 0, 0], [9, 0, 0], [9, 0, 0], [0, 9, 0], [0, 9, 0], [0, 0, 9])
    weights = build("oversample").image_weights(train)
    np.testing.assert_allclose(weights @ (train.pixels > 0), 1 / 3)


def test_images_are_drawn_in_proportion_to_their_weights(build, statistics, common):
    """Chi-square of many draws; the rare class is in 10 of 19 instead of in one of ten."""
    train = statistics([8, 1], *[[9, 0]] * 9)
    strategy = build("oversample")
    weights = strategy.image_weights(train)
    assert weights[0] == pytest.approx(10 / 19)
    drawn = strategy.draws(common(train, 20_000), train, 8, np.random.default_rng(0)).images
    assert chisquare(np.bincount(drawn, minlength=10), 20_000 * weights).pvalue > 0.01


def test_draws_are_independent(build, statistics, common):
    """With replacement: an image follows itself as often as its weight says, unlike in shuffled passes."""
    train = statistics([8, 1], [9, 0], [9, 0])
    drawn = build("oversample").draws(common(train, 20_000), train, 8, np.random.default_rng(0)).images
    expected = np.outer(*[build("oversample").image_weights(train)] * 2)
    pairs = np.bincount(3 * drawn[::2] + drawn[1::2], minlength=9)
    assert chisquare(pairs, 10_000 * expected.ravel()).pvalue > 0.01


def test_number_of_pixels_does_not_matter(build, statistics):
    """One pixel of a class is an image that holds it."""
    one, many = (build("oversample").image_weights(statistics([9, n], [9, 0])) for n in (1, 1000))
    np.testing.assert_array_equal(one, many)


def test_holding_more_classes_of_the_same_rarity_does_not_matter(build, statistics):
    """Crowded images are not favoured for being crowded."""
    weights = build("oversample").image_weights(statistics([5, 1, 1, 0], [5, 0, 0, 1], [5, 1, 1, 1], [5, 0, 0, 0]))
    assert weights[0] == weights[1] == weights[2] == 2 * weights[3]


def test_image_without_a_labelled_pixel_counts_as_the_commonest(build, statistics):
    """It is neither dropped nor a reason to divide by 0."""
    weights = build("oversample").image_weights(statistics([9, 0], [9, 1], [0, 0]))
    assert weights[2] == weights[0] < weights[1]


def test_class_that_never_occurs_changes_nothing(build, statistics):
    """It is in no image."""
    without = build("oversample").image_weights(statistics([9, 1], [9, 0]))
    np.testing.assert_array_equal(build("oversample").image_weights(statistics([9, 0, 1], [9, 0, 0])), without)


def test_every_class_in_every_image_leaves_nothing_to_oversample(build, statistics):
    """Rare is an image, not a pixel: use class weights there."""
    np.testing.assert_allclose(build("oversample").image_weights(statistics([900, 1], [800, 2])), 1 / 2)


def test_names_of_classes_and_order_of_images_do_not_matter(build, statistics):
    """Permuting the images permutes their weights."""
    images = np.array([[9, 0, 0], [8, 1, 0], [7, 1, 1], [9, 0, 0]])
    weights = build("oversample").image_weights(statistics(*images))
    np.testing.assert_allclose(build("oversample").image_weights(statistics(*images[:, [2, 0, 1]])), weights)
    np.testing.assert_allclose(build("oversample").image_weights(statistics(*images[::-1])), weights[::-1])

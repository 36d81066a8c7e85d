"""Repeat factor: how often each image occurs in a pass."""

import numpy as np
import pytest
from scipy.stats import binomtest

from tests.strategies.passes import is_made_of_passes

# Class 0 is in all of 16 images, class 1 in 4 of them, class 2 in the first alone.
IMAGES = [[9, 1, 1], *[[9, 1, 0]] * 3, *[[9, 0, 0]] * 12]


def test_by_hand(build, statistics):
    """t = 0.5 and shares 1, 1/4, 1/16: r = 1, sqrt(2), sqrt(8); the largest of an image decides."""
    factors = build("repeat_factor", threshold=0.5).repeat_factors(statistics(*IMAGES))
    np.testing.assert_allclose(factors, [np.sqrt(8), *[np.sqrt(2)] * 3, *[1] * 12])


def test_threshold_at_the_share_of_a_class_repeats_it_no_more(build, statistics):
    """Below it either: the rarest class at 1/16 is the first to be repeated."""
    for threshold in (0.03, 1 / 16):
        np.testing.assert_array_equal(
            build("repeat_factor", threshold=threshold).repeat_factors(statistics(*IMAGES)), 1
        )
    factors = build("repeat_factor", threshold=0.25).repeat_factors(statistics(*IMAGES))
    np.testing.assert_allclose(factors, [2, *[1] * 15])


def test_every_class_in_every_image_leaves_nothing_to_repeat(build, statistics):
    """It knows images, not pixels."""
    np.testing.assert_array_equal(build("repeat_factor", threshold=1.0).repeat_factors(statistics([900, 1], [8, 2])), 1)


def test_images_without_a_labelled_pixel_occur_once(build, statistics):
    """And a class that never occurs has no share to divide by."""
    factors = build("repeat_factor", threshold=1.0).repeat_factors(
        statistics([9, 0, 1], [9, 0, 0], [0, 0, 0], [9, 0, 0])
    )
    np.testing.assert_allclose(factors, [2, np.sqrt(4 / 3), 1, np.sqrt(4 / 3)])


def test_names_of_classes_and_order_of_images_do_not_matter(build, statistics):
    """Permuting the images permutes their factors."""
    images, strategy = np.array(IMAGES), build("repeat_factor")
    factors = strategy.repeat_factors(statistics(*images))
    np.testing.assert_allclose(strategy.repeat_factors(statistics(*images[:, [2, 0, 1]])), factors)
    np.testing.assert_allclose(strategy.repeat_factors(statistics(*images[::-1])), factors[::-1])


@pytest.fixture
def drawn(build, statistics, common):
    """The images of 20 000 draws."""
    train = statistics(*IMAGES)
    return build("repeat_factor").draws(common(train, 20_000), train, 8, np.random.default_rng(0)).images


def test_mean_number_of_shows_per_pass_is_the_factor(drawn):
    """Images with r = 1 count the passes. Of sqrt(8) the .83 is rounded up in a binomial number of them."""
    times = np.bincount(drawn)
    passes = times[-1]
    assert np.ptp(times[4:]) <= 1, "the last pass may be cut off"
    for image, floor, up in [(0, 2, np.sqrt(8) - 2), *((image, 1, np.sqrt(2) - 1) for image in (1, 2, 3))]:
        assert binomtest(int(times[image] - floor * passes), int(passes), up).pvalue > 0.01


def test_each_pass_rounds_up_or_down(build, statistics, drawn):
    """No image is left out of a pass, none occurs once more than rounding explains."""
    factors = build("repeat_factor").repeat_factors(statistics(*IMAGES))
    assert is_made_of_passes(drawn[:1000], factors)

"""Rare-class sampling: how often each class, and each image given the class, is drawn."""

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import chisquare

from pipeline.strategies.base import Crop

# 1000 labelled pixels in each image. Shares of the classes: 0.74, 0.25, 0.01 and 0.
IMAGES = [[600, 370, 30, 0], [1000, 0, 0, 0], [620, 370, 10, 0], [740, 260, 0, 0]]


def test_class_probabilities_by_hand(build, statistics):
    """T = 0.5 and shares 0.75 and 0.25: exp(0.5) and exp(1.5), of which the first is 1 / (1 + e)."""
    strategy = build("rare_class_sampling", temperature=0.5)
    np.testing.assert_allclose(strategy.class_probabilities(statistics([90, 30], [60, 20])), [0.26894142, 0.73105858])


def test_classes_that_never_occur_have_no_share(build, statistics):
    """The softmax is over the others, in the paper's form with 1 - f."""
    strategy = build("rare_class_sampling")
    expected = softmax((1 - np.array([0.74, 0.25, 0.01])) / 0.1)
    np.testing.assert_allclose(strategy.class_probabilities(statistics(*IMAGES)), expected)


def test_temperature_from_nearly_always_the_rarest_to_all_alike(build, statistics):
    """The two ends of the dial; the lower one must not overflow."""
    low, high = (
        build("rare_class_sampling", temperature=t).class_probabilities(statistics(*IMAGES)) for t in (0.005, 10)
    )
    assert low[2] == pytest.approx(1)
    np.testing.assert_allclose(high, 1 / 3, rtol=0.05)


@pytest.mark.parametrize(
    ("least", "images"),
    [(0.005, [0, 2]), (0.01, [0, 2]), (0.02, [0]), (0.03, [0]), (0.031, [0, 2])],  # in the last no image has enough
)
def test_an_image_is_drawn_for_a_class_that_covers_enough_of_it(build, statistics, least, images):
    """Of its labelled pixels, exactly `least` is enough; all that hold the class if none has it."""
    assert build("rare_class_sampling", least=least).images_for(2, statistics(*IMAGES)).tolist() == images


def test_void_pixels_have_no_share_in_what_is_enough(build, statistics):
    """Half of the ten labelled pixels, in an image of a thousand."""
    assert build("rare_class_sampling", least=0.5).images_for(1, statistics([5, 5], [501, 499])).tolist() == [0]


@pytest.fixture
def draws(build, statistics, common):
    """20 000 draws at a temperature at which each class is drawn often enough to be counted."""
    train = statistics(*IMAGES)
    strategy = build("rare_class_sampling", temperature=0.5, least=0.02)
    return strategy.draws(common(train, 20_000), train, 8, np.random.default_rng(0))


def test_classes_are_drawn_by_their_probabilities(build, statistics, draws):
    """Chi-square of what the crops are made around."""
    expected = build("rare_class_sampling", temperature=0.5).class_probabilities(statistics(*IMAGES))
    assert chisquare(np.bincount(draws.focus), 20_000 * expected).pvalue > 0.01


def test_images_are_drawn_alike_among_those_of_the_class(draws):
    """Four hold class 0, three class 1, and one enough of class 2."""
    for index, images in enumerate(([0, 1, 2, 3], [0, 2, 3], [0])):
        times = np.bincount(draws.images[draws.focus == index], minlength=4)
        assert times.sum() == times[images].sum()
        assert chisquare(times[images]).pvalue > 0.01 or len(images) == 1


def test_window_is_to_hold_half_of_the_class(build, statistics):
    """The paper's share; the options arrive."""
    crop = build("rare_class_sampling", smallest_crop=0.3).treatment(statistics(*IMAGES)).crop
    assert crop == Crop(smallest=0.3, largest=1.0, holds=0.5)


def test_names_of_classes_and_order_of_images_do_not_matter(build, statistics):
    """Permuting the classes permutes their probabilities."""
    images, strategy = np.array(IMAGES)[:, :3], build("rare_class_sampling")
    probabilities = strategy.class_probabilities(statistics(*images))
    order = [2, 0, 1]
    np.testing.assert_allclose(strategy.class_probabilities(statistics(*images[:, order])), probabilities[order])
    np.testing.assert_allclose(strategy.class_probabilities(statistics(*images[::-1])), probabilities)

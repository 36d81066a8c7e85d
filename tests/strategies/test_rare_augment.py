"""Rare augment: which images are cropped, around what, and that the options arrive."""

import numpy as np
import pytest
from scipy.stats import binomtest, chisquare

from pipeline.strategies.base import NONE, Crop

IMAGES = [[80, 10, 5], [95, 0, 2], [100, 0, 0]]  # classes 1 and 2 are rare


@pytest.fixture
def draws(build, statistics, common):
    """12 000 draws, of which 0.3 of those with a rare class are to be cropped."""
    train = statistics(*IMAGES)
    return build("rare_augment", crop_probability=0.3).draws(common(train, 12_000), train, 8, np.random.default_rng(0))


def test_images_are_the_common_ones(statistics, common, draws):
    """It varies what is shown, not how often."""
    assert np.array_equal(draws.images, common(statistics(*IMAGES), 12_000).images)
    assert (draws.donors == NONE).all()


def test_share_of_crops_is_that_of_the_images_with_a_rare_class(draws):
    """An image without one is never cropped."""
    for image in (0, 1):
        cropped = draws.focus[draws.images == image] != NONE
        assert binomtest(int(cropped.sum()), len(cropped), 0.3).pvalue > 0.01
    assert (draws.focus[draws.images == 2] == NONE).all()


def test_rare_classes_of_the_image_are_drawn_alike(draws):
    """However many pixels they have; the common class never."""
    both, one = (draws.focus[(draws.images == image) & (draws.focus != NONE)] for image in (0, 1))
    times = np.bincount(both, minlength=3)
    assert times[0] == 0
    assert chisquare(times[1:]).pvalue > 0.01
    assert set(one) == {2}


@pytest.mark.parametrize(("probability", "cropped"), [(0.0, 0), (1.0, 400)])
def test_ends_of_the_probability(build, statistics, common, probability, cropped):
    """None of the images with a rare class, or all of them: two of three draws."""
    train = statistics(*IMAGES)
    strategy = build("rare_augment", crop_probability=probability)
    draws = strategy.draws(common(train, 600), train, 8, np.random.default_rng(0))
    assert (draws.focus != NONE).sum() == cropped


def test_options_arrive(build, statistics):
    """What the augmentation is told is what params.yaml says."""
    treatment = build("rare_augment", smallest_crop=0.75, strength="light").treatment(statistics(*IMAGES))
    assert treatment.crop == Crop(0.75, 1.0, holds=0.0)
    assert (treatment.rare_classes, treatment.strength) == ((1, 2), "light")

"""Foreground crops: how many of each batch, and around what."""

import numpy as np
import pytest
from scipy.stats import chisquare

from pipeline.strategies.base import NONE, Crop

IMAGES = [[50, 30, 20, 1], [90, 10, 0, 0], [100, 0, 0, 0], [0, 40, 40, 20]]


def focus(build, train, common, draws=4000, batch_size=8, **options):
    strategy = build("foreground_crops", **options)
    given = common(train, draws)
    made = strategy.draws(given, train, batch_size, np.random.default_rng(0))
    assert np.array_equal(made.images, given.images), "it crops, and does not choose"
    return made.images, made.focus


@pytest.mark.parametrize(("batch_size", "share", "cropped"), [(2, 0.33, 1), (4, 0.1, 1), (8, 0.5, 4), (12, 1.0, 12)])
def test_share_of_each_batch_is_exact(build, statistics, common, batch_size, share, cropped):
    """In its last places, and at least one; here every image holds something."""
    train = statistics([9, 1], [8, 2])
    _, classes = focus(build, train, common, 20 * batch_size, batch_size, share=share)
    places = (classes != NONE).reshape(20, batch_size)
    assert (places == (np.arange(batch_size) >= batch_size - cropped)).all()


def test_number_of_crops_is_that_of_nnunet(build, statistics, common):
    """nnU-Net crops sample i of a batch of b unless i < round(b (1 - 0.33)); with two images that is one of them."""
    train = statistics([9, 1])
    for batch_size in range(2, 33):
        _, classes = focus(build, train, common, batch_size, batch_size)
        theirs = [not place < round(batch_size * (1 - 0.33)) for place in range(batch_size)]
        assert (classes != NONE).tolist() == theirs


def test_classes_of_the_image_are_drawn_alike_but_the_commonest(build, statistics, common):
    """However many pixels they have. An image of the commonest class alone stays whole."""
    images, classes = focus(build, statistics(*IMAGES), common, draws=20_000, share=1.0)
    for image, present in enumerate(([1, 2, 3], [1], [], [1, 2, 3])):
        drawn = classes[images == image]
        if not present:
            assert (drawn == NONE).all()
            continue
        times = np.bincount(drawn, minlength=4)
        assert times.sum() == times[present].sum()
        assert chisquare(times[present]).pvalue > 0.01 or len(present) == 1


def test_the_commonest_class_is_the_one_with_most_train_pixels(build, statistics, common):
    """Whatever its number: here the last."""
    _, classes = focus(build, statistics([3, 5, 90], [60, 1, 99]), common, share=1.0)
    assert set(classes) == {0, 1}


def test_window_has_one_size(build, statistics):
    """As nnU-Net's patch; the option arrives."""
    assert build("foreground_crops", side=0.4).treatment(statistics(*IMAGES)).crop == Crop(0.4, 0.4, holds=0.0)

"""Copy-paste: how often something is pasted, what, and from where."""

import numpy as np
import pytest
from scipy.stats import binomtest, chisquare

from pipeline.plumbing.errors import UserError
from pipeline.strategies.base import NONE, Paste

IMAGES = [[80, 10, 5, 0], [90, 0, 6, 0], [95, 0, 2, 0], [99, 1, 0, 0]]  # classes 1 and 2 are rare, 3 never occurs


@pytest.fixture
def draws(build, statistics, common):
    """20 000 draws with probability 0.3."""
    train = statistics(*IMAGES)
    return build("copy_paste", probability=0.3).draws(common(train, 20_000), train, 8, np.random.default_rng(0))


def test_images_are_the_common_ones_and_stay_whole(statistics, common, draws):
    """It adds to them."""
    given = common(statistics(*IMAGES), 20_000)
    assert np.array_equal(draws.images, given.images)
    assert (draws.focus == NONE).all()


def test_probability_is_that_of_a_paste(draws):
    """Whatever the image that is pasted into."""
    for image in range(4):
        pasted = draws.pasted[draws.images == image] != NONE
        assert binomtest(int(pasted.sum()), len(pasted), 0.3).pvalue > 0.01


def test_rare_classes_are_drawn_alike(draws):
    """Neither the background nor a class that never occurs is among them."""
    times = np.bincount(draws.pasted[draws.pasted != NONE], minlength=4)
    assert times[[0, 3]].tolist() == [0, 0]
    assert chisquare(times[[1, 2]]).pvalue > 0.01


def test_donors_are_drawn_alike_among_the_images_that_hold_the_class(draws):
    """However much of it they hold."""
    for index, holders in ((1, [0, 3]), (2, [0, 1, 2])):
        times = np.bincount(draws.donors[draws.pasted == index], minlength=4)
        assert times.sum() == times[holders].sum()
        assert chisquare(times[holders]).pvalue > 0.01


def test_without_a_rare_class_nothing_is_pasted(build, statistics, common):
    """Classes that occur alike."""
    train = statistics([50, 50])
    given = common(train, 10)
    assert build("copy_paste").draws(given, train, 8, np.random.default_rng(0)) is given


def test_options_arrive(build, statistics):
    """What the augmentation is told is what params.yaml says."""
    strategy = build("copy_paste", smallest_scale=0.25, largest_scale=3.0, blend=2.5)
    assert strategy.treatment(statistics(*IMAGES)).paste == Paste(0.25, 3.0, 2.5)


def test_scales_in_the_wrong_order_are_refused(build):
    """The logarithm between them would be drawn from an empty range. One scale for all is none."""
    build("copy_paste", smallest_scale=1.0, largest_scale=1.0)
    with pytest.raises(UserError) as error:
        build("copy_paste", smallest_scale=1.6)
    assert str(error.value) == "copy_paste: 'smallest_scale' (1.6) must not exceed 'largest_scale' (1.5)."

"""Logit adjustment: the shift by hand, and as the loss that does the same."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pipeline.learn.criterion import Criterion
from pipeline.plumbing import plugins


@pytest.fixture(scope="module")
def batch():
    generator = torch.Generator().manual_seed(0)
    return 2 * torch.randn(2, 3, 6, 5, generator=generator), torch.randint(0, 3, (2, 6, 5), generator=generator)


def loss_of(batch, train, strategy, loss, **options):
    made = plugins.build("losses", loss, options, loss)
    return Criterion(made, strategy, train, iterations=1)(*batch)


def test_shift_by_hand(build, statistics):
    """Shares 3/4 and 1/4, with tau 2: 2 ln 0.75 and 2 ln 0.25."""
    shift = build("logit_adjustment", tau=2.0).logit_shift(statistics([50, 10], [25, 15]))
    np.testing.assert_allclose(shift, [-0.57536414, -2.77258872])


def test_class_without_a_pixel_is_taken_to_have_one(build, statistics):
    """The logarithm of 0 would make every logit of it infinite."""
    shift = build("logit_adjustment").logit_shift(statistics([50, 0], [50, 0]))
    np.testing.assert_allclose(shift, [0, -np.log(100)])


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_cross_entropy_under_it_is_the_loss_logit_adjusted(build, statistics, batch, tau):
    """The same formula as a strategy and as a loss."""
    train = statistics([800, 150, 50], [900, 100, 0])
    as_strategy = loss_of(batch, train, build("logit_adjustment", tau=tau), "cross_entropy")
    assert_close(as_strategy, loss_of(batch, train, build("none"), "logit_adjusted", tau=tau))
    assert (as_strategy - loss_of(batch, train, build("none"), "cross_entropy")).abs() > 0.01


def test_under_tau_one_cross_entropy_is_balanced_softmax(build, statistics, batch):
    """Ren et al.'s loss: the number of pixels times exp(z) in the softmax."""
    train = statistics([800, 150, 50], [900, 100, 0])
    as_strategy = loss_of(batch, train, build("logit_adjustment"), "cross_entropy")
    assert_close(as_strategy, loss_of(batch, train, build("none"), "balanced_softmax"))


def test_classes_that_occur_alike_are_shifted_alike(build, statistics, batch):
    """And then no loss of a softmax changes."""
    train = statistics([10, 10, 10])
    for loss in ("cross_entropy", "dice"):
        assert_close(loss_of(batch, train, build("logit_adjustment"), loss), loss_of(batch, train, build("none"), loss))


def test_it_is_left_out_when_the_model_is_used(build, statistics):
    """Decisions are those of the logits themselves."""
    assert build("logit_adjustment").decision(statistics([9, 1]), lambda offsets: 0.0) is None

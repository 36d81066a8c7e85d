"""Balanced softmax: the paper's equation in NumPy, its limits, and values a reader can work out."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pipeline.losses.base import Facts
from tests.losses.reference import mean, valid_pixels


def reference(loss, logits, target, weights, facts):
    """Ren et al.: n_c exp(z_c) over the sum of such; the softmax has exp(z) up to a factor that cancels."""
    p, g = valid_pixels(logits, target)
    q = facts.train_pixels * p
    q /= q.sum(axis=1, keepdims=True)
    return mean(-np.log((q * g).sum(axis=1)), g @ weights)


def test_it_is_logit_adjusted_with_tau_one(build, batch, weights):
    """The number of pixels is the prior times a number that cancels."""
    assert_close(build("balanced_softmax")(*batch, weights), build("logit_adjusted", tau=1.0)(*batch, weights))


def test_equal_frequencies_make_it_cross_entropy(build, batch):
    """However many pixels there are."""
    facts = Facts(train_pixels=torch.full((4,), 1e7))
    assert_close(build("balanced_softmax").loss(*batch, None, facts), build("cross_entropy")(*batch))


def test_two_pixels_by_hand(build, row, predict):
    """Class 0 is three times as frequent. p = 1/2 becomes q = 3/4; p = 3/4 of class 1 becomes (1 * 3) / (3 * 1 + 1 * 3)."""
    facts = Facts(train_pixels=torch.tensor([3e6, 1e6]))
    loss = build("balanced_softmax").loss(predict([0.5, 0.5], [0.25, 0.75]), row(0, 1), None, facts)
    assert loss.item() == pytest.approx((math.log(4 / 3) + math.log(2)) / 2, rel=1e-5)


@pytest.mark.parametrize("scale", [1e-3, 1e6])
def test_only_the_ratios_of_the_frequencies_matter(build, batch, scale):
    """A train split twice as large is not another loss."""
    n = torch.tensor([400.0, 30.0, 90.0, 5.0])
    one, other = (build("balanced_softmax").loss(*batch, None, Facts(train_pixels=each)) for each in (n, scale * n))
    assert_close(one, other)

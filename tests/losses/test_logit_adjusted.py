"""Logit-adjusted: the paper's pairwise form in NumPy, its limits, and values a reader can work out."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pipeline.losses.base import Facts
from tests.losses.reference import mean


def reference(loss, logits, target, weights, facts):
    """Menon et al., written over pairs: log(1 + sum_c' (pi_c' / pi_c)^tau exp(z_c' - z_c)) over the other classes."""
    prior = facts.train_pixels / facts.train_pixels.sum()
    values, of_pixel = [], []
    for image, i, j in np.argwhere(target != 255):
        z, true = logits[image, :, i, j], target[image, i, j]
        others = np.arange(len(z)) != true
        gaps = (z - z[true] + loss.tau * (np.log(prior) - np.log(prior[true])))[others]
        values.append(np.logaddexp.reduce([0, *gaps]))
        of_pixel.append(weights[true])
    return mean(np.array(values), np.array(of_pixel))


def test_tau_zero_is_cross_entropy(build, batch, weights):
    """With weights and void pixels."""
    assert_close(build("logit_adjusted", tau=0.0)(*batch, weights), build("cross_entropy")(*batch, weights))


def test_tau_one_is_balanced_softmax(build, batch, weights):
    """Two papers of one year, one loss."""
    assert_close(build("logit_adjusted", tau=1.0)(*batch, weights), build("balanced_softmax")(*batch, weights))


def test_equal_priors_make_it_cross_entropy(build, batch):
    """Nothing is left to adjust."""
    facts = Facts(train_pixels=torch.full((4,), 77.0))
    assert_close(build("logit_adjusted").loss(*batch, None, facts), build("cross_entropy")(*batch))


def test_equal_logits_by_hand(build, row):
    """Priors 3/4 and 1/4 and no opinion: a pixel of class 0 costs log 4/3, one of class 1 log 4."""
    facts = Facts(train_pixels=torch.tensor([30.0, 10.0]))
    loss = build("logit_adjusted").loss(torch.zeros(1, 2, 1, 2), row(0, 1), None, facts)
    assert loss.item() == pytest.approx((math.log(4 / 3) + math.log(4)) / 2)


def test_logits_without_the_prior_are_best(build):
    """Ten pixels that look alike, nine of class 0 and one of class 1, as in the train split. The best logits are equal:
    without its prior neither class is likelier."""
    target = torch.tensor([[9 * [0] + [1]]])
    facts = Facts(train_pixels=torch.tensor([900.0, 100.0]))
    loss = build("logit_adjusted").loss
    logits = torch.zeros(1, 2, 1, 1, requires_grad=True)
    loss(logits.expand(1, 2, 1, 10), target, None, facts).backward()
    assert_close(logits.grad, torch.zeros(1, 2, 1, 1))


@pytest.mark.parametrize("tau", [0.5, 1.0, 2.0])
def test_margin_between_two_classes_is_tau_times_the_log_ratio_of_their_priors(build, row, tau):
    """The rare class costs what it would cost in cross-entropy with logits that much lower."""
    facts = Facts(train_pixels=torch.tensor([80.0, 20.0]))
    loss = build("logit_adjusted", tau=tau).loss(torch.zeros(1, 2, 1, 1), row(1), None, facts)
    lowered = torch.tensor([0.0, -tau * math.log(4)]).view(1, 2, 1, 1)
    assert_close(loss, build("cross_entropy")(lowered, row(1)))

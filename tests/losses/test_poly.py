"""Poly: its series in NumPy, its limits, and values a reader can work out."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from tests.losses.reference import mean, valid_pixels


def reference(loss, logits, target, weights, facts):
    """Leng et al.: -log p + epsilon (1 - p) of the true class."""
    p, g = valid_pixels(logits, target)
    p_true = (p * g).sum(axis=1)
    return mean(-np.log(p_true) + loss.epsilon * (1 - p_true), g @ weights)


def test_epsilon_zero_is_cross_entropy(build, batch, weights):
    """With weights and void pixels."""
    assert_close(build("poly", epsilon=0.0)(*batch, weights), build("cross_entropy")(*batch, weights))


@pytest.mark.parametrize("epsilon", [-1.0, -0.5, 2.0])
@pytest.mark.parametrize("p", [0.3, 0.5, 0.9])
def test_first_coefficient_of_the_series_is_one_plus_epsilon(build, row, predict, epsilon, p):
    """-log p = sum_j (1 - p)^j / j; here with its first term changed."""
    orders = np.arange(1, 300)
    coefficients = 1 / orders
    coefficients[0] += epsilon
    loss = build("poly", epsilon=epsilon)(predict([p, 1 - p]), row(0))
    assert loss.item() == pytest.approx((coefficients * (1 - p) ** orders).sum(), rel=1e-4)


def test_two_pixels_by_hand(build, row, predict):
    """At epsilon = 2: log 2 + 2/2 and log 4 + 2 * 3/4."""
    loss = build("poly", epsilon=2.0)(predict([0.5, 0.5], [0.75, 0.25]), row(0, 1))
    assert loss.item() == pytest.approx((math.log(2) + 1 + math.log(4) + 1.5) / 2)


def test_what_it_adds_is_l1_up_to_a_factor(build, batch, weights):
    """(1 - p) is C / 2 times the mean absolute error over C classes."""
    added = build("poly", epsilon=1.0)(*batch, weights) - build("cross_entropy")(*batch, weights)
    assert_close(added, 4 / 2 * build("l1")(*batch, weights))


def test_negative_epsilon_looks_away_from_easy_pixels(build, row, predict):
    """The easy pixel's share of the gradient grows with epsilon, and is that of cross-entropy at 0."""
    shares = []
    for epsilon in (-1.0, -0.5, 0.0, 2.0):
        logits = predict([0.9, 0.1], [0.3, 0.7]).requires_grad_()
        build("poly", epsilon=epsilon)(logits, row(0, 0)).backward()
        easy, hard = logits.grad.abs().sum(dim=(0, 1, 2))
        shares.append((easy / (easy + hard)).item())
    assert shares == sorted(shares)
    assert shares[2] == pytest.approx(0.1 / (0.1 + 0.7), rel=1e-4)


def test_lowest_epsilon_is_never_below_zero(build):
    """-log p >= 1 - p, also in float32 where p is near 1."""
    logits = torch.linspace(-20, 20, 400).view(1, 1, 20, 20)
    assert build("poly", epsilon=-1.0)(logits, torch.ones(1, 20, 20, dtype=torch.long)) >= 0


@pytest.mark.parametrize("value", [-1.01, 1e9, float("nan"), "nonsense", None])
def test_epsilon_out_of_range_is_refused(value):
    """Below -1 the loss would reward a small mistake."""
    with pytest.raises(UserError, match=r"x\.epsilon: "):
        plugins.build("losses", "poly", {"epsilon": value}, "x")

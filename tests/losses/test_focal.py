"""Focal: its law relative to cross-entropy, torchvision, NumPy in float64, and values a reader can work out."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pipeline.learn.torchvision_schemas import declare_missing_operators
from tests.losses.reference import mean, valid_pixels

GAMMAS = pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])


def reference(loss, logits, target, weights, facts):
    """Lin et al., equation 4, over softmax; mean weighted by the true class."""
    p, g = valid_pixels(logits, target)
    p_true = (p * g).sum(axis=1)
    return mean(-((1 - p_true) ** loss.gamma) * np.log(p_true), g @ weights)


def test_gamma_zero_is_cross_entropy(build, batch, weights):
    """With weights and void pixels."""
    assert_close(build("focal", gamma=0.0)(*batch, weights), build("cross_entropy")(*batch, weights))


@GAMMAS
@pytest.mark.parametrize("p", [0.01, 0.3, 0.5, 0.9, 0.99])
def test_focal_over_cross_entropy_is_the_factor(build, row, predict, p, gamma):
    """The law, not only a value: (1 - p)^gamma."""
    logits, truth = predict([p, 1 - p]), row(0)
    ratio = build("focal", gamma=gamma)(logits, truth) / build("cross_entropy")(logits, truth)
    assert ratio.item() == pytest.approx((1 - p) ** gamma, rel=1e-4)


def test_two_pixels_by_hand(build, row, predict):
    """p = 0.9 counts a hundredth of its cross-entropy, p = 0.5 a quarter."""
    loss = build("focal", gamma=2.0)(predict([0.9, 0.1], [0.5, 0.5]), row(0, 1))
    assert loss.item() == pytest.approx((-math.log(0.9) / 100 - math.log(0.5) / 4) / 2, rel=1e-5)


@GAMMAS
def test_binary_equals_the_sigmoid_form_of_torchvision(build, batch, gamma):
    """For two classes the softmax form is the paper's; alpha = -1 turns its weights off."""
    declare_missing_operators()
    sigmoid_focal_loss = pytest.importorskip("torchvision.ops").sigmoid_focal_loss
    logits, target = batch[0][:, :1], batch[1] % 2
    expected = sigmoid_focal_loss(logits[:, 0], target.float(), alpha=-1, gamma=gamma, reduction="mean")
    assert_close(build("focal", gamma=gamma)(logits, target), expected)


def test_hard_pixel_has_a_larger_share_of_the_gradient_the_larger_gamma(build, row, predict):
    """What gamma is for."""
    shares = []
    for gamma in (0.0, 1.0, 2.0, 5.0):
        logits = predict([0.9, 0.1], [0.3, 0.7]).requires_grad_()
        build("focal", gamma=gamma)(logits, row(0, 0)).backward()
        easy, hard = logits.grad.abs().sum(dim=(0, 1, 2))
        shares.append((hard / (easy + hard)).item())
    assert shares == sorted(shares)
    assert shares[0] < 0.9 < 0.99 < shares[-1]


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("certainty", [10.0, 30.0, 1e4])
def test_certain_and_correct_pixel_has_a_finite_gradient(build, row, gamma, certainty):
    """The slope of 0^gamma is infinite for gamma below 1."""
    logits = torch.tensor([certainty, -certainty]).view(1, 2, 1, 1).requires_grad_()
    build("focal", gamma=gamma)(logits, row(0)).backward()
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().max() < 1e-3


def test_void_pixels_may_hold_any_logits(build, batch):
    """The class looked up at a void pixel must not be 255."""
    logits, target = batch
    loss = build("focal")(logits.masked_fill((target == 255).unsqueeze(1), 50.0), target)
    assert_close(loss, build("focal")(logits, target))

"""Top-k cross-entropy: sorting in NumPy, PyTorch's own topk, and values a reader can work out."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from tests.losses.reference import mean, valid_pixels


def reference(loss, logits, target, weights, facts):
    """Sort the pixels by the probability of their true class and take places from the bottom; a tie shares them."""
    p, g = valid_pixels(logits, target)
    p_true = np.array([float(f"{each:.12e}") for each in (p * g).sum(axis=1)])  # a tie is one whatever the class
    below = np.count_nonzero(p_true < loss.threshold)
    left = max(1, round(loss.share * len(p_true)), below)
    kept = np.zeros(len(p_true))
    for level in np.unique(p_true):
        tied = p_true == level
        kept[tied] = min(1, left / tied.sum())
        left -= min(left, tied.sum())
    return mean(-np.log(p_true), (g @ weights) * kept)


def test_share_one_is_cross_entropy(build, batch, weights):
    """With weights and void pixels."""
    loss = build("top_k_cross_entropy", share=1.0)(*batch, weights)
    assert_close(loss, build("cross_entropy")(*batch, weights))


def test_mean_of_the_two_hardest_of_four_by_hand(build, row, predict):
    """p = 0.1 and p = 0.25 are the hardest of 0.9, 0.1, 0.5 and 0.25."""
    logits = predict([0.9, 0.1], [0.1, 0.9], [0.5, 0.5], [0.25, 0.75])
    loss = build("top_k_cross_entropy", share=0.5)(logits, row(0, 0, 0, 0))
    assert loss.item() == pytest.approx((math.log(10) + math.log(4)) / 2)


def test_threshold_keeps_what_the_share_would_leave(build, row, predict):
    """The share allows one pixel, but three lie below 0.6."""
    logits = predict([0.9, 0.1], [0.1, 0.9], [0.5, 0.5], [0.25, 0.75])
    loss = build("top_k_cross_entropy", share=0.25, threshold=0.6)(logits, row(0, 0, 0, 0))
    assert loss.item() == pytest.approx((math.log(10) + math.log(4) + math.log(2)) / 3)


def test_share_keeps_what_the_threshold_would_leave(build, row, predict):
    """No pixel lies below 0.05, but half of them are kept."""
    logits = predict([0.9, 0.1], [0.1, 0.9], [0.5, 0.5], [0.25, 0.75])
    loss = build("top_k_cross_entropy", share=0.5, threshold=0.05)(logits, row(0, 0, 0, 0))
    assert loss.item() == pytest.approx((math.log(10) + math.log(4)) / 2)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_equals_topk_of_torch_over_the_valid_pixels(build, batch, share):
    """Void pixels have no share in the share, unlike in other libraries."""
    logits, target = batch
    values = functional.cross_entropy(logits, target, reduction="none", ignore_index=255)[target != 255]
    expected = values.topk(round(share * len(values))).values.mean()
    assert_close(build("top_k_cross_entropy", share=share)(logits, target), expected)


def test_pixels_that_are_not_kept_have_no_gradient(build, batch):
    """A tenth of 54 valid pixels learn."""
    logits = batch[0].clone().requires_grad_()
    build("top_k_cross_entropy", share=0.1)(logits, batch[1]).backward()
    assert (logits.grad.abs().sum(dim=1) > 0).sum() == round(0.1 * (batch[1] != 255).sum().item())


def test_pixels_that_tie_share_the_last_places(build, row, predict):
    """Two places, one taken by p = 0.1: three pixels share the other, whatever their order or class."""
    pixels = [[0.5, 0.5], [0.1, 0.9], [0.5, 0.5], [0.5, 0.5]]
    logits = predict(*pixels).requires_grad_()
    weights = torch.tensor([1.0, 3.0])
    loss = build("top_k_cross_entropy", share=0.5)(logits, row(0, 0, 0, 1), weights)
    loss.backward()
    assert loss.item() == pytest.approx((math.log(10) + (2 + 3) / 3 * math.log(2)) / (1 + (2 + 3) / 3))
    tied = logits.grad[0, 0, 0, [0, 2, 3]] / torch.tensor([1.0, 1.0, -3.0])  # weight, and which class is true
    assert_close(tied, tied[:1].expand(3))


def test_weights_do_not_choose_pixels(build, row, predict):
    """The lighter class keeps its hardest pixel."""
    logits = predict([0.25, 0.75], [0.5, 0.5])
    loss = build("top_k_cross_entropy", share=0.5)(logits, row(0, 1), torch.tensor([0.01, 100.0]))
    assert loss.item() == pytest.approx(math.log(4))


def test_at_least_one_pixel_is_kept(build, row, predict):
    """A hundredth of two pixels."""
    loss = build("top_k_cross_entropy", share=0.01)(predict([0.25, 0.75], [0.5, 0.5]), row(0, 0))
    assert loss.item() == pytest.approx(math.log(4))

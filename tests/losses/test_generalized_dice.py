"""Generalized Dice: the weight of rare classes and its limits, against NumPy in float64 and values worked out by hand."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from tests.losses.reference import valid_pixels


def reference(loss, logits, target, weights, facts):
    """Sudre et al., GDL, over the classes that have a true pixel."""
    p, g = valid_pixels(logits, target)
    there = g.any(axis=0)
    p, g = p[:, there], g[:, there]
    rarity = weights[there] / g.sum(axis=0) ** 2
    return 1 - 2 * np.sum(rarity * (p * g).sum(axis=0)) / np.sum(rarity * (p + g).sum(axis=0))


def test_two_classes_by_hand(build, row, predict_surely):
    """Three pixels and one: weights 1/9 and 1. One pixel of class 0 is taken for class 1: sums 2/9 + 1 over 5/9 + 3."""
    loss = build("generalized_dice")(predict_surely(0, 0, 1, 1, classes=2), row(0, 0, 0, 1))
    assert loss.item() == pytest.approx(1 - 2 * (2 / 9 + 1) / (5 / 9 + 3))


def test_class_weights_multiply_the_weights_for_rarity(build, row, predict_surely):
    """With 9 : 1 they cancel 1/9 : 1, and all pixels count the same: 1 - 2 * 3 / 8."""
    loss = build("generalized_dice")
    value = loss(predict_surely(0, 0, 1, 1, classes=2), row(0, 0, 0, 1), torch.tensor([9.0, 1.0]))
    assert value.item() == pytest.approx(1 - 2 * 3 / 8)


def test_equally_large_classes_give_the_mean_probability_withheld(build, row, predict):
    """The weights cancel, and each pixel counts 1 - p of its true class."""
    loss = build("generalized_dice")(predict([0.9, 0.1], [0.4, 0.6]), row(0, 1))
    assert loss.item() == pytest.approx((0.1 + 0.4) / 2)


def test_one_class_alone_is_dice(build, batch):
    """The only weight cancels."""
    logits, target = batch[0], torch.full_like(batch[1], 2)
    assert_close(build("generalized_dice")(logits, target), build("dice")(logits, target))


def test_an_absent_class_does_not_take_all_the_weight(build, batch):
    """1 / 0^2, or 1 / epsilon^2, would leave only its false positives: the others must still count in proportion."""
    logits, target = batch
    without = torch.nn.functional.pad(logits, (0, 0, 0, 0, 0, 1), value=-1e4)  # a class that is neither true nor found
    assert_close(build("generalized_dice")(without, target), build("generalized_dice")(logits, target))
    some = torch.nn.functional.pad(logits, (0, 0, 0, 0, 0, 1), value=-6.0)  # and that is found a little
    assert abs(build("generalized_dice")(some, target) - build("generalized_dice")(logits, target)) < 0.02


def test_a_mistake_in_a_rare_class_costs_more(build):
    """One pixel of a class of 4 outweighs one pixel of a class of 96."""
    target = torch.zeros(1, 10, 10, dtype=torch.long)
    target[0, 0, :4] = 1
    right = 100 * torch.nn.functional.one_hot(target, 2).movedim(-1, 1).float()
    missed, false_alarm = right.clone(), right.clone()
    missed[..., 0, 0] = missed[..., 0, 0].flip(1)
    false_alarm[..., 9, 9] = false_alarm[..., 9, 9].flip(1)
    loss = build("generalized_dice")
    assert loss(missed, target) > loss(false_alarm, target) > 0.05  # the false alarm spoils the small class as well


def test_large_batches_do_not_lose_the_weights(build):
    """The square of a million pixels is beyond what float32 holds exactly, and 1 over it near nothing."""
    target = torch.zeros(1, 1024, 1024, dtype=torch.long)
    target[0, :512] = 1
    logits = torch.zeros(1, 2, 1024, 1024)
    assert build("generalized_dice")(logits, target).item() == pytest.approx(0.5, rel=1e-5)

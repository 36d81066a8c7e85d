"""Cross-entropy: against torch, NumPy in float64, and values a reader can work out."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from tests.losses.reference import mean, valid_pixels


def reference(loss, logits, target, weights, facts):
    """Smoothed target (Szegedy et al., section 7), each pixel weighted by its true class."""
    p, g = valid_pixels(logits, target)
    smooth = g * (1 - loss.label_smoothing) + loss.label_smoothing / g.shape[1]
    return mean(-(smooth * np.log(p)).sum(axis=1), g @ weights)


def test_two_pixels_by_hand(build, row, predict):
    """p = 1/2 costs log 2, p = 1/4 costs log 4."""
    logits = predict([0.5, 0.5], [0.75, 0.25])
    assert build("cross_entropy")(logits, row(0, 1)).item() == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_pixel_counts_by_the_weight_of_its_true_class(build, row, predict):
    """Weight 3 for class 0: its log 2 counts three times out of four."""
    logits = predict([0.5, 0.5], [0.75, 0.25])
    loss = build("cross_entropy")(logits, row(0, 1), torch.tensor([3.0, 1.0]))
    assert loss.item() == pytest.approx((3 * math.log(2) + math.log(4)) / 4)


@pytest.mark.parametrize("classes", [2, 5, 20])
def test_knowing_nothing_costs_log_c(build, classes):
    """A model before training."""
    loss = build("cross_entropy")(torch.zeros(1, classes, 3, 3), torch.ones(1, 3, 3, dtype=torch.long))
    assert loss.item() == pytest.approx(math.log(classes))


def test_equals_torch_with_weights_and_void_pixels(build, batch, weights):
    """Torch divides by the weights of the valid pixels, too."""
    expected = functional.cross_entropy(*batch, weight=weights, ignore_index=255)
    assert_close(build("cross_entropy")(*batch, weights), expected)


def test_equals_torch_with_smoothing(build, batch):
    """Without class weights the two definitions of smoothing are the same."""
    expected = functional.cross_entropy(*batch, ignore_index=255, label_smoothing=0.2)
    assert_close(build("cross_entropy", label_smoothing=0.2)(*batch), expected)


def test_binary_equals_torch(build, batch):
    """One channel is a sigmoid."""
    logits, target = batch[0][:, :1], batch[1] % 2
    expected = functional.binary_cross_entropy_with_logits(logits[:, 0], target.float())
    assert_close(build("cross_entropy")(logits, target), expected)


def test_smoothing_punishes_certainty(build, row, predict):
    """With a tenth of the target spread over two classes, p = 0.95 is best."""
    loss = build("cross_entropy", label_smoothing=0.1)
    less, best, more = (loss(predict([p, 1 - p]), row(0)) for p in (0.90, 0.95, 0.99))
    assert best < less
    assert best < more
    assert best.item() == pytest.approx(-0.95 * math.log(0.95) - 0.05 * math.log(0.05))


def test_weight_of_an_absent_class_changes_nothing(build, row, predict):
    """It has no pixel to weigh."""
    logits, target = predict([0.5, 0.3, 0.2], [0.2, 0.7, 0.1]), row(0, 1)
    one, other = (build("cross_entropy")(logits, target, torch.tensor([1.0, 2.0, w])) for w in (0.0, 9.0))
    assert one == other

"""Balanced cross-entropy: NumPy in float64, HED's own formula, scikit-learn, and values a reader can work out."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from tests.losses.reference import valid_pixels


def reference(loss, logits, target, weights, facts):
    """Mean cross-entropy of each class that is there, then their weighted mean."""
    p, g = valid_pixels(logits, target)
    present = np.flatnonzero(g.any(axis=0))
    of_each = [-np.log(p[g[:, c] == 1, c]).mean() for c in present]
    return np.average(of_each, weights=weights[present])


def test_one_pixel_has_the_say_of_three(build, row, predict):
    """Three pixels of class 0 at log 2 and one of class 1 at log 4: the mean of the two."""
    logits = predict([0.5, 0.5], [0.5, 0.5], [0.5, 0.5], [0.75, 0.25])
    loss = build("balanced_cross_entropy")(logits, row(0, 0, 0, 1))
    assert loss.item() == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_it_is_the_loss_of_hed_up_to_a_factor(build, batch):
    """HED, for two classes and one image: 2 n_+ n_- / n times ours."""
    logits, target = batch[0][:1, :1], batch[1][:1] % 2
    positive = target == 1
    n, n_positive = target.numel(), positive.sum().item()
    z, beta = logits[:, 0], 1 - n_positive / n
    hed = -beta * z[positive].sigmoid().log().sum() - (1 - beta) * (-z[~positive]).sigmoid().log().sum()
    ours = build("balanced_cross_entropy")(logits, target)
    assert hed.item() == pytest.approx(2 * n_positive * (n - n_positive) / n * ours.item(), rel=1e-5)


def test_equals_the_log_loss_of_scikit_learn_with_balanced_weights(build, batch):
    """Its `balanced` weights are n / (C n_c)."""
    metrics, class_weight = pytest.importorskip("sklearn.metrics"), pytest.importorskip("sklearn.utils.class_weight")
    p, g = valid_pixels(batch[0].double().numpy(), batch[1].numpy())
    truth = g.argmax(axis=1)
    weights = class_weight.compute_sample_weight("balanced", truth)
    expected = metrics.log_loss(truth, p, sample_weight=weights, labels=range(4))
    assert build("balanced_cross_entropy")(*batch).item() == pytest.approx(expected, rel=1e-5)


def test_as_many_pixels_of_each_class_make_it_cross_entropy(build, row, predict):
    """Nothing is left to balance."""
    logits, target = predict([0.5, 0.3, 0.2], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]), row(2, 0, 1)
    assert_close(build("balanced_cross_entropy")(logits, target), build("cross_entropy")(logits, target))


def test_absent_class_is_left_out_of_the_mean(build, row, predict):
    """The scale does not depend on how many classes there are."""
    loss = build("balanced_cross_entropy")(predict([0.5, 0.25, 0.25, 0.0]), row(0))
    assert loss.item() == pytest.approx(math.log(2))


def test_weights_are_of_the_classes(build, row, predict):
    """Weight 3 for class 1: its log 4 counts three times out of four, whatever its number of pixels."""
    logits = predict([0.5, 0.5], [0.5, 0.5], [0.75, 0.25])
    loss = build("balanced_cross_entropy")(logits, row(0, 0, 1), torch.tensor([1.0, 3.0]))
    assert loss.item() == pytest.approx((math.log(2) + 3 * math.log(4)) / 4)

"""Recall: scikit-learn's recall, its limits, and values a reader can work out."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from tests.losses.reference import mean, valid_pixels


def reference(loss, logits, target, weights, facts):
    """Tian et al.: the cross-entropy of each pixel times the share of its class that is missed."""
    p, g = valid_pixels(logits, target)
    z, truth = np.moveaxis(logits, 1, -1)[target != 255], g.argmax(axis=1)
    missed = np.zeros(len(truth))
    for c in np.unique(truth):
        of_class = truth == c
        others = np.delete(z[of_class], c, axis=1).max(axis=1)
        missed[of_class] = np.mean(z[of_class, c] <= others)
    return mean(-missed * np.log((p * g).sum(axis=1)), g @ weights)


def test_three_pixels_by_hand(build, row, predict):
    """Of the two pixels of class 0 one is found, of class 1 none: log 1/0.8 and log 1/0.4 half, log 1/0.25 whole."""
    logits = predict([0.8, 0.2], [0.4, 0.6], [0.75, 0.25])
    loss = build("recall")(logits, row(0, 0, 1))
    assert loss.item() == pytest.approx((-0.5 * math.log(0.8) - 0.5 * math.log(0.4) + math.log(4)) / 3)


def test_nothing_found_is_cross_entropy(build, batch):
    """Every class has recall 0."""
    logits = batch[0] - 50 * torch.nn.functional.one_hot(batch[1] % 255, 4).movedim(-1, 1)
    assert_close(build("recall")(logits, batch[1]), build("cross_entropy")(logits, batch[1]))


def test_all_found_costs_nothing(build, row, predict):
    """Whatever the certainty."""
    assert build("recall")(predict([0.6, 0.4], [0.4, 0.6]), row(0, 1)) == 0


def test_equal_logits_are_a_miss(build, batch):
    """A model that knows nothing learns as by cross-entropy, whichever class argmax would name."""
    logits = torch.zeros_like(batch[0]).requires_grad_()
    loss = build("recall")(logits, batch[1])
    loss.backward()
    assert loss.item() == pytest.approx(math.log(4))
    assert logits.grad.abs().max() > 0


def test_weights_are_one_minus_the_recall_of_scikit_learn(build, batch):
    """Gradient of each pixel relative to that of cross-entropy."""
    metrics = pytest.importorskip("sklearn.metrics")
    logits, target = batch
    valid = target != 255
    recall = metrics.recall_score(target[valid], logits.argmax(dim=1)[valid], average=None)
    gradients = []
    for kind in ("recall", "cross_entropy"):
        leaf = logits.clone().requires_grad_()
        build(kind)(leaf, target).backward()
        gradients.append(leaf.grad.abs().sum(dim=1)[valid])
    assert_close(gradients[0] / gradients[1], torch.from_numpy(1 - recall).float()[target[valid]], rtol=1e-4, atol=1e-5)


def test_classes_weigh_by_their_missed_pixels(build, batch):
    """L = sum_c FN_c / n times the mean cross-entropy of class c."""
    logits, target = batch
    missed = (logits.argmax(dim=1) != target) & (target != 255)
    fn = torch.bincount(target[missed], minlength=4).float()
    balanced = build("balanced_cross_entropy")(logits, target, fn)
    assert_close(build("recall")(logits, target), fn.sum() / (target != 255).sum() * balanced)

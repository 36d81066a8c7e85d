"""Class-balanced: the effective number in NumPy, its limits, and values a reader can work out."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pipeline.losses.base import Facts
from pipeline.strategies.base import ClassStatistics
from tests.losses.informed import TRAIN_IMAGES
from tests.losses.reference import mean, valid_pixels


def effective_number(beta, n):
    """Sum of 1 + beta + beta^2 + ... over n images: what each of them adds."""
    return sum(beta**j for j in range(int(n)))


def reference(loss, logits, target, weights, facts):
    """Cui et al.: focal, or cross-entropy, over the effective number of images of the true class."""
    p, g = valid_pixels(logits, target)
    p_true = (p * g).sum(axis=1)
    balance = 1 / np.array([effective_number(loss.beta, n) for n in facts.train_images])
    return mean(-((1 - p_true) ** loss.gamma) * np.log(p_true), g @ balance)


def test_beta_zero_is_cross_entropy(build, batch):
    """Every class has the effective number 1."""
    assert_close(build("class_balanced", beta=0.0)(*batch), build("cross_entropy")(*batch))


def test_beta_zero_with_gamma_is_focal(build, batch):
    """The paper weighs either."""
    assert_close(build("class_balanced", beta=0.0, gamma=2.0)(*batch), build("focal", gamma=2.0)(*batch))


def test_beta_near_one_weighs_by_the_inverse_number_of_images(build, batch):
    """Down to 1 - beta = 1e-9, far below what float32 can tell from 1."""
    weights = 1 / torch.tensor(TRAIN_IMAGES[:4])
    loss = build("class_balanced", beta=1 - 1e-9)(*batch)
    assert_close(loss, build("cross_entropy")(*batch, weights))


def test_two_pixels_by_hand(build, row, predict):
    """beta = 1/2 and 1 or 2 images: effective numbers 1 and 3/2, so weights 3 and 2."""
    facts = Facts(train_images=torch.tensor([1.0, 2.0]))
    loss = build("class_balanced", beta=0.5).loss(predict([0.5, 0.5], [0.75, 0.25]), row(0, 1), None, facts)
    assert loss.item() == pytest.approx((3 * math.log(2) + 2 * math.log(4)) / 5)


def test_it_is_cross_entropy_with_the_weights_of_the_strategy(build, batch):
    """`class_weights` with scheme `effective_number` brings the same to any loss."""
    from pipeline.strategies.class_weights import ClassWeights

    pixels = np.array([[int(image < n) for n in TRAIN_IMAGES[:4]] for image in range(40)])
    weights = ClassWeights(scheme="effective_number", beta=0.9).class_weights(ClassStatistics(pixels, pixels))
    loss = build("class_balanced", beta=0.9)(*batch)
    assert_close(loss, build("cross_entropy")(*batch, torch.from_numpy(weights)))


def test_class_weights_are_refused_with_the_reason(build):
    """Two weightings on top of each other are neither."""
    assert "its own class weights" in build("class_balanced").refuses_class_weights()

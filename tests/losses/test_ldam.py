"""LDAM: the paper's equation in NumPy, its limits, and values a reader can work out."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pipeline.losses.base import Facts
from tests.losses.reference import mean


def reference(loss, logits, target, weights, facts):
    """Cao et al., pixel by pixel: the true logit minus its margin, against the others as they are."""
    margins = 1 / facts.train_pixels ** (1 / 4)
    margins *= loss.max_margin / margins.max()
    values, of_pixel = [], []
    for image, i, j in np.argwhere(target != 255):
        z, true = logits[image, :, i, j].copy(), target[image, i, j]
        z[true] -= margins[true]
        values.append(np.logaddexp.reduce(z) - z[true])
        of_pixel.append(weights[true])
    return mean(np.array(values), np.array(of_pixel))


def test_no_margin_is_cross_entropy(build, batch, weights):
    """With weights and void pixels."""
    assert_close(build("ldam", max_margin=0.0)(*batch, weights), build("cross_entropy")(*batch, weights))


def test_margins_by_hand(build, row):
    """Class 1 has a sixteenth of the pixels of class 0, so twice its margin: 2 and 1. From equal logits a pixel costs
    log(1 + e^1) or log(1 + e^2)."""
    facts = Facts(train_pixels=torch.tensor([1600.0, 100.0]))
    loss = build("ldam", max_margin=2.0).loss(torch.zeros(1, 2, 1, 2), row(0, 1), None, facts)
    assert loss.item() == pytest.approx((math.log1p(math.e) + math.log1p(math.e**2)) / 2)


def test_lead_as_large_as_the_margin_costs_as_equal_logits_without(build, row):
    """What a margin is."""
    facts = Facts(train_pixels=torch.tensor([1600.0, 100.0]))
    logits = torch.tensor([0.0, 2.0]).view(1, 2, 1, 1)
    loss = build("ldam", max_margin=2.0).loss(logits, row(1), None, facts)
    assert loss.item() == pytest.approx(math.log(2))


def test_margin_is_the_same_against_every_class(build, row):
    """Unlike in `logit_adjusted`: which of the other two classes is ahead does not matter."""
    facts = Facts(train_pixels=torch.tensor([5000.0, 10.0, 300.0]))
    loss = build("ldam").loss
    one, other = (
        loss(torch.tensor(logits).view(1, 3, 1, 1), row(2), None, facts)
        for logits in ([1.0, 0.0, 0.5], [0.0, 1.0, 0.5])
    )
    assert_close(one, other)


@pytest.mark.parametrize("scale", [1e-3, 1e6])
def test_only_the_ratios_of_the_frequencies_matter(build, batch, scale):
    """The largest margin is given; the number of pixels only divides it."""
    n = torch.tensor([400.0, 30.0, 90.0, 5.0])
    one, other = (build("ldam").loss(*batch, None, Facts(train_pixels=each)) for each in (n, scale * n))
    assert_close(one, other)


def test_equal_frequencies_give_every_class_the_largest_margin(build, batch):
    """For two classes, cross-entropy of logits that lead by 3 less."""
    logits, target = batch[0][:, :1], batch[1] % 2
    facts = Facts(train_pixels=torch.full((2,), 500.0))
    loss = build("ldam", max_margin=3.0).loss(logits, target, None, facts)
    lowered = logits - 3 * torch.where(target == 1, 1, -1).unsqueeze(1)
    assert_close(loss, build("cross_entropy")(lowered, target))

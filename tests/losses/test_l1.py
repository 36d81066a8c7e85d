"""L1: its law 2 (1 - p_t) / C, torch, NumPy in float64, and values a reader can work out."""

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.testing import assert_close

from tests.losses.reference import mean, valid_pixels


def reference(loss, logits, target, weights, facts):
    """Ghosh et al., section 3, divided by C; mean over valid pixels weighted by the true class."""
    p, g = valid_pixels(logits, target)
    return mean(np.abs(p - g).mean(axis=1), g @ weights)


@pytest.mark.parametrize("p", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("classes", [2, 3, 8])
def test_pixel_costs_what_is_missing_from_its_true_class(build, row, predict, p, classes):
    """2 (1 - p_t) / C: the missing probability counts once here and once where it went."""
    logits = predict([p] + [(1 - p) / (classes - 1)] * (classes - 1))
    assert build("l1")(logits, row(0)).item() == pytest.approx(2 * (1 - p) / classes, abs=1e-6)


def test_one_right_one_wrong_one_half(build, row, predict):
    """(0 + 1 + 1/2) / 3 for two classes; with weight 3 for class 1, whose only pixel is wrong, (0 + 3 + 1/2) / 5."""
    logits, truth = predict([1.0, 0.0], [1.0, 0.0], [0.5, 0.5]), row(0, 1, 0)
    assert build("l1")(logits, truth).item() == pytest.approx(1.5 / 3)
    assert build("l1")(logits, truth, torch.tensor([1.0, 3.0])).item() == pytest.approx(3.5 / 5)


def test_equals_torch_without_void_pixels(build, batch):
    """The mean over all pixels and classes of |p - g|."""
    logits, target = batch[0], batch[1] % 4
    expected = functional.l1_loss(logits.softmax(1), functional.one_hot(target, 4).movedim(-1, 1).float())
    assert_close(build("l1")(logits, target), expected)


def test_sum_over_all_labels_is_constant(build, row, predict):
    """The symmetry that makes it tolerant to wrong labels (Ghosh et al., equation 4): here 2 (C - 1) / C."""
    for p in ([0.7, 0.2, 0.1], [0.1, 0.1, 0.8]):
        total = sum(build("l1")(predict(p), row(label)).item() for label in range(3))
        assert total == pytest.approx(2 * 2 / 3)


def test_gradient_vanishes_where_confidently_wrong(build, row):
    """The price of tolerance, unlike cross-entropy."""
    gradients = {}
    for kind in ("l1", "cross_entropy"):
        logits = torch.tensor([-10.0, 10.0]).view(1, 2, 1, 1).requires_grad_()
        build(kind)(logits, row(0)).backward()
        gradients[kind] = logits.grad.abs().max().item()
    assert gradients["l1"] < 1e-6
    assert gradients["cross_entropy"] == pytest.approx(1)

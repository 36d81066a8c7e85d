"""Lovász-softmax: scikit-learn, segmentation_models_pytorch, the definition by sets of mistakes, and its gradient."""

import itertools

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score
from torch.testing import assert_close

from tests.losses.reference import mean, valid_pixels


def reference(loss, logits, target, weights, facts):
    """Berman et al., algorithm 1, from the sets themselves: pixels become mistakes one by one, largest error first."""
    p, g = valid_pixels(logits, target)
    there = np.flatnonzero(g.any(axis=0))
    return mean(np.array([lovasz_extension(np.abs(g[:, c] - p[:, c]), g[:, c] == 1) for c in there]), weights[there])


def lovasz_extension(errors, true):
    value, before, mistakes = 0.0, 0.0, np.zeros(len(errors), bool)
    for pixel in np.argsort(-errors):
        mistakes[pixel] = True
        jaccard_loss = mistakes.sum() / (true | mistakes).sum()
        value, before = value + errors[pixel] * (jaccard_loss - before), jaccard_loss
    return value


def test_two_pixels_by_hand(build, row, predict):
    """Errors 0.4 (true) and 0.1 (false) of class 0: 0.4 * 1 + 0.1 * 0; the same of class 1: 0.4 * 1/2 + 0.1 * 1/2."""
    loss = build("lovasz_softmax")(predict([0.6, 0.4], [0.1, 0.9]), row(0, 1))
    assert loss.item() == pytest.approx((0.4 + (0.4 + 0.1) / 2) / 2)


@pytest.mark.parametrize("classes", [2, 4, 7])
def test_hard_predictions_give_one_minus_the_jaccard_index_of_scikit_learn(build, batch, classes):
    """Over the classes that are present, void pixels left out; with 7 classes three are predicted but absent."""
    target = torch.where(batch[1] < classes, batch[1], 255)
    prediction = torch.randint(0, classes, target.shape, generator=torch.Generator().manual_seed(1))
    logits = 100 * torch.nn.functional.one_hot(prediction, classes).movedim(-1, 1).float()
    valid = target != 255
    present = target[valid].unique().tolist()
    jaccard = jaccard_score(target[valid], prediction[valid], labels=present, average="macro")
    assert build("lovasz_softmax")(logits, target).item() == pytest.approx(1 - jaccard, abs=1e-6)


@pytest.mark.parametrize("classes", [2, 4, 6])
def test_equals_smp_in_value_and_gradient(build, batch, smp_losses, classes):
    """Smp takes logits and has the same rules for absent classes and void pixels; it fails without a valid one."""
    target = torch.where(batch[1] < classes, batch[1], 255)
    logits = torch.randn(2, classes, 6, 5, generator=torch.Generator().manual_seed(3))
    ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
    value = build("lovasz_softmax")(ours, target)
    expected = smp_losses.LovaszLoss("multiclass", ignore_index=255)(theirs, target)
    assert_close(value, expected)
    value.backward()
    expected.backward()
    assert_close(ours.grad, theirs.grad)


def test_two_classes_are_sorted_once_and_still_right(build, batch):
    """Both have the same errors; a third class that is nowhere forces a sort for each."""
    logits, target = batch[0][:, :2], batch[1].where(batch[1] < 2, 255)
    more = torch.nn.functional.pad(logits, (0, 0, 0, 0, 0, 1), value=-1e4)
    assert_close(build("lovasz_softmax")(logits, target), build("lovasz_softmax")(more, target))


def test_value_is_convex_in_the_errors(build, row):
    """What the extension is for. Of two classes, the value along a straight line of probabilities lies below its chord."""
    truth = row(0, 1, 1, 0, 1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        one, other = torch.rand(2, 5, generator=generator).clamp(0.01, 0.99)
        values = [
            build("lovasz_softmax")(torch.stack([p, 1 - p]).log().view(1, 2, 1, 5), truth)
            for p in (one, (one + other) / 2, other)
        ]
        assert values[1] <= (values[0] + values[2]) / 2 + 1e-6


def test_equal_errors_may_come_in_any_order(build):
    """Before training all pixels have the same error; the value must not depend on how ties are broken."""
    target = torch.tensor([[0, 0, 1, 1, 2, 2]])
    values = [
        build("lovasz_softmax")(torch.zeros(1, 3, 1, 6), target[:, list(order)].unsqueeze(0)).item()
        for order in itertools.islice(itertools.permutations(range(6)), 0, 720, 37)
    ]
    assert values == pytest.approx([values[0]] * len(values))


def test_large_batches_keep_the_digits_of_the_gradient(build):
    """Neighbouring values of the Jaccard loss differ by less than float32 can hold; their differences must not."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 2, 300, 300, generator=generator)
    target = torch.randint(0, 2, (1, 300, 300), generator=generator)
    loss = build("lovasz_softmax")
    single, double = logits.clone().requires_grad_(), logits.double().requires_grad_()
    loss(single, target).backward()
    loss.in_float64(double, target).backward()
    assert_close(single.grad.double(), double.grad, rtol=1e-3, atol=1e-9)

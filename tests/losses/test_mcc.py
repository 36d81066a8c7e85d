"""MCC: scikit-learn, segmentation_models_pytorch, batches without a correlation, NumPy in float64."""

import numpy as np
import pytest
import torch
from sklearn.metrics import matthews_corrcoef
from torch.testing import assert_close

from tests.losses.reference import mean, valid_pixels


def reference(loss, logits, target, weights, facts):
    """Abhishek and Hamarneh, equations 3 to 5, for each class that has true and other pixels; 1 - p is what the other
    classes have."""
    p, g = valid_pixels(logits, target)
    varies = g.any(axis=0) & ~g.all(axis=0)
    per_class = []
    for c in np.flatnonzero(varies):
        true, rest = g[:, c] == 1, np.delete(p, c, axis=1).sum(axis=1)
        tp, fp, fn, tn = p[true, c].sum(), p[~true, c].sum(), rest[true].sum(), rest[~true].sum()
        per_class.append(1 - (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))
    return mean(np.array(per_class), weights[varies])


@pytest.mark.parametrize("classes", [2, 4])
def test_hard_predictions_give_one_minus_the_correlation_of_scikit_learn(build, batch, classes):
    """The mean over the classes, each against the rest."""
    target = torch.where(batch[1] < classes, batch[1], 255)
    prediction = torch.randint(0, classes, target.shape, generator=torch.Generator().manual_seed(1))
    logits = 100 * torch.nn.functional.one_hot(prediction, classes).movedim(-1, 1).float()
    valid = target != 255
    expected = np.mean([1 - matthews_corrcoef(target[valid] == c, prediction[valid] == c) for c in range(classes)])
    assert build("mcc")(logits, target).item() == pytest.approx(expected, abs=1e-6)


def test_two_classes_equal_smp_on_probabilities(build, batch, smp_losses):
    """Smp has no activation of its own and is binary; both classes have the same correlation."""
    logits, target = batch[0][:, :1], batch[1] % 2
    expected = smp_losses.MCCLoss(eps=0.0)(logits.sigmoid(), target.float())
    assert_close(build("mcc")(logits, target), expected)
    assert_close(build("mcc", background=True)(logits, target), expected)


def test_four_pixels_by_hand(build, row, predict_surely):
    """TP = 2, TN = 1, FP = 1, FN = 0: (2 - 0) / sqrt(3 * 2 * 2 * 1)."""
    loss = build("mcc")(predict_surely(1, 1, 1, 0, classes=2), row(1, 1, 0, 0))
    assert loss.item() == pytest.approx(1 - 2 / 12**0.5)


def test_always_wrong_costs_two(build, row, predict_surely):
    """The top of the range."""
    assert build("mcc")(predict_surely(1, 0, classes=2), row(0, 1)).item() == pytest.approx(2)


@pytest.mark.parametrize("p", [0.0, 0.3, 0.5, 1.0])
def test_a_constant_prediction_costs_one(build, row, predict, p):
    """It is not related to the truth, however certain it is."""
    assert build("mcc")(predict(*4 * [[p, 1 - p]]), row(0, 1, 1, 0)).item() == pytest.approx(1, abs=1e-6)


def test_true_negatives_count(build, row, predict_surely):
    """Unlike in Dice, more background that is right makes a false alarm less bad; here of the foreground alone."""
    foreground = torch.tensor([0.0, 1.0, 0.0])
    few = (predict_surely(1, 1, 0, 2, classes=3), row(1, 0, 0, 2), foreground)
    many = (predict_surely(1, 1, *9 * [0], 2, classes=3), row(1, *10 * [0], 2), foreground)
    assert build("mcc")(*many) < build("mcc")(*few) - 0.01
    assert build("dice")(*many).item() == pytest.approx(build("dice")(*few).item())


@pytest.mark.parametrize("present", [0, 1])
def test_a_batch_of_one_class_costs_nothing_and_teaches_nothing(build, batch, present):
    """A truth that does not vary correlates with nothing."""
    logits = batch[0].clone().requires_grad_()
    value = build("mcc")(logits, torch.full_like(batch[1], present))
    value.backward()
    assert value == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("shift", [20.0, 40.0, 80.0, 200.0, 1e4])
def test_a_prediction_collapsed_to_one_class_has_a_finite_gradient(build, batch, shift):
    """The root in the denominator is infinitely steep at 0."""
    logits = batch[0].clone()
    logits[:, 0] += shift
    logits.requires_grad_()
    value = build("mcc")(logits, batch[1])
    value.backward()
    assert value.item() == pytest.approx(1, abs=1e-3)
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().max() < 1


def test_size_of_the_batch_does_not_matter(build, batch):
    """The numerator grows with the square of the pixels, the product under the root with the fourth power."""
    logits, target = batch
    assert_close(build("mcc")(logits.repeat(1, 1, 40, 40), target.repeat(1, 40, 40)), build("mcc")(logits, target))


def test_weight_of_an_absent_class_changes_nothing(build, batch):
    """It is left out of the mean together with its weight."""
    logits, target = batch[0], batch[1].where(batch[1] != 3, 0)
    one, other = (build("mcc")(logits, target, torch.tensor([1.0, 2.0, 0.5, w])) for w in (0.0, 9.0))
    assert_close(one, other)

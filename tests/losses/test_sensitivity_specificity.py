"""Sensitivity-specificity: both rates by hand and by scikit-learn, the direction of the weight, NumPy in float64."""

import numpy as np
import pytest
import torch
from sklearn.metrics import recall_score

from tests.losses.reference import mean, valid_pixels


def reference(loss, logits, target, weights, facts):
    """Brosch et al., section 2, for each class with a true pixel."""
    p, g = valid_pixels(logits, target)
    there = g.any(axis=0)
    per_class = []
    for p_c, true in zip(p[:, there].T, g[:, there].T == 1, strict=True):
        of_true = np.mean((1 - p_c[true]) ** 2)
        of_others = np.mean(p_c[~true] ** 2) if (~true).any() else 0
        per_class.append(loss.weight * of_true + (1 - loss.weight) * of_others)
    return mean(np.array(per_class), weights[there])


def test_one_missed_pixel_and_one_false_alarm_by_hand(build, row, predict_surely):
    """One of two true pixels is missed, one of four others is a false alarm."""
    loss = build("sensitivity_specificity", weight=0.2)
    value = loss(predict_surely(1, 0, 1, 0, 0, 0, classes=2), row(1, 1, 0, 0, 0, 0))
    assert value.item() == pytest.approx(0.2 / 2 + 0.8 / 4)


def test_errors_are_squared(build, row, predict):
    """p = 0.3 at the true pixel and 0.4 at the other."""
    loss = build("sensitivity_specificity", weight=0.5)(predict([0.7, 0.3], [0.6, 0.4]), row(1, 0))
    assert loss.item() == pytest.approx((0.7**2 + 0.4**2) / 2)


@pytest.mark.parametrize("weight", [0.05, 0.5, 0.95])
def test_hard_predictions_give_sensitivity_and_specificity_of_scikit_learn(build, batch, weight):
    """Specificity is the recall of the rest."""
    target = batch[1]
    prediction = torch.randint(0, 4, target.shape, generator=torch.Generator().manual_seed(1))
    logits = 100 * torch.nn.functional.one_hot(prediction, 4).movedim(-1, 1).float()
    valid = target != 255
    expected = []
    for c in range(4):
        true, found = (target[valid] == c).numpy(), (prediction[valid] == c).numpy()
        sensitivity, specificity = recall_score(true, found), recall_score(~true, ~found)
        expected.append(weight * (1 - sensitivity) + (1 - weight) * (1 - specificity))
    loss = build("sensitivity_specificity", weight=weight)
    assert loss(logits, target).item() == pytest.approx(np.mean(expected), abs=1e-6)


def test_the_larger_the_weight_the_dearer_is_a_missed_pixel(build, row, predict_surely):
    """Relative to a false alarm."""
    missed, false_alarm = predict_surely(1, 0, 0, 0, classes=2), predict_surely(1, 1, 1, 0, classes=2)
    ratios = [
        build("sensitivity_specificity", weight=weight)(missed, row(1, 1, 0, 0))
        / build("sensitivity_specificity", weight=weight)(false_alarm, row(1, 1, 0, 0))
        for weight in (0.05, 0.3, 0.7)
    ]
    assert ratios == sorted(ratios)
    assert ratios[0] < 1 < ratios[-1]


def test_numbers_of_pixels_do_not_decide(build, row, predict):
    """Ten times as many background pixels, as well predicted: the same loss."""
    few = build("sensitivity_specificity")(predict([0.4, 0.6], [0.9, 0.1]), row(1, 0))
    many = build("sensitivity_specificity")(predict([0.4, 0.6], *10 * [[0.9, 0.1]]), row(1, *10 * [0]))
    assert many.item() == pytest.approx(few.item())


def test_a_class_that_fills_the_batch_has_one_term(build, row, predict):
    """There is no other pixel to have a specificity."""
    loss = build("sensitivity_specificity", weight=0.4)(predict([0.3, 0.7], [0.5, 0.5]), row(1, 1))
    assert loss.item() == pytest.approx(0.4 * (0.3**2 + 0.5**2) / 2)


@pytest.mark.parametrize(
    ("weight", "false_alarms", "misses"),
    [(0.01, 0.0550, 0.0050), (0.05, 0.0528, 0.0250), (0.5, 0.0278, 0.2500), (0.95, 0.0028, 0.4750)],
)
def test_the_weight_sets_the_prices_of_a_binary_batch(build, weight, false_alarms, misses):
    """Ten of a hundred pixels are true. Five false alarms are 5/90 of the others, five misses half of the true ones."""
    target = (torch.arange(100) < 10).long().view(1, 1, 100)
    logits = [torch.where(torch.arange(100) < found, 99.0, -99.0).view(1, 1, 1, 100) for found in (15, 5)]
    loss = build("sensitivity_specificity", weight=weight)
    assert loss(logits[0], target).item() == pytest.approx(false_alarms, abs=6e-5)
    assert loss(logits[1], target).item() == pytest.approx(misses, abs=6e-5)


def test_class_weights_of_a_binary_batch_are_the_price_of_a_false_alarm(build):
    """w_0 / w_1 = 1/2 halves the second term, and a second foreground pixel has no part in it."""
    target, logits = torch.tensor([[[1, 1, 0, 0]]]), torch.tensor([[[[99.0, -99, 99, -99]]]])
    loss = build("sensitivity_specificity", weight=0.3)
    assert loss(logits, target, torch.tensor([1.0, 2.0])).item() == pytest.approx(0.3 / 2 + 0.7 / 2 / 2)

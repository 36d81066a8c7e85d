"""Focal Tversky: its law relative to Tversky, the direction of alpha and beta, slopes at the end, NumPy in float64."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from tests.losses.reference import mean, valid_pixels

GAMMAS = pytest.mark.parametrize("gamma", [1.0, 4 / 3, 2.0, 3.0])


def reference(loss, logits, target, weights, facts):
    """Abraham and Khan, FTL, with their alpha and beta exchanged; 1 - p is what the other classes have."""
    p, g = valid_pixels(logits, target)
    per_class = np.full(g.shape[1], np.nan)
    for c in np.flatnonzero(g.any(axis=0)):
        true = g[:, c] == 1
        tp, fp, fn = p[true, c].sum(), p[~true, c].sum(), np.delete(p[true], c, axis=1).sum()
        mistakes = loss.alpha * fp + loss.beta * fn
        per_class[c] = (mistakes / (tp + mistakes)) ** (1 / loss.gamma)
    there = ~np.isnan(per_class)
    return mean(per_class[there], weights[there])


def test_gamma_one_is_tversky(build, batch, weights):
    """With class weights and void pixels."""
    assert_close(build("focal_tversky", gamma=1.0)(*batch, weights), build("tversky")(*batch, weights))


@GAMMAS
@pytest.mark.parametrize("p", [0.01, 0.3, 0.5, 0.9, 0.99])
def test_a_single_class_is_a_power_of_its_tversky_loss(build, row, predict, p, gamma):
    """The law, not only a value."""
    logits, truth = predict([1 - p, p], [0.8, 0.2]), row(1, 0)
    tversky = build("tversky")(logits, truth).item()
    focal = build("focal_tversky", gamma=gamma)(logits, truth).item()
    assert focal == pytest.approx(tversky ** (1 / gamma), rel=1e-5)


def test_the_power_is_taken_of_each_class_before_the_mean(build, row, predict_surely):
    """Class 0 is found and costs 0, of class 1 one of two pixels is: TI = 1 / (1 + 0.7 + 0.3) = 1/2 with one of each."""
    truth, prediction = row(0, 1, 1, 2), predict_surely(0, 1, 2, 1, classes=3)
    expected = (0 + 0.5 ** (1 / 2) + 1) / 3
    assert build("focal_tversky", gamma=2.0)(prediction, truth).item() == pytest.approx(expected)


def test_alpha_prices_false_positives_and_beta_false_negatives(build, row, predict_surely):
    """As in `tversky`: 1 - 1 / (1 + alpha) and 1 - 1 / (1 + beta), each to the power of 3/4."""
    loss = build("focal_tversky", alpha=0.25, beta=0.5)
    false_positive = loss(predict_surely(1, 1, 0, classes=2), row(1, 0, 0))
    false_negative = loss(predict_surely(1, 0, 0, classes=2), row(1, 1, 0))
    assert false_positive.item() == pytest.approx((1 - 1 / 1.25) ** 0.75)
    assert false_negative.item() == pytest.approx((1 - 1 / 1.5) ** 0.75)


@GAMMAS
@pytest.mark.parametrize("certainty", [8.0, 12.0, 16.0, 30.0, 60.0, 1e4])
def test_a_nearly_perfect_prediction_has_a_small_gradient(build, row, gamma, certainty):
    """The slope of the power grows without bound, but the probability it multiplies falls faster."""
    logits = torch.tensor([[certainty, 0.0], [0.0, certainty]]).view(1, 2, 1, 2).requires_grad_()
    value = build("focal_tversky", gamma=gamma)(logits, row(0, 1))
    value.backward()
    assert value < 0.1
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().max() < 0.05


@pytest.mark.parametrize("certainty", [12.0, 17.0, 20.0])
def test_a_nearly_perfect_prediction_keeps_its_digits(build, row, certainty):
    """1 - p is below what float32 can tell from 0 beside 1; under a root that would be a visible step."""
    logits = torch.tensor([[certainty, 0.0], [0.0, certainty]]).view(1, 2, 1, 2)
    wrong = 1 / (1 + np.exp(certainty))
    mistakes = 0.3 * wrong + 0.7 * wrong
    expected = (mistakes / (1 - wrong + mistakes)) ** (1 / 3)
    assert build("focal_tversky", gamma=3.0)(logits, row(0, 1)).item() == pytest.approx(expected, rel=1e-4)


def test_the_last_mistakes_of_a_class_weigh_more_the_larger_gamma(build, row, predict):
    """What gamma does: the slope at a good class, relative to that at a bad one, grows."""
    ratios = []
    for gamma in (1.0, 4 / 3, 2.0, 3.0):
        slopes = []
        for p in (0.98, 0.3):
            logits = predict([1 - p, p], [p, 1 - p]).requires_grad_()
            build("focal_tversky", gamma=gamma)(logits, row(1, 0)).backward()
            slopes.append(logits.grad.abs().sum().item())
        ratios.append(slopes[0] / slopes[1])
    assert ratios == sorted(ratios)
    assert ratios[-1] > 3 * ratios[0]


def test_scale_does_not_depend_on_how_many_classes_are_absent(build, batch):
    """As in Dice."""
    logits, target = batch
    more = torch.nn.functional.pad(logits, (0, 0, 0, 0, 0, 5), value=-1e4)  # five classes more, nowhere seen
    assert_close(build("focal_tversky")(more, target), build("focal_tversky")(logits, target))


def test_one_false_alarm_and_one_miss_of_classes_of_equal_size(build):
    """alpha = 0.1 and beta = 0.9: the prices of Tversky, (1 - 2 / 2.1) and (1 - 1 / 1.9), to the power of 3/4."""
    loss, truth = build("focal_tversky", alpha=0.1, beta=0.9), torch.tensor([[[0, 0, 1, 1]]])
    false_alarm, miss = (torch.tensor([[[wrong]]]) for wrong in ([-99.0, 99, 99, 99], [-99.0, -99, -99, 99]))
    assert loss(false_alarm, truth).item() == pytest.approx(0.1019, abs=1e-4)
    assert loss(miss, truth).item() == pytest.approx(0.5710, abs=1e-4)

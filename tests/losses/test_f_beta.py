"""F-beta: scikit-learn, its limits Dice and Tversky, the direction of beta, NumPy in float64."""

import numpy as np
import pytest
import torch
from sklearn.metrics import fbeta_score
from torch.testing import assert_close

from tests.losses.reference import mean, valid_pixels

BETAS = pytest.mark.parametrize("beta", [0.5, 1.0, 2.0, 10.0])


def reference(loss, logits, target, weights, facts):
    """The weighted harmonic mean of soft precision and soft recall, per class with a true pixel."""
    p, g = valid_pixels(logits, target)
    there = g.any(axis=0)
    p, g = p[:, there], g[:, there]
    precision, recall = (p * g).sum(axis=0) / p.sum(axis=0), (p * g).sum(axis=0) / g.sum(axis=0)
    b = loss.beta**2
    return mean(1 - (1 + b) / (1 / precision + b / recall), weights[there])


@BETAS
def test_hard_predictions_give_one_minus_the_score_of_scikit_learn(build, batch, beta):
    """Macro average; void pixels left out."""
    target = batch[1]
    prediction = torch.randint(0, 4, target.shape, generator=torch.Generator().manual_seed(1))
    logits = 100 * torch.nn.functional.one_hot(prediction, 4).movedim(-1, 1).float()
    valid = target != 255
    score = fbeta_score(target[valid], prediction[valid], beta=beta, average="macro")
    assert build("f_beta", beta=beta)(logits, target).item() == pytest.approx(1 - score, abs=1e-6)


def test_beta_one_is_dice(build, batch, weights):
    """With class weights and void pixels."""
    assert_close(build("f_beta", beta=1.0)(*batch, weights), build("dice")(*batch, weights))


@BETAS
def test_is_tversky_with_prices_that_sum_to_one(build, batch, weights, beta):
    """alpha = 1 / (1 + beta^2), and the rest for false negatives."""
    alpha = 1 / (1 + beta**2)
    tversky = build("tversky", alpha=alpha, beta=1 - alpha)
    assert_close(build("f_beta", beta=beta)(*batch, weights), tversky(*batch, weights))


def test_one_of_each_mistake_by_hand(build, row, predict_surely):
    """TP = 1 and FN = 1: 1 - 5 / (5 + 4); TP = 1 and FP = 1: 1 - 5 / (5 + 1)."""
    loss = build("f_beta", beta=2.0)
    assert loss(predict_surely(1, 0, 0, classes=2), row(1, 1, 0)).item() == pytest.approx(4 / 9)
    assert loss(predict_surely(1, 1, 0, classes=2), row(1, 0, 0)).item() == pytest.approx(1 / 6)


def test_large_beta_tends_to_recall(build, batch):
    """At 10, precision is a hundredth of it."""
    p, g = valid_pixels(batch[0].double().numpy(), batch[1].numpy())
    recall = np.mean((p * g).sum(axis=0) / g.sum(axis=0))
    assert build("f_beta", beta=10.0)(*batch).item() == pytest.approx(1 - recall, abs=0.01)


@pytest.mark.parametrize(
    ("share", "recall", "precision"),
    [(0.5, 0.961, 0.703), (0.4, 0.943, 0.651), (0.2, 0.876, 0.523), (0.05, 0.706, 0.339)],
)
def test_the_best_operating_point_is_that_of_the_score(build, operating_point, share, recall, precision):
    """Of F2 of the foreground, by its integral over two normal distributions. With the background in the mean it would
    be that of Dice where both classes are of equal size."""
    assert operating_point(build("f_beta", beta=2.0), share) == pytest.approx((recall, precision), abs=0.012)
    if share == 0.5:
        both = operating_point(build("f_beta", beta=2.0, background=True), share)
        assert both == pytest.approx((0.841, 0.841), abs=0.012)


def test_one_false_alarm_and_one_miss_of_classes_of_equal_size(build):
    """F3 of the foreground: TP = 2 and FP = 1, 1 - 20 / (20 + 1); TP = 1 and FN = 1, 1 - 10 / (10 + 9)."""
    loss, truth = build("f_beta", beta=3.0), torch.tensor([[[0, 0, 1, 1]]])
    false_alarm, miss = (torch.tensor([[[wrong]]]) for wrong in ([-99.0, 99, 99, 99], [-99.0, -99, -99, 99]))
    assert loss(false_alarm, truth).item() == pytest.approx(1 / 21)
    assert loss(miss, truth).item() == pytest.approx(9 / 19)

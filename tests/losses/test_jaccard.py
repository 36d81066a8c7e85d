"""Jaccard: scikit-learn, its limit Tversky, what the metric form is for, NumPy, segmentation_models_pytorch."""

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score
from torch.testing import assert_close

from tests.losses.reference import mean, valid_pixels


def reference(loss, logits, target, weights, facts):
    """Intersection over union of fuzzy sets: the sum of minima over the sum of maxima, per class with a true pixel."""
    p, g = valid_pixels(logits, target)
    there = g.any(axis=0)
    g = (1 - loss.label_smoothing) * g + loss.label_smoothing / g.shape[1]
    per_class = 1 - np.minimum(p, g).sum(axis=0) / np.maximum(p, g).sum(axis=0)
    return mean(per_class[there], weights[there])


def test_one_class_right_one_wrong_one_half(build, row, predict_surely):
    """Class 0 is found (1), class 1 is not (0), of class 2 one of two pixels is found and one false (1/3)."""
    truth, prediction = row(0, 0, 1, 2, 2), predict_surely(0, 0, 2, 2, 1, classes=3)
    assert build("jaccard")(prediction, truth).item() == pytest.approx((0 + 1 + 2 / 3) / 3)
    weights = torch.tensor([2.0, 1.0, 1.0])
    assert build("jaccard")(prediction, truth, weights).item() == pytest.approx((2 * 0 + 1 + 2 / 3) / 4)


def test_without_smoothing_it_is_tversky(build, batch, weights):
    """alpha = beta = 1, with class weights and void pixels."""
    assert_close(build("jaccard")(*batch, weights), build("tversky", alpha=1.0, beta=1.0)(*batch, weights))


@pytest.mark.parametrize("classes", [4, 7])
def test_hard_predictions_give_one_minus_the_jaccard_index_of_scikit_learn(build, batch, classes):
    """Over the classes that are present."""
    target = batch[1]
    prediction = torch.randint(0, classes, target.shape, generator=torch.Generator().manual_seed(1))
    logits = 100 * torch.nn.functional.one_hot(prediction, classes).movedim(-1, 1).float()
    valid = target != 255
    jaccard = jaccard_score(target[valid], prediction[valid], labels=range(4), average="macro")
    assert build("jaccard")(logits, target).item() == pytest.approx(1 - jaccard, abs=1e-6)


def test_equals_smp_where_all_classes_are_present(build, batch, smp_losses):
    """Smp has no ignored pixels here; it divides by all classes, so it differs where some are absent."""
    logits, target = batch[0], batch[1] % 4
    assert_close(build("jaccard")(logits, target), smp_losses.JaccardLoss("multiclass", smooth=0)(logits, target))


@pytest.mark.parametrize("smoothing", [0.1, 0.3, 0.9])
def test_the_smoothed_label_is_the_best_prediction_and_costs_nothing(build, row, predict, smoothing):
    """What the metric form is for: with products p g, certainty would be better than the label itself."""
    build = build("jaccard", label_smoothing=smoothing)
    label = smoothing / 3 + (1 - smoothing)
    soft = [[label if index == true else smoothing / 3 for index in range(3)] for true in (0, 1, 2, 2)]
    truth = row(0, 1, 2, 2)
    assert build(predict(*soft), truth).item() == pytest.approx(0, abs=1e-6)
    certain = predict(*([float(index == true) for index in range(3)] for true in (0, 1, 2, 2)))
    assert build(certain, truth) > 0.05


def test_one_smoothed_pixel_by_hand(build, row, predict):
    """Labels 0.9 and 0.1 of the only pixel; p = 0.6 of the only class that is there: 1 - 0.6 / 0.9."""
    loss = build("jaccard", label_smoothing=0.2)(predict([0.4, 0.6]), row(1))
    assert loss.item() == pytest.approx(1 - 0.6 / 0.9)


def test_the_triangle_inequality_holds_between_distributions(build, row, predict):
    """It is a metric: between hard labels 0 and 1, going by way of any prediction is no shorter."""
    loss = build("jaccard", background=True)
    for p in (0.0, 0.2, 0.5, 0.9):
        prediction = predict([p, 1 - p])
        assert loss(prediction, row(0)) + loss(prediction, row(1)) >= 1 - 1e-6


def test_weight_of_an_absent_class_changes_nothing(build, batch):
    """It is left out of the mean together with its weight, also where smoothing gives it a share of every label."""
    logits, target = batch[0], batch[1].where(batch[1] != 3, 0)
    for smoothing in (0.0, 0.2):
        loss = build("jaccard", label_smoothing=smoothing)
        one, other = (loss(logits, target, torch.tensor([1.0, 2.0, 0.5, w])) for w in (0.0, 9.0))
        assert_close(one, other)

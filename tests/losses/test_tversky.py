"""Tversky: its limits Dice and Jaccard, the direction of alpha and beta, segmentation_models_pytorch, NumPy."""

import pytest
import torch
from sklearn.metrics import jaccard_score
from torch.testing import assert_close

from tests.losses.reference import mean, valid_pixels


def reference(loss, logits, target, weights, facts):
    """Salehi et al., equation 3, for each class, over all images of the batch."""
    p, g = valid_pixels(logits, target)
    there = g.any(axis=0)
    p, g = p[:, there], g[:, there]
    tp, fp, fn = (p * g).sum(axis=0), (p * (1 - g)).sum(axis=0), ((1 - p) * g).sum(axis=0)
    return mean(1 - tp / (tp + loss.alpha * fp + loss.beta * fn), weights[there])


def test_one_false_positive_costs_alpha(build, row, predict_surely):
    """TP = 1, FP = 1: 1 - 1 / (1 + alpha)."""
    loss = build("tversky", alpha=0.25, beta=0.5)(predict_surely(1, 1, 0, classes=2), row(1, 0, 0))
    assert loss.item() == pytest.approx(1 - 1 / 1.25)


def test_one_false_negative_costs_beta(build, row, predict_surely):
    """TP = 1, FN = 1: 1 - 1 / (1 + beta)."""
    loss = build("tversky", alpha=0.25, beta=0.5)(predict_surely(1, 0, 0, classes=2), row(1, 1, 0))
    assert loss.item() == pytest.approx(1 - 1 / 1.5)


def test_by_default_missing_is_dearer_than_a_false_alarm(build, row, predict_surely):
    """The paper's use: small lesions must be found."""
    loss = build("tversky")
    missed = loss(predict_surely(1, 0, 0, classes=2), row(1, 1, 0))
    false_alarm = loss(predict_surely(1, 1, 0, classes=2), row(1, 0, 0))
    assert missed > false_alarm


def test_alpha_and_beta_change_sides_with_prediction_and_truth(build, batch):
    """Exchanging truth and a hard prediction exchanges false positives and false negatives."""
    truth = batch[1] % 4
    prediction = torch.randint(0, 4, truth.shape, generator=torch.Generator().manual_seed(2))
    surely = [100 * torch.nn.functional.one_hot(hard, 4).movedim(-1, 1).float() for hard in (prediction, truth)]
    one = build("tversky", alpha=0.2, beta=0.9)(surely[0], truth)
    other = build("tversky", alpha=0.9, beta=0.2)(surely[1], prediction)
    assert_close(one, other)
    assert abs(one - build("tversky", alpha=0.9, beta=0.2)(surely[0], truth)) > 1e-3


def test_one_half_each_is_dice(build, batch, weights):
    """alpha = beta = 0.5, with class weights and void pixels."""
    assert_close(build("tversky", alpha=0.5, beta=0.5)(*batch, weights), build("dice")(*batch, weights))


@pytest.mark.parametrize("classes", [4, 7])
def test_one_each_is_the_jaccard_index_of_scikit_learn(build, batch, classes):
    """alpha = beta = 1 on hard predictions, over the classes that are present."""
    target = batch[1]
    prediction = torch.randint(0, classes, target.shape, generator=torch.Generator().manual_seed(1))
    logits = 100 * torch.nn.functional.one_hot(prediction, classes).movedim(-1, 1).float()
    valid = target != 255
    jaccard = jaccard_score(target[valid], prediction[valid], labels=range(4), average="macro")
    assert build("tversky", alpha=1.0, beta=1.0)(logits, target).item() == pytest.approx(1 - jaccard, abs=1e-6)


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.7), (0.7, 0.3), (1.0, 1.0)])
def test_equals_smp_where_all_classes_are_present(build, batch, smp_losses, alpha, beta):
    """In smp, too, alpha is the price of false positives."""
    expected = smp_losses.TverskyLoss("multiclass", smooth=0, alpha=alpha, beta=beta, ignore_index=255)(*batch)
    assert_close(build("tversky", alpha=alpha, beta=beta)(*batch), expected)


def test_scale_does_not_depend_on_how_many_classes_are_absent(build, batch):
    """As in Dice."""
    logits, target = batch
    more = torch.nn.functional.pad(logits, (0, 0, 0, 0, 0, 5), value=-1e4)  # five classes more, nowhere seen
    assert_close(build("tversky")(more, target), build("tversky")(logits, target))


def test_false_positives_of_an_absent_class_are_paid_for(build, row, predict_surely):
    """They are the false negatives of the class that is there: 1 - 2 / (2 + 2 beta)."""
    loss = build("tversky", beta=0.5)(predict_surely(0, 0, 1, 1, classes=3), row(0, 0, 0, 0))
    assert loss.item() == pytest.approx(1 - 2 / 3)


def test_weight_of_an_absent_class_changes_nothing(build, batch):
    """It is left out of the mean together with its weight."""
    logits, target = batch[0], batch[1].where(batch[1] != 3, 0)
    one, other = (build("tversky")(logits, target, torch.tensor([1.0, 2.0, 0.5, w])) for w in (0.0, 9.0))
    assert_close(one, other)


@pytest.mark.parametrize(
    ("options", "recall", "precision"),
    [({}, 0.911, 0.703), ({"background": True}, 0.818, 0.798)],
    ids=["foreground", "both classes"],
)
def test_the_best_operating_point_is_that_of_the_index(build, operating_point, options, recall, precision):
    """Where 40 % of the pixels are foreground: by its integral over two normal distributions."""
    assert operating_point(build("tversky", **options), 0.4) == pytest.approx((recall, precision), abs=0.012)


def test_one_false_alarm_and_one_miss_of_classes_of_equal_size(build):
    """alpha = 0.1 and beta = 0.9: TP = 2 and FP = 1, 1 - 2 / 2.1; TP = 1 and FN = 1, 1 - 1 / 1.9."""
    loss, truth = build("tversky", alpha=0.1, beta=0.9), torch.tensor([[[0, 0, 1, 1]]])
    false_alarm, miss = (torch.tensor([[[wrong]]]) for wrong in ([-99.0, 99, 99, 99], [-99.0, -99, -99, 99]))
    assert loss(false_alarm, truth).item() == pytest.approx(0.0476, abs=1e-4)
    assert loss(miss, truth).item() == pytest.approx(0.4737, abs=1e-4)

"""Dice: against scikit-learn, segmentation_models_pytorch, NumPy in float64, and values a reader can work out."""

import pytest
import torch
from sklearn.metrics import f1_score
from torch.testing import assert_close

from tests.losses.reference import mean, valid_pixels

FORMS = pytest.mark.parametrize("denominator", ["plain", "squared"])


def reference(loss, logits, target, weights, facts):
    """Drozdzal et al., equation 2; Milletari et al., section 3; sums over all images of the batch."""
    k = {"plain": 1, "squared": 2}[loss.denominator]
    p, g = valid_pixels(logits, target)
    there = g.any(axis=0)
    per_class = 1 - 2 * (p * g).sum(axis=0) / ((p**k).sum(axis=0) + (g**k).sum(axis=0))
    return mean(per_class[there], weights[there])


@FORMS
def test_one_class_right_one_wrong_one_half(build, row, predict_surely, denominator):
    """Class 0 is found (1), class 1 is not (0), of class 2 one of two pixels is found and one false (1/2)."""
    truth, prediction = row(0, 0, 1, 2, 2), predict_surely(0, 0, 2, 2, 1, classes=3)
    loss = build("dice", denominator=denominator)
    assert loss(prediction, truth).item() == pytest.approx((0 + 1 + 1 / 2) / 3)
    assert loss(prediction, truth, torch.tensor([2.0, 1.0, 1.0])).item() == pytest.approx((2 * 0 + 1 + 1 / 2) / 4)


def test_half_probability_by_hand(build, row, predict):
    """Each class: 2 * 0.5 / (0.5 + 0.5 + 1) = 1/2 with plain sums, 2 * 0.5 / (0.25 + 0.25 + 1) = 2/3 with squares."""
    logits, truth = predict([0.5, 0.5], [0.5, 0.5]), row(0, 1)
    assert build("dice")(logits, truth).item() == pytest.approx(1 / 2)
    assert build("dice", denominator="squared")(logits, truth).item() == pytest.approx(1 / 3)


@FORMS
@pytest.mark.parametrize("classes", [2, 4, 7])
def test_hard_predictions_give_one_minus_the_macro_f1_of_scikit_learn(build, batch, denominator, classes):
    """Over the classes that are present; with 7 classes three are predicted but absent."""
    target = torch.where(batch[1] < classes, batch[1], 255)
    prediction = torch.randint(0, classes, target.shape, generator=torch.Generator().manual_seed(1))
    logits = 100 * torch.nn.functional.one_hot(prediction, classes).movedim(-1, 1).float()
    valid = target != 255
    present = target[valid].unique().tolist()
    f1 = f1_score(target[valid], prediction[valid], labels=present, average="macro")
    assert build("dice", denominator=denominator)(logits, target).item() == pytest.approx(1 - f1, abs=1e-6)


def test_equals_smp_where_all_classes_are_present(build, batch, smp_losses):
    """Void pixels included. Smp divides by all classes, so it differs where some are absent."""
    expected = smp_losses.DiceLoss("multiclass", smooth=0, ignore_index=255)(*batch)
    assert_close(build("dice")(*batch), expected)


@FORMS
def test_scale_does_not_depend_on_how_many_classes_are_absent(build, batch, denominator):
    """A dataset of many classes must not have a smaller loss for the same mistakes."""
    logits, target = batch
    loss = build("dice", denominator=denominator)
    more = torch.nn.functional.pad(logits, (0, 0, 0, 0, 0, 5), value=-1e4)  # five classes more, nowhere seen
    assert_close(loss(more, target), loss(logits, target))


@FORMS
def test_false_positives_of_an_absent_class_are_paid_for(build, row, predict_surely, denominator):
    """Two of four pixels are taken from the class that is there: its Dice is 2 * 2 / (2 + 4)."""
    loss = build("dice", denominator=denominator)(predict_surely(0, 0, 1, 1, classes=2), row(0, 0, 0, 0))
    assert loss.item() == pytest.approx(1 / 3)


@FORMS
def test_weight_of_an_absent_class_changes_nothing(build, batch, denominator):
    """It is left out of the mean together with its weight."""
    logits, target = batch[0], batch[1].where(batch[1] != 3, 0)
    loss = build("dice", denominator=denominator)
    one, other = (loss(logits, target, torch.tensor([1.0, 2.0, 0.5, w])) for w in (0.0, 9.0))
    assert one == other


@FORMS
def test_perfect_prediction_costs_nothing_with_half_the_pixels_ignored(build, row, predict_surely, denominator):
    """The denominator leaves void pixels out as well, whatever is predicted there."""
    loss = build("dice", denominator=denominator)(predict_surely(0, 1, 0, 1, classes=2), row(0, 1, 255, 255))
    assert loss.item() == pytest.approx(0, abs=1e-6)

"""Dice: against scikit-learn, segmentation_models_pytorch, NumPy in float64, and values a reader can work out."""

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score
from torch.testing import assert_close

from tests.losses.reference import mean, valid_pixels

DENOMINATORS = pytest.mark.parametrize("denominator", ["plain", "squared"])
FORMS = pytest.mark.parametrize("form", ["linear", "log", "log_cosh"])


def reference(loss, logits, target, weights, facts):
    """Drozdzal et al., equation 2; Milletari et al., section 3; sums over all images of the batch. Of each class what
    Wong et al. and Jadon make of it."""
    k = {"plain": 1, "squared": 2}[loss.denominator]
    p, g = valid_pixels(logits, target)
    there = g.any(axis=0)
    p, g = p[:, there], g[:, there]
    dice = 2 * (p * g).sum(axis=0) / ((p**k).sum(axis=0) + (g**k).sum(axis=0))
    price = {"linear": lambda d: 1 - d, "log": lambda d: -np.log(d), "log_cosh": lambda d: np.log(np.cosh(1 - d))}
    return mean(price[loss.form](dice), weights[there])


@DENOMINATORS
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


@DENOMINATORS
@pytest.mark.parametrize("classes", [2, 4, 7])
def test_hard_predictions_give_one_minus_the_macro_f1_of_scikit_learn(build, batch, denominator, classes):
    """Over the classes that are present; with 7 classes three are predicted but absent."""
    target = torch.where(batch[1] < classes, batch[1], 255)
    prediction = torch.randint(0, classes, target.shape, generator=torch.Generator().manual_seed(1))
    logits = 100 * torch.nn.functional.one_hot(prediction, classes).movedim(-1, 1).float()
    valid = target != 255
    present = target[valid].unique().tolist()
    labels = [1] if classes == 2 else present  # of two classes it is the F1 of the foreground
    f1 = f1_score(target[valid], prediction[valid], labels=labels, average="macro")
    assert build("dice", denominator=denominator)(logits, target).item() == pytest.approx(1 - f1, abs=1e-6)


def test_equals_smp_where_all_classes_are_present(build, batch, smp_losses):
    """Void pixels included. Smp divides by all classes, so it differs where some are absent."""
    expected = smp_losses.DiceLoss("multiclass", smooth=0, ignore_index=255)(*batch)
    assert_close(build("dice")(*batch), expected)


@DENOMINATORS
def test_scale_does_not_depend_on_how_many_classes_are_absent(build, batch, denominator):
    """A dataset of many classes must not have a smaller loss for the same mistakes."""
    logits, target = batch
    loss = build("dice", denominator=denominator)
    more = torch.nn.functional.pad(logits, (0, 0, 0, 0, 0, 5), value=-1e4)  # five classes more, nowhere seen
    assert_close(loss(more, target), loss(logits, target))


@DENOMINATORS
def test_false_positives_of_an_absent_class_are_paid_for(build, row, predict_surely, denominator):
    """Two of four pixels are taken from the class that is there: its Dice is 2 * 2 / (2 + 4)."""
    loss = build("dice", denominator=denominator)(predict_surely(0, 0, 1, 1, classes=3), row(0, 0, 0, 0))
    assert loss.item() == pytest.approx(1 / 3)


@DENOMINATORS
def test_weight_of_an_absent_class_changes_nothing(build, batch, denominator):
    """It is left out of the mean together with its weight."""
    logits, target = batch[0], batch[1].where(batch[1] != 3, 0)
    loss = build("dice", denominator=denominator)
    one, other = (loss(logits, target, torch.tensor([1.0, 2.0, 0.5, w])) for w in (0.0, 9.0))
    assert_close(one, other)


@DENOMINATORS
def test_perfect_prediction_costs_nothing_with_half_the_pixels_ignored(build, row, predict_surely, denominator):
    """The denominator leaves void pixels out as well, whatever is predicted there."""
    loss = build("dice", denominator=denominator)(predict_surely(0, 1, 0, 1, classes=2), row(0, 1, 255, 255))
    assert loss.item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("form", "price"),
    [("log", lambda dice: -np.log(dice)), ("log_cosh", lambda dice: np.log(np.cosh(1 - dice)))],
)
@DENOMINATORS
def test_other_forms_are_taken_of_each_class_before_the_mean(build, row, predict_surely, denominator, form, price):
    """Of class 0 two of two pixels are found and one is false (4/5), of class 1 one of two (2/3)."""
    loss = build("dice", denominator=denominator, form=form, background=True)
    truth, prediction = row(0, 0, 1, 1), predict_surely(0, 0, 0, 1, classes=2)
    assert loss(prediction, truth).item() == pytest.approx((price(4 / 5) + price(2 / 3)) / 2, rel=1e-5)
    weighted = loss(prediction, truth, torch.tensor([3.0, 1.0]))
    assert weighted.item() == pytest.approx((3 * price(4 / 5) + price(2 / 3)) / 4, rel=1e-5)


def test_log_equals_smp_where_all_classes_are_present(build, batch, smp_losses):
    """Smp takes the log per class, too."""
    expected = smp_losses.DiceLoss("multiclass", smooth=0, log_loss=True, ignore_index=255)(*batch)
    assert_close(build("dice", form="log")(*batch), expected)


def test_near_a_perfect_prediction_log_is_linear_and_log_cosh_half_the_square(build, row, predict):
    """-log D is 1 - D, and log cosh(1 - D) is (1 - D)^2 / 2, up to higher powers."""
    logits, truth = predict([0.99, 0.01], [0.01, 0.99]), row(0, 1)
    linear, log, log_cosh = (build("dice", form=form)(logits, truth).item() for form in ("linear", "log", "log_cosh"))
    assert linear == pytest.approx(0.01, rel=1e-4)
    assert log == pytest.approx(linear, rel=0.01)
    assert log_cosh == pytest.approx(linear**2 / 2, rel=0.01)


def test_log_pulls_at_a_class_that_is_hardly_found(build, row, predict):
    """What it is for: with p of a thousandth the linear form has next to no slope."""
    slopes = {}
    for form in ("linear", "log"):
        logits = predict([0.999, 0.001], [0.999, 0.001], [0.999, 0.001]).requires_grad_()
        build("dice", form=form)(logits, row(0, 1, 1)).backward()
        slopes[form] = logits.grad[0, 1, 0, 1].abs().item()
    assert slopes["log"] > 100 * slopes["linear"]


@FORMS
@DENOMINATORS
@pytest.mark.parametrize("margin", [50.0, 80.0, 100.0, 1e4])
def test_a_class_found_nowhere_has_a_finite_loss_and_gradient(build, row, denominator, form, margin):
    """D underflows on the way to 0, whose log is infinite; a compound may multiply the slope, and so may a scaler."""
    logits = torch.tensor([[margin, margin], [0.0, 0.0]]).view(1, 2, 1, 2).requires_grad_()
    value = build("dice", denominator=denominator, form=form)(logits, row(0, 1))
    (1e6 * value).backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()

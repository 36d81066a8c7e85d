"""Focal: its law relative to cross-entropy, torchvision, NumPy in float64, and values a reader can work out."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pipeline.learn.torchvision_schemas import declare_missing_operators
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from tests.losses.reference import mean, valid_pixels

GAMMAS = pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 5.0])


def reference(loss, logits, target, weights, facts):
    """Lin et al., equation 4, over softmax; mean weighted by the true class."""
    p, g = valid_pixels(logits, target)
    p_true = (p * g).sum(axis=1)
    alpha = np.ones(g.shape[1]) if loss.alpha is None else np.array(loss.alpha)
    return mean(-((1 - p_true) ** loss.gamma) * np.log(p_true), g @ (alpha * weights))


def test_gamma_zero_is_cross_entropy(build, batch, weights):
    """With weights and void pixels."""
    assert_close(build("focal", gamma=0.0)(*batch, weights), build("cross_entropy")(*batch, weights))


@GAMMAS
@pytest.mark.parametrize("p", [0.01, 0.3, 0.5, 0.9, 0.99])
def test_focal_over_cross_entropy_is_the_factor(build, row, predict, p, gamma):
    """The law, not only a value: (1 - p)^gamma."""
    logits, truth = predict([p, 1 - p]), row(0)
    ratio = build("focal", gamma=gamma)(logits, truth) / build("cross_entropy")(logits, truth)
    assert ratio.item() == pytest.approx((1 - p) ** gamma, rel=1e-4)


def test_two_pixels_by_hand(build, row, predict):
    """p = 0.9 counts a hundredth of its cross-entropy, p = 0.5 a quarter."""
    loss = build("focal", gamma=2.0)(predict([0.9, 0.1], [0.5, 0.5]), row(0, 1))
    assert loss.item() == pytest.approx((-math.log(0.9) / 100 - math.log(0.5) / 4) / 2, rel=1e-5)


@GAMMAS
def test_binary_equals_the_sigmoid_form_of_torchvision(build, batch, gamma):
    """For two classes the softmax form is the paper's; alpha = -1 turns its weights off."""
    declare_missing_operators()
    sigmoid_focal_loss = pytest.importorskip("torchvision.ops").sigmoid_focal_loss
    logits, target = batch[0][:, :1], batch[1] % 2
    expected = sigmoid_focal_loss(logits[:, 0], target.float(), alpha=-1, gamma=gamma, reduction="mean")
    assert_close(build("focal", gamma=gamma)(logits, target), expected)


def test_hard_pixel_has_a_larger_share_of_the_gradient_the_larger_gamma(build, row, predict):
    """What gamma is for."""
    shares = []
    for gamma in (0.0, 1.0, 2.0, 5.0):
        logits = predict([0.9, 0.1], [0.3, 0.7]).requires_grad_()
        build("focal", gamma=gamma)(logits, row(0, 0)).backward()
        easy, hard = logits.grad.abs().sum(dim=(0, 1, 2))
        shares.append((hard / (easy + hard)).item())
    assert shares == sorted(shares)
    assert shares[0] < 0.9 < 0.99 < shares[-1]


@pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("certainty", [10.0, 30.0, 1e4])
def test_certain_and_correct_pixel_has_a_finite_gradient(build, row, gamma, certainty):
    """The slope of 0^gamma is infinite for gamma below 1."""
    logits = torch.tensor([certainty, -certainty]).view(1, 2, 1, 1).requires_grad_()
    build("focal", gamma=gamma)(logits, row(0)).backward()
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().max() < 1e-3


def test_void_pixels_may_hold_any_logits(build, batch):
    """The class looked up at a void pixel must not be 255."""
    logits, target = batch
    loss = build("focal")(logits.masked_fill((target == 255).unsqueeze(1), 50.0), target)
    assert_close(loss, build("focal")(logits, target))


# --- alpha: as long as there are classes, so what the contract tests ask of an option is asked here ---

ALPHA = [1.0, 2.0, 0.5, 4.0]


def test_alpha_multiplies_the_class_weights(build, batch, weights):
    """With and without weights."""
    loss = build("focal", alpha=ALPHA)
    assert_close(loss(*batch), build("focal")(*batch, torch.tensor(ALPHA)))
    assert_close(loss(*batch, weights), build("focal")(*batch, weights * torch.tensor(ALPHA)))


def test_alpha_equals_the_reference_in_float64(build, batch, weights):
    """Lin et al., equation 5, with the mean weighted."""
    loss = build("focal", alpha=ALPHA)
    expected = reference(loss, batch[0].double().numpy(), batch[1].numpy(), weights.double().numpy(), None)
    assert loss.in_float64(*batch, weights).item() == pytest.approx(expected, rel=1e-6)


def test_uniform_alpha_changes_nothing(build, batch, weights):
    """Only ratios matter, so it is no learning rate."""
    assert_close(build("focal", alpha=[3.0] * 4)(*batch, weights), build("focal")(*batch, weights))


def test_scaling_alpha_changes_nothing(build, batch):
    """As for class weights."""
    assert_close(build("focal", alpha=[50 * each for each in ALPHA])(*batch), build("focal", alpha=ALPHA)(*batch))


def test_alpha_of_the_paper(build, batch):
    """Torchvision's alpha = 0.25 for the second of two classes, once the sum is divided by the weights."""
    declare_missing_operators()
    sigmoid_focal_loss = pytest.importorskip("torchvision.ops").sigmoid_focal_loss
    logits, target = batch[0][:, :1], batch[1] % 2
    total = sigmoid_focal_loss(logits[:, 0], target.float(), alpha=0.25, gamma=2.0, reduction="sum")
    weights = torch.where(target == 1, 0.25, 0.75)
    assert_close(build("focal", alpha=[0.75, 0.25])(logits, target), total / weights.sum())


def test_alpha_of_another_length_refuses_the_dataset(build):
    """Before anything is trained, also where the loss is a term of a sum."""
    focal = build("focal", alpha=[1.0, 2.0, 3.0])
    assert focal.refuses_classes(3) is None
    assert focal.refuses_classes(4) == "'alpha' has 3 numbers; give one for each class."
    term = {"alpha": [1.0, 2.0, 3.0], "weight": 1.0}
    assert build("compound", terms={"focal": term, "dice": 1.0}).refuses_classes(4) == focal.refuses_classes(4)


@pytest.mark.parametrize("alpha", [[1.0, 0.0], [-1.0, 1.0], [float("nan"), 1.0], [float("inf"), 1.0], [1.0, "x"], 0.25])
def test_alpha_out_of_range_is_refused(alpha):
    """A class of weight 0 would be an ignored class."""
    with pytest.raises(UserError, match=r"x\.alpha"):
        plugins.build("losses", "focal", {"alpha": alpha}, "x")


def test_described_alpha_can_be_restored(build):
    """The plan is JSON."""
    loss = build("focal", alpha=ALPHA)
    assert plugins.restore("losses", loss.described(), "plan") == loss.loss

"""Bi-tempered: SciPy's root finder, its limits, and values a reader can work out."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from torch.testing import assert_close

from tests.losses.reference import mean, valid_pixels

TEMPERATURES = pytest.mark.parametrize(("t1", "t2"), [(1.0, 1.0), (0.8, 1.2), (0.0, 1.0), (0.5, 2.0), (0.2, 4.0)])


def log_t(x, t):
    return np.log(x) if t == 1 else (x ** (1 - t) - 1) / (1 - t)


def exp_t(x, t):
    return np.exp(x) if t == 1 else np.maximum(0, 1 + (1 - t) * x) ** (1 / (1 - t))


def tempered_softmax(z, t):
    """By bisection: lambda is at the largest logit, where the sum is at least 1, or above."""
    z = z - z.max()
    end = 1.0
    while exp_t(z - end, t).sum() > 1:
        end *= 2
    return exp_t(z - brentq(lambda x: exp_t(z - x, t).sum() - 1, 0, end, xtol=1e-15, rtol=1e-14), t)


def reference(loss, logits, target, weights, facts):
    """Amid et al.: sum over classes of y (log_t1 y - log_t1 p) - (y^(2-t1) - p^(2-t1)) / (2 - t1)."""
    z = np.moveaxis(logits, 1, -1)[target != 255]
    _, g = valid_pixels(logits, target)
    values = []
    for pixel, y in zip(z, g, strict=True):
        p, true = tempered_softmax(pixel, loss.t2), y.argmax()
        power = 2 - loss.t1  # at y = 0 its first term is 0
        values.append(-log_t(p[true], loss.t1) - ((y**power - p**power) / power).sum())
    return mean(np.array(values), g @ weights)


def test_both_temperatures_one_is_cross_entropy(build, batch, weights):
    """Where log_t and exp_t are log and exp."""
    assert_close(build("bi_tempered", t1=1.0, t2=1.0)(*batch, weights), build("cross_entropy")(*batch, weights))


def test_t1_zero_with_the_softmax_is_half_the_brier_score(build, batch):
    """log_0 x = x - 1."""
    p, g = valid_pixels(batch[0].double().numpy(), batch[1].numpy())
    loss = build("bi_tempered", t1=0.0, t2=1.0)(*batch)
    assert loss.item() == pytest.approx(((p - g) ** 2).sum(axis=1).mean() / 2, rel=1e-5)


def test_nearly_one_is_one(build, batch):
    """No digit is lost where 1 - t is small, in float32."""
    loss = build("bi_tempered", t1=1.0 - 1e-7, t2=1.0 + 1e-7)(*batch)
    assert_close(loss, build("cross_entropy")(*batch), rtol=1e-5, atol=1e-6)


def test_equal_logits_by_hand(build, row):
    """Two equal logits have p = 1/2 at any t2. At t1 = 0: 1/2 - (1 - 2/4) / 2."""
    loss = build("bi_tempered", t1=0.0, t2=2.0)(torch.zeros(1, 2, 1, 1), row(0))
    assert loss.item() == pytest.approx(0.25)


def test_t2_of_two_by_hand(build, row):
    """exp_2(x) = 1 / (1 - x): with lambda = 1/2 logits 0 and -3/2 have p = 2/3 and 1/3. At t1 = 0 half their squares."""
    logits = torch.tensor([0.0, -1.5]).view(1, 2, 1, 1)
    loss = build("bi_tempered", t1=0.0, t2=2.0)(logits, row(0))
    assert loss.item() == pytest.approx(((1 - 2 / 3) ** 2 + (1 / 3) ** 2) / 2)


@pytest.mark.parametrize(("t1", "bound"), [(0.0, 1.0), (0.5, 2.0), (0.8, 5.0)])
def test_t1_bounds_what_a_pixel_can_cost(build, row, t1, bound):
    """A wrong label costs at most 1 / (1 - t1), where cross-entropy would ask 20 000."""
    logits = torch.tensor([-1e4, 1e4]).view(1, 2, 1, 1)
    assert build("bi_tempered", t1=t1, t2=1.0)(logits, row(0)).item() == pytest.approx(bound, rel=1e-5)


def test_higher_t2_has_heavier_tails(build, row):
    """The same logits leave more to the other class, so being right costs more."""
    logits = torch.tensor([6.0, -6.0]).view(1, 2, 1, 1)
    losses = [build("bi_tempered", t2=t2)(logits, row(0)).item() for t2 in (1.0, 1.2, 2.0, 4.0)]
    assert losses == sorted(losses)


@TEMPERATURES
@pytest.mark.parametrize("classes", [2, 20])
def test_normaliser_is_found_for_many_classes_and_wide_logits(build, t1, t2, classes):
    """Where the iteration of the paper converges slowest; the gradient says the same as a difference quotient."""
    logits = 20 * torch.randn(1, classes, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    target = torch.arange(6).view(1, 2, 3) % classes
    loss = build("bi_tempered", t1=t1, t2=t2)
    expected = reference(loss, logits.numpy(), target.numpy(), np.ones(classes), None)
    assert loss.in_float64(logits, target).item() == pytest.approx(expected, rel=1e-6)
    assert torch.autograd.gradcheck(lambda logits: loss.in_float64(logits, target), logits.requires_grad_())


@TEMPERATURES
def test_adding_a_number_to_all_logits_changes_nothing(build, batch, t1, t2):
    """As for the softmax."""
    loss = build("bi_tempered", t1=t1, t2=t2)
    assert_close(loss(batch[0] + 8, batch[1]), loss(*batch), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("t1", [0.2, 0.5, 0.8, 1.0])
def test_pull_of_a_wrong_pixel_fades_as_a_power_of_p(build, row, t1):
    """What t1 is for: cross-entropy pulls with 1 however small p is, this with p^(1-t1)."""
    logits = torch.tensor([-5.0, 5.0]).view(1, 2, 1, 1).requires_grad_()
    build("bi_tempered", t1=t1, t2=1.0)(logits, row(0)).backward()
    assert logits.grad.abs().max().item() == pytest.approx(math.exp(-10 * (1 - t1)), rel=0.2)

"""Unified focal: the two-class equations of the paper, its parts as limits, which classes are rare, NumPy in float64."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pipeline.losses.base import Facts
from tests.losses.reference import mean, valid_pixels

FORMS = pytest.mark.parametrize("form", ["asymmetric", "symmetric"])
BALANCED = Facts(train_pixels=torch.tensor([10.0, 10.0, 10.0, 10.0]))  # none below an equal share


def reference(loss, logits, target, weights, facts):
    """Pixel by pixel and class by class, by the table in the docstring; 1 - p is what the other classes have."""
    p, g = valid_pixels(logits, target)
    classes = g.shape[1]
    rare = facts.train_pixels < facts.train_pixels.sum() / classes
    rare = rare if rare.any() else np.arange(classes) > 0
    symmetric = loss.form == "symmetric"

    focal = []
    for p_i, t in zip(p, g.argmax(axis=1), strict=True):
        price = loss.delta if rare[t] else 1 - loss.delta
        exponent = loss.gamma if symmetric or not rare[t] else 0
        focal.append(price * np.delete(p_i, t).sum() ** exponent * -np.log(p_i[t]))

    there, region = np.flatnonzero(g.any(axis=0)), []
    for c in there:
        true = g[:, c] == 1
        tp, fp, fn = p[true, c].sum(), p[~true, c].sum(), np.delete(p[true], c, axis=1).sum()
        mistakes = loss.delta * fn + (1 - loss.delta) * fp
        region.append((mistakes / (tp + mistakes)) ** (1 - loss.gamma if symmetric or rare[c] else 1))

    focal = mean(np.array(focal), g @ weights)
    return loss.weight * focal + (1 - loss.weight) * mean(np.array(region), weights[there])


def test_asymmetric_form_of_two_classes_is_that_of_the_paper(build, row, predict):
    """Foreground, of p = 0.6: -delta log 0.6. Background, of p = 0.9: -(1 - delta) 0.1^gamma log 0.9. Both indices by
    hand; the power acts on the foreground alone."""
    logits, truth = predict([0.4, 0.6], [0.9, 0.1]), row(1, 0)
    focal = (-0.6 * np.log(0.6) - 0.4 * 0.1**0.5 * np.log(0.9)) / 2
    foreground = 1 - 0.6 / (0.6 + 0.6 * 0.4 + 0.4 * 0.1)
    background = 1 - 0.9 / (0.9 + 0.6 * 0.1 + 0.4 * 0.4)
    expected = 0.5 * focal + 0.5 * (background + foreground**0.5) / 2
    assert build("unified_focal")(logits, truth).item() == pytest.approx(expected, rel=1e-5)


def test_symmetric_form_of_two_classes_is_that_of_the_authors(build, row, predict):
    """Suppression and enhancement on both; gamma is that of the asymmetric form, so the paper's here is 0.7."""
    logits, truth = predict([0.4, 0.6], [0.9, 0.1]), row(1, 0)
    focal = (-0.6 * 0.4**0.3 * np.log(0.6) - 0.4 * 0.1**0.3 * np.log(0.9)) / 2
    foreground = 1 - 0.6 / (0.6 + 0.6 * 0.4 + 0.4 * 0.1)
    background = 1 - 0.9 / (0.9 + 0.6 * 0.1 + 0.4 * 0.4)
    expected = 0.5 * focal + 0.5 * (background**0.7 + foreground**0.7) / 2
    loss = build("unified_focal", form="symmetric", gamma=0.3)
    assert loss(logits, truth).item() == pytest.approx(expected, rel=1e-5)


def test_the_smaller_of_two_classes_is_the_foreground_whatever_its_index(build, row, predict):
    """The paper knows which class is rare; here the train split says so."""
    loss = build("unified_focal").loss
    facts = [Facts(train_pixels=torch.tensor(pixels)) for pixels in ([90.0, 10.0], [10.0, 90.0])]
    one = loss(predict([0.4, 0.6], [0.9, 0.1]), row(1, 0), None, facts[0])
    other = loss(predict([0.6, 0.4], [0.1, 0.9]), row(0, 1), None, facts[1])
    assert_close(one, other)
    assert abs(one - loss(predict([0.4, 0.6], [0.9, 0.1]), row(1, 0), None, facts[1])) > 0.01


@FORMS
def test_unfocused_it_is_cross_entropy_and_dice(build, batch, weights, form):
    """gamma = 0 and delta = 1/2, in any mixture."""
    loss = build("unified_focal", form=form, weight=0.3, delta=0.5, gamma=0.0)
    expected = 0.3 / 2 * build("cross_entropy")(*batch, weights) + 0.7 * build("dice")(*batch, weights)
    assert_close(loss(*batch, weights), expected)


@FORMS
def test_without_focal_and_power_it_is_tversky(build, batch, weights, form):
    """delta is the price of false negatives."""
    loss = build("unified_focal", form=form, weight=0.0, delta=0.7, gamma=0.0)
    assert_close(loss(*batch, weights), build("tversky", alpha=0.3, beta=0.7)(*batch, weights))


def test_symmetric_region_term_is_focal_tversky(build, batch, weights):
    """With the exponent 1 - gamma = 3/4 = 1 / (4/3)."""
    loss = build("unified_focal", form="symmetric", weight=0.0, delta=0.7, gamma=0.25)
    assert_close(loss(*batch, weights), build("focal_tversky")(*batch, weights))


def test_symmetric_pixel_term_is_half_of_focal(build, batch, weights):
    """With equal prices of a half."""
    loss = build("unified_focal", form="symmetric", weight=1.0, delta=0.5, gamma=0.75)
    assert_close(loss(*batch, weights), build("focal", gamma=0.75)(*batch, weights) / 2)


@pytest.mark.parametrize("gamma", [0.2, 0.5, 0.9])
def test_rare_classes_keep_their_full_cross_entropy(build, row, predict, gamma):
    """What the asymmetric form is for: of the four classes here, all but class 0 are rare."""
    loss = build("unified_focal", weight=1.0, delta=0.6, gamma=gamma)
    p = [0.1, 0.2, 0.65, 0.05]
    assert loss(predict(p), row(2)).item() == pytest.approx(-0.6 * np.log(0.65), rel=1e-5)
    assert loss(predict(p), row(0)).item() == pytest.approx(-0.4 * 0.9**gamma * np.log(0.1), rel=1e-5)


@pytest.mark.parametrize(("pixels", "rare"), [((501, 499), 1), ((500, 500), 1), ((499, 501), 0)])
def test_of_two_classes_one_is_always_rare(build, row, predict, pixels, rare):
    """Of two alike it is class 1, the foreground by custom. By the paper's equations, with F of one pixel of either."""
    facts = Facts(train_pixels=torch.tensor([float(each) for each in pixels]))
    p = {0: 0.4, 1: 0.7}  # of the true class; what is withheld from one is given to the other
    logits = predict([p[0], 1 - p[0]], [1 - p[1], p[1]])
    common = 1 - rare
    focal = -0.6 * np.log(p[rare]) - 0.4 * (1 - p[common]) ** 0.5 * np.log(p[common])
    short = {c: 0.6 * (1 - p[c]) + 0.4 * (1 - p[1 - c]) for c in p}
    short = {c: short[c] / (p[c] + short[c]) for c in p}
    expected = 0.5 * focal / 2 + 0.5 * (short[common] + short[rare] ** 0.5) / 2
    assert build("unified_focal").loss(logits, row(0, 1), None, facts).item() == pytest.approx(expected, rel=1e-5)


def test_of_equal_shares_all_but_the_background_are_rare(build, row, predict):
    """A pixel of class 0 costs 1 - delta and is suppressed; one of another class costs delta, in full."""
    loss = build("unified_focal", weight=1.0, delta=0.6, gamma=0.5).loss
    logits = predict([0.1, 0.2, 0.65, 0.05])
    assert loss(logits, row(2), None, BALANCED).item() == pytest.approx(-0.6 * np.log(0.65), rel=1e-5)
    assert loss(logits, row(0), None, BALANCED).item() == pytest.approx(-0.4 * 0.9**0.5 * np.log(0.1), rel=1e-5)


@FORMS
@pytest.mark.parametrize("certainty", [8.0, 16.0, 30.0, 60.0, 1e4])
@pytest.mark.parametrize("gamma", [0.5, 0.9])
def test_a_nearly_perfect_prediction_has_a_finite_gradient(build, row, form, gamma, certainty):
    """The power of a class is infinitely steep where nothing is wrong any more."""
    logits = torch.tensor([[certainty, 0.0], [0.0, certainty]]).view(1, 2, 1, 2).requires_grad_()
    build("unified_focal", form=form, gamma=gamma)(logits, row(0, 1)).backward()
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().max() < 0.1


@FORMS
def test_scale_does_not_depend_on_how_many_classes_are_absent(build, batch, form):
    """With the same statistics for the classes that are there, and two more that are nowhere."""
    logits, target = batch
    more = torch.nn.functional.pad(logits, (0, 0, 0, 0, 0, 2), value=-1e4)
    facts = [Facts(train_pixels=torch.tensor([9e6, *[10.0] * rest])) for rest in (3, 5)]
    loss = build("unified_focal", form=form).loss
    assert_close(loss(more, target, None, facts[1]), loss(logits, target, None, facts[0]))

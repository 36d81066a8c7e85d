"""What any loss of segmentation should hold, each property a small function of a loss, this project's or another's."""

import math
from collections.abc import Callable
from typing import Any

import torch

from pipeline.conformance.experiment import Subject, Verdict, attempt, observe

PROPERTIES: dict[str, Callable[[Subject], Verdict]] = {}


def _property(head: str) -> Callable[[Callable[[Subject], Verdict]], Callable[[Subject], Verdict]]:
    """Names a property as its column of the matrix is headed."""

    def enter(function: Callable[[Subject], Verdict]) -> Callable[[Subject], Verdict]:
        PROPERTIES[head] = function
        return function

    return enter


def _batch(subject: Subject, side: int = 4, run: int = 5) -> str:
    """Two square images that both hold every class, in runs of so many pixels; the logits slightly favour the last."""
    c, n = subject.classes, 2 * side**2
    noise = f"torch.arange({n * c}.).mul(7).sin().mul(3).view(2, {c}, {side}, {side})"
    favour = f"torch.arange({c}.).div(2).view({c}, 1, 1)"
    return f"logits, target = {noise} + {favour}, torch.arange({n}).view(2, {side}, {side}) // {run} % {c}"


def _masked(subject: Subject) -> str:
    return f"{_batch(subject)}; masked = target.where(torch.arange(4).view(4, 1) < 3, 255)"


def _certain(classes: int, target: str) -> str:
    """Logits of the prediction that is right and sure."""
    return f"60. * torch.eye({classes})[{target}].movedim(-1, 1)"


GRADIENT = "torch.autograd.grad({loss}, logits)[0]"
EQUAL = "should be equal"


def _close(*values: float) -> bool:
    """Up to the small constants with which most implementations avoid 0 / 0."""
    return all(math.isclose(value, values[0], rel_tol=1e-3, abs_tol=1e-4) for value in values)


def _finite(*values: float) -> bool:
    return all(map(math.isfinite, values))


def _zero(*values: float) -> bool:
    return all(abs(value) < 1e-6 for value in values)


@_property("value")
def equals_what_its_name_promises(subject: Subject) -> Verdict:
    """The value is that of the equation, computed in NumPy and float64; no pixel is void, no class absent."""
    names: dict[str, Any] = {"torch": torch}
    exec(_batch(subject), names)
    promised = subject.promise(names["logits"].double().numpy(), names["target"].numpy())
    expected = f"promised {promised:.4g}"
    return attempt(subject, _batch(subject), "loss(logits, target)", expected, lambda value: _close(value, promised))


@_property("minimum")
def perfect_prediction_is_the_minimum(subject: Subject) -> Verdict:
    """No prediction costs less than the one that is right and sure."""
    given = f"{_batch(subject)}; perfect = {_certain(subject.classes, 'target')}"
    measured = "loss(perfect, target), loss(logits, target), loss(0 * logits, target), loss(-perfect, target)"
    return attempt(
        subject, given, measured, "the first should be least", lambda first, *rest: first <= min(rest) + 1e-5
    )


@_property("void: mean")
def ignored_pixels_leave_the_mean(subject: Subject) -> Verdict:
    """To mask the last row of the images is to crop it."""
    if not subject.void:
        return Verdict("not offered")
    measured = "loss(logits, masked), loss(logits[:, :, :3].contiguous(), target[:, :3].contiguous())"
    return attempt(subject, _masked(subject), measured, EQUAL, _close)


@_property("void: gradient")
def ignored_pixels_have_no_gradient(subject: Subject) -> Verdict:
    """Nothing is learnt from a pixel that nobody labelled."""
    if not subject.void:
        return Verdict("not offered")
    given = f"{_masked(subject)}; logits.requires_grad_()"
    measured = GRADIENT.format(loss="loss(logits, masked)") + "[:, :, 3:].abs().max()"
    return attempt(subject, given, measured, "should be 0", lambda gradient: gradient == 0)


@_property("all void")
def batch_of_ignored_pixels_costs_nothing(subject: Subject) -> Verdict:
    """0 with a gradient of 0, so that one unlucky batch does not end a training."""
    if not subject.void:
        return Verdict("not offered")
    given = f"{_batch(subject)}; target = torch.full_like(target, 255); logits.requires_grad_()"
    measured = f"loss(logits, target), {GRADIENT.format(loss='loss(logits, target)')}.abs().max()"
    return attempt(subject, given, measured, "both should be 0", _zero)


@_property("absent: finite")
def absent_class_gives_a_finite_loss(subject: Subject) -> Verdict:
    """Value and gradient where only class 0 has pixels."""
    given = f"{_batch(subject)}; target = 0 * target; logits.requires_grad_()"
    measured = f"loss(logits, target), {GRADIENT.format(loss='loss(logits, target)')}.abs().max()"
    return attempt(subject, given, measured, "both should be finite", _finite)


@_property("absent: scale")
def absent_classes_do_not_change_the_scale(subject: Subject) -> Verdict:
    """Classes that have no pixel and are predicted nowhere leave the value as it is, however many they are."""
    if subject.classes == 2:
        return Verdict("not offered")
    given = f"{_batch(subject)}; more = torch.nn.functional.pad(logits, (0, 0, 0, 0, 0, 3), value=-1e4)"
    return attempt(subject, given, "loss(more, target), loss(logits, target)", EQUAL, _close)


@_property("empty mask")
def false_positives_on_an_empty_mask_are_paid_for(subject: Subject) -> Verdict:
    """Half the background taken for class 1 costs more than none of it."""
    right = _certain(subject.classes, "target")
    given = f"target = torch.zeros(2, 4, 4, dtype=torch.int64); right = {right}; wrong = right.clone()"
    given += "; wrong[:, :2, :2] = right[:, :2, :2].flip(1)"
    measured = "loss(right, target), loss(wrong, target)"
    return attempt(subject, given, measured, "the second should be more", lambda right, wrong: wrong > right + 1e-3)


@_property("weights: uniform")
def uniform_weights_are_no_weights(subject: Subject) -> Verdict:
    """To turn weighting on with equal weights is not to change the learning rate."""
    if not subject.weights:
        return Verdict("not offered")
    measured = f"loss(logits, target), loss(logits, target, torch.full(({subject.classes},), 5.0))"
    return attempt(subject, _batch(subject), measured, EQUAL, _close)


@_property("weights: scale")
def scaling_the_weights_changes_nothing(subject: Subject) -> Verdict:
    """Only their ratios matter; unequal weights do change the value."""
    if not subject.weights:
        return Verdict("not offered")
    given = f"{_batch(subject, side=12, run=57)}; w = 10.0 ** torch.arange({subject.classes})"
    measured = "loss(logits, target), loss(logits, target, w), loss(logits, target, 10 * w)"
    return attempt(
        subject,
        given,
        measured,
        "the last two should be equal, and not the first",
        lambda none, one, ten: _close(one, ten) and not math.isclose(none, one, rel_tol=1e-5),
    )


@_property("float16")
def half_precision_is_near_float32(subject: Subject) -> Verdict:
    """90 000 pixels of logits in float16, whose largest number is 65 504, on the CPU and without autocast. One pixel in
    a hundred is of class 1, the others of class 0."""
    c = subject.classes
    logits = f"torch.arange({90000 * c}.).fmod(97).sub(48).div(16).view(1, {c}, 300, 300)"
    given = f"logits, target = {logits}, (torch.arange(90000) % 100 == 0).long().view(1, 300, 300)"
    given += "; half = logits.half().requires_grad_()"
    measured = "loss(half, target), loss(logits, target), "
    measured += "torch.autograd.grad(loss(half, target), half)[0].abs().max()"
    expected = "the first two should be near, the third finite"
    return attempt(
        subject,
        given,
        measured,
        expected,
        lambda half, single, gradient: math.isclose(half, single, rel_tol=0.02) and _finite(gradient),
        digits=2,
    )


@_property("extreme")
def extreme_logits_give_a_finite_loss(subject: Subject) -> Verdict:
    """Value and gradient at logits of 1e4 and -1e4, right and wrong ones."""
    given = f"{_batch(subject)}; logits = 1e4 * logits.sign().requires_grad_()"
    measured = f"loss(logits, target), {GRADIENT.format(loss='loss(logits, target)')}.abs().max()"
    return attempt(subject, given, measured, "both should be finite", _finite)


@_property("order")
def order_of_classes_and_images_does_not_matter(subject: Subject) -> Verdict:
    """Background is a class as any other, unless the loss is of two classes; and a batch is a set."""
    given, measured = _batch(subject), "loss(logits, target), loss(logits.flip(0), target.flip(0))"
    if subject.classes > 2:
        given += f"; order = torch.arange({subject.classes}).roll(1)"
        measured += ", loss(logits[:, order], order.argsort()[target])"
    return attempt(subject, given, measured, EQUAL, _close)


@_property("gradcheck")
def gradient_is_that_of_the_value(subject: Subject) -> Verdict:
    """`torch.autograd.gradcheck` in float64, where the loss computes in float64."""
    given = f"{_batch(subject)}; logits = logits.double().requires_grad_()"
    if observe(subject.loss, given, "loss(logits, target).dtype == torch.float64") == (0.0,):
        return Verdict("not offered")
    measured = "torch.autograd.gradcheck(lambda x: loss(x, target), logits, raise_exception=False)"
    return attempt(subject, given, measured, "should be 1 for true", lambda good: good == 1)


@_property("options")
def each_option_changes_the_value(subject: Subject) -> Verdict:
    """An option without effect is a lie in the documentation. The images are larger here, to have room for windows."""
    if not subject.options:
        return Verdict("not offered")
    measured = ", ".join(["loss(logits, target)", *(f"loss(logits, target, {option})" for option in subject.options)])
    expected = "none should equal the first"
    return attempt(
        subject,
        _batch(subject, side=12, run=57),
        measured,
        expected,
        lambda first, *rest: all(math.isfinite(one) and not math.isclose(one, first, rel_tol=1e-6) for one in rest),
    )


def judge(subject: Subject) -> dict[str, Verdict]:
    """The verdict of every property, by its head."""
    return {head: check(subject) for head, check in PROPERTIES.items()}

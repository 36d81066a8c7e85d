"""The suite that judges other libraries, over our own losses; and of each of its properties, that it can fail.

The contract test of the losses is stricter (drawn batches, every option); this one shows that nothing is asked of others
that we do not hold, and where we do not, it says why.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pipeline.conformance import references as ref
from pipeline.conformance.experiment import Subject, Verdict
from pipeline.conformance.properties import PROPERTIES, judge
from pipeline.conformance.references import over_batch
from pipeline.plumbing import plugins
from tests.losses.informed import Informed
from tests.losses.variants import FOR_FOUR_CLASSES, KINDS, NEEDED, OWN_OPTIONS, build_loss, moved, reference_value

BY_ITS_DEFINITION = {  # why a property is not one of ours
    ("l1", "absent: scale"): "an error is spread over all classes",
    ("gradient", "absent: scale"): "an edge where the truth has none is an error, so absent classes stay in the mean",
    (
        "class_share",
        "absent: scale",
    ): "a share where the truth has none is an error, so absent classes stay in the mean",
    ("nacl", "absent: scale"): "the logits of an absent class are held close to 0",
    ("nacl", "minimum"): "certainty costs",
    ("boundary", "empty mask"): "a class that fills the image has no boundary to be far from",
    ("hausdorff", "empty mask"): "a class that fills the image has no boundary to be far from",
    ("cl_dice", "empty mask"): "a class that fills the image has no centre line",
    ("unified_focal", "order"): "of classes of equal shares the first is not rare, being the background by custom",
    ("mcc", "empty mask"): "what does not vary has no correlation",
    ("region_mutual_information", "empty mask"): "what does not vary has no information",
}


class Alike(Informed):
    """Tells a loss that all classes are equally frequent, so that they may change their names."""

    def facts(self, target, classes):
        pixels = torch.full((classes,), 900.0)
        return super().facts(target, classes)._replace(train_pixels=pixels, train_images=pixels / 30)


def our(kind: str) -> Subject:
    """A loss of pipeline/losses, asked like those of others."""

    def build(**options):
        return Alike(plugins.build("losses", kind, NEEDED.get(kind, {}) | options, kind))

    def promise(logits: np.ndarray, target: np.ndarray) -> float:
        return reference_value(build(), torch.from_numpy(logits), torch.from_numpy(target), None)

    return Subject(
        loss=lambda logits, target, w=None, **options: build(**options)(logits, target, w),
        promise=promise,
        weights=build().refuses_class_weights() is None,
        options=tuple(
            f"**{ {option: value} }"
            for owner, option in OWN_OPTIONS
            if owner == kind and (owner, option) not in FOR_FOUR_CLASSES
            for value in moved(kind, option)
        ),
    )


@pytest.mark.parametrize("head", PROPERTIES)
@pytest.mark.parametrize("kind", KINDS)
def test_our_losses_hold_what_is_asked_of_others(kind, head):
    """Each property, or a reason in the definition of the loss."""
    subject = our(kind)
    if head == "gradcheck":  # the entrance of our losses is float32
        informed = Alike(plugins.build("losses", kind, NEEDED.get(kind, {}), kind))
        subject = replace(subject, loss=lambda logits, target: informed.in_float64(logits, target))
    if head == "options":  # some act on how rare a class is
        subject = replace(subject, loss=lambda logits, target, **options: build_loss(kind, options)(logits, target))
    verdict = PROPERTIES[head](subject)
    if (kind, head) in BY_ITS_DEFINITION:
        assert verdict.outcome == "fail", "the exception is no longer needed"
        pytest.skip(BY_ITS_DEFINITION[kind, head])
    assert verdict.outcome != "fail", f"{verdict.given}\n{verdict.shown}  # {verdict.observed}"


def test_a_loss_offers_what_it_says():
    """Nothing passes because it was not run."""
    outcomes = {head: verdict.outcome for head, verdict in judge(our("focal")).items() if head != "gradcheck"}
    assert set(outcomes.values()) == {"pass"}


# --- each property can fail ---


def no_mask(logits, target):
    """A void pixel is taken for background."""
    return F.cross_entropy(logits.float(), target.where(target != 255, 0))


def mean_over_all_pixels(logits, target):
    """Void pixels cost nothing and count."""
    return F.cross_entropy(logits, target, ignore_index=255, reduction="none").mean()


def half_precision_sums(logits, target):
    """A plain sum in the type of the logits."""
    values = F.cross_entropy(logits, target, ignore_index=255, reduction="none")
    return values.cumsum(-1)[..., -1].cumsum(-1)[..., -1].sum() / (target != 255).to(logits.dtype).sum()


def dice_of_each_class(logits, target):
    p, g = logits.float().softmax(1), F.one_hot(target, logits.shape[1]).movedim(-1, 1)
    return 1 - 2 * (p * g).sum((0, 2, 3)) / (p + g).sum((0, 2, 3)), g.sum((0, 2, 3))


def absent_class_counted_as_0(logits, target):
    """And still divided by."""
    values, pixels = dice_of_each_class(logits, target)
    return (values * (pixels > 0)).mean()


def absent_class_divided_by_its_size(logits, target):
    """0 / 0: recall of a class without pixels."""
    p, g = logits.softmax(1), F.one_hot(target, logits.shape[1]).movedim(-1, 1)
    return (1 - (p * g).sum((0, 2, 3)) / g.sum((0, 2, 3))).mean()


def foreground_alone(logits, target):
    """Dice of the classes from 1 on, 0 where they are absent."""
    values, pixels = dice_of_each_class(logits, target)
    return (values * (pixels > 0))[1:].mean()


def weighted_sum(logits, target, w=None):
    """The weights are not divided by."""
    return F.cross_entropy(logits, target, w, reduction="none").mean()


def log_of_softmax(logits, target):
    """log 0."""
    return F.nll_loss(logits.softmax(1).log(), target)


def detached(logits, target):
    """A part of the gradient is lost."""
    return (F.cross_entropy(logits, target, reduction="none") * logits.detach().softmax(1)[:, 0]).mean()


PROMISED = over_batch(ref.cross_entropy)
BROKEN = {
    "value": (lambda logits, target: 2 * F.cross_entropy(logits, target), "promised"),
    "minimum": (lambda logits, target: -F.cross_entropy(logits, target), "should be least"),
    "void: mean": (mean_over_all_pixels, "should be equal"),
    "void: gradient": (no_mask, "should be 0"),
    "all void": (lambda logits, target: F.cross_entropy(logits, target, ignore_index=255), "nan 0"),
    "absent: finite": (absent_class_divided_by_its_size, "nan nan"),
    "absent: scale": (absent_class_counted_as_0, "should be equal"),
    "empty mask": (foreground_alone, "0 0"),
    "weights: uniform": (weighted_sum, "should be equal"),
    "weights: scale": (weighted_sum, "should be equal"),
    "float16": (half_precision_sums, "should be near"),
    "extreme": (log_of_softmax, "inf nan"),
    "order": (foreground_alone, "should be equal"),
    "gradcheck": (detached, "0; should be 1"),
    "options": (lambda logits, target, gamma=2.0: F.cross_entropy(logits, target), "none should equal"),
}


def broken(loss) -> Subject:
    return Subject(loss=loss, promise=PROMISED, options=("gamma=3.0",))


def test_every_property_has_a_loss_that_breaks_it():
    assert list(BROKEN) == list(PROPERTIES)


@pytest.mark.parametrize("head", BROKEN)
def test_a_broken_loss_is_found(head):
    """With the numbers that show it."""
    loss, observed = BROKEN[head]
    verdict = PROPERTIES[head](broken(loss))
    assert verdict.outcome == "fail"
    assert observed in verdict.observed


@pytest.mark.parametrize(
    ("loss", "fails"),
    [
        (no_mask, {"void: mean", "void: gradient", "all void"}),
        (mean_over_all_pixels, {"void: mean"}),
        (half_precision_sums, {"float16", "all void"}),
        (absent_class_counted_as_0, {"value", "absent: scale"}),
    ],
)
def test_a_broken_loss_fails_where_it_is_broken_and_nowhere_else(loss, fails):
    """Of the properties that it offers: no weights, no options; Dice without ignored pixels."""
    subject = replace(broken(loss), weights=False, options=(), void=loss is not absent_class_counted_as_0)
    verdicts = judge(subject)
    assert {head for head, verdict in verdicts.items() if verdict.outcome == "fail"} == fails


@pytest.mark.parametrize("head", ["void: mean", "weights: uniform", "options"])
def test_what_a_loss_does_not_offer_is_no_failure(head):
    subject = Subject(loss=mean_over_all_pixels, promise=PROMISED, void=False, weights=False)
    assert PROPERTIES[head](subject) == Verdict("not offered")


def test_an_exception_is_a_failure():
    """A user would meet it."""
    verdict = PROPERTIES["value"](broken(lambda logits, target: F.cross_entropy(logits, target.double())))
    assert verdict.outcome == "fail"
    assert verdict.observed.startswith("RuntimeError: ")

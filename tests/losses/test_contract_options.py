"""The contract of the options of a loss, over every file in pipeline/losses: each does what it says, or is refused.

An option may do nothing with one logit channel or with two classes, where one class is the mirror image of the other,
and still look alive with more; so each is moved with one channel, two classes and four, and only with class weights
that a strategy can give: all above 0.
"""

import itertools

import pytest
import torch

from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from tests.losses.variants import CLASSES, KINDS, NEEDED, OPTIONS, OTHER_VALUES, OWN_OPTIONS, SHARED, build_loss, moved

CANNOT_ACT = {  # with one channel and with two classes, and why
    ("class_share", "class weights"): "one of two classes lacks what the other has too much",
    ("gradient", "background"): "both of two classes have the same edges",
    ("gradient", "class weights"): "both of two classes have the same edges",
    ("mcc", "background"): "both of two classes have the same correlation",
    ("region_mutual_information", "class weights"): "a class and its complement explain each other alike",
    ("skeleton_recall", "class weights"): "the loss is that of the foreground, and charges no false positive",
}
TRADES = {  # options by which recall is bought with precision: whether more of them favours recall
    ("f_beta", "beta"): True,
    ("focal_tversky", "alpha"): False,
    ("focal_tversky", "beta"): True,
    ("sensitivity_specificity", "weight"): True,
    ("tversky", "alpha"): False,
    ("tversky", "beta"): True,
    ("unified_focal", "delta"): True,
}
CHANNELS = pytest.mark.parametrize("channels", [1, 2, 4])


def batch_of(channels):
    """Two images, each with all classes, in runs so that shapes have an inside, and some void pixels."""
    generator = torch.Generator().manual_seed(0)
    classes = max(2, channels)
    logits = 2 * torch.randn(2, channels, 12, 12, generator=generator)
    target = torch.arange(288).view(2, 12, 12) // 30 % classes
    target[0, :2, :5] = 255
    return logits, target


def weights_of(channels):
    return torch.tensor([1.0, 3.0, 0.5, 2.0])[: max(2, channels)]


def values_of(kind, option, channels):
    """Values of an option, the default first, of which each differs from the others with so many channels."""
    if option in SHARED:
        return (
            moved(kind, option) if CLASSES[kind].model_fields[option].default is None else [None, *moved(kind, option)]
        )
    if (kind, option) == ("focal", "alpha"):
        return [None, [1.0, 2.0, 0.5, 4.0][: max(2, channels)]]
    return [None, *moved(kind, option)]


def outcome(kind, option, value, logits, target, weights):
    """Value and gradient of a loss with one option moved, or with its defaults where the value is None."""
    logits = logits.clone().requires_grad_()
    loss = build_loss(kind, {} if value is None else {option: value})(logits, target, weights)
    loss.backward()
    return torch.cat([loss.detach().view(1), 100 * logits.grad.flatten()])  # a gradient is spread over the pixels


@CHANNELS
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("kind", "option"), OPTIONS)
def test_each_option_moved_alone_changes_value_or_gradient(kind, option, weighted, channels):
    """An option without effect would be a lie on the leaderboard."""
    if channels < 4 and (kind, option) in CANNOT_ACT and not (weighted and kind == "mcc"):
        pytest.skip(CANNOT_ACT[kind, option])
    if weighted and build_loss(kind, {}).refuses_class_weights():
        pytest.skip("takes no class weights")
    logits, target = batch_of(channels)
    if option == "absent":
        target[0] = target[0].where(target[0] != 1, 0)
        target[1] = target[1].where(target[1] != 1, 0)
    weights = weights_of(channels) if weighted else None
    values = values_of(kind, option, channels)
    outcomes = [outcome(kind, option, value, logits, target, weights) for value in values]
    assert len(outcomes) > 1
    for each in outcomes[1:]:
        assert (each - outcomes[0]).abs().max() > 1e-4


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 1.5])])
@pytest.mark.parametrize(("kind", "option"), TRADES)
def test_the_trade_of_precision_for_recall_acts_with_classes_of_equal_size(kind, option, weights, channels, row):
    """A miss and a false alarm cost more and less, relative to each other, with every step of the option."""
    truth = row(0, 0, 0, 1, 1, 1)
    miss, false_alarm = (torch.tensor([[[wrong]]]).float() for wrong in ([-9, -9, -9, -9, 9, 9], [-9, -9, 9, 9, 9, 9]))
    gaps = []
    for value in (0.2, 0.5, 0.9):
        loss = build_loss(kind, {option: value})
        costs = [
            loss(logits if channels == 1 else torch.cat([0 * logits, logits], 1), truth, weights)
            for logits in (miss, false_alarm)
        ]
        gaps.append((costs[0] / costs[1]).item())
    steps = [after / before for before, after in itertools.pairwise(gaps)]
    assert all(step > 1.05 if TRADES[kind, option] else step < 0.95 for step in steps)


@CHANNELS
@pytest.mark.parametrize("kind", KINDS)
def test_unequal_class_weights_change_the_gradient(kind, channels):
    """They must not be accepted and ignored, whatever the number of classes."""
    if channels < 4 and (kind, "class weights") in CANNOT_ACT:
        pytest.skip(CANNOT_ACT[kind, "class weights"])
    if reason := build_loss(kind, {}).refuses_class_weights():
        pytest.skip(reason)
    logits, target = batch_of(channels)
    one, other = (outcome(kind, None, None, logits, target, weights) for weights in (None, weights_of(channels)))
    assert (one[1:] - other[1:]).abs().max() > 1e-4


@pytest.mark.parametrize(("kind", "option"), OPTIONS)
def test_misspelt_option_is_refused_with_the_right_spelling(kind, option):
    """A typing error must not leave the default in force."""
    typo = option + option[-1]
    known = ", ".join(sorted(CLASSES[kind].model_fields))
    with pytest.raises(UserError) as error:
        plugins.build("losses", kind, NEEDED.get(kind, {}) | {typo: 1.0}, "params.yaml: x")
    assert str(error.value) == f"params.yaml: x.{typo}: unknown key. Did you mean '{option}'? Known: {known}."


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_option_is_refused(kind):
    """Also by the losses that have no options."""
    described = build_loss(kind, {}).described()
    with pytest.raises(UserError, match=r"x\.colour: unknown key"):
        plugins.build("losses", described["kind"], described | {"colour": 1}, "x")


@pytest.mark.parametrize(("kind", "option"), [pair for pair in OWN_OPTIONS if pair not in OTHER_VALUES])
@pytest.mark.parametrize("value", [-1.0, 1e9, float("nan"), "nonsense", None])
def test_value_out_of_range_is_refused(kind, option, value):
    """Every range in a docstring is enforced, and the message names the key."""
    with pytest.raises(UserError, match=rf"x\.{option}: "):
        plugins.build("losses", kind, NEEDED.get(kind, {}) | {option: value}, "x")


@pytest.mark.parametrize(("kind", "option"), [pair for pair in OPTIONS if pair[1] in SHARED])
@pytest.mark.parametrize("value", [1.0, "nonsense", ["batch"]])
def test_value_that_is_no_choice_is_refused(kind, option, value):
    """Also of an option that may be left open."""
    with pytest.raises(UserError, match=rf"x\.{option}: "):
        plugins.build("losses", kind, {option: value}, "x")

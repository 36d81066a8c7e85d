"""Compound: the sum by hand, and a sentence for each mistake in its terms."""

import pytest
import torch
from torch.testing import assert_close

from pipeline.losses.dice import Dice
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError

KNOWN = ", ".join(plugins.kinds("losses"))


def refusal(build, terms):
    with pytest.raises(UserError) as error:
        build("compound", terms=terms)
    return str(error.value)


def test_weighted_sum_of_its_terms(build, batch, weights):
    """2 CE + 0.5 Dice, each with the class weights; the weights of terms need not sum to 1."""
    expected = 2 * build("cross_entropy")(*batch, weights) + 0.5 * build("dice")(*batch, weights)
    assert_close(build("compound", terms={"cross_entropy": 2, "dice": 0.5})(*batch, weights), expected)


def test_terms_may_have_options_and_names_of_their_own(build, batch):
    """Two terms of one kind."""
    terms = {"easy": {"kind": "focal", "gamma": 1.0, "weight": 3.0}, "focal": {"gamma": 5.0, "weight": 0.5}}
    expected = 3 * build("focal", gamma=1.0)(*batch) + 0.5 * build("focal", gamma=5.0)(*batch)
    assert_close(build("compound", terms=terms)(*batch), expected)


def test_term_may_be_a_compound(build, batch):
    """0.5 (CE + Dice) + L1."""
    inner = {"kind": "compound", "weight": 0.5, "terms": {"cross_entropy": 1.0, "dice": 1.0}}
    expected = 0.5 * (build("cross_entropy")(*batch) + build("dice")(*batch)) + build("l1")(*batch)
    assert_close(build("compound", terms={"region": inner, "l1": 1.0})(*batch), expected)


def test_gradient_of_the_sum_is_the_sum_of_gradients(build, batch):
    """No term is cut off from the graph."""
    gradients = []
    for loss in (build("compound", terms={"l1": 2.0, "gradient": 3.0}), build("l1"), build("gradient")):
        logits = batch[0].clone().requires_grad_()
        loss(logits, batch[1]).backward()
        gradients.append(logits.grad)
    assert_close(gradients[0], 2 * gradients[1] + 3 * gradients[2])


def test_code_of_every_term_is_part_of_the_fingerprint(build):
    """A change of dice.py must make results of a compound with Dice stale."""
    inner = {"kind": "compound", "weight": 1.0, "terms": {"focal": 1.0, "dice": 1.0}}
    modules = build("compound", terms={"inner": inner, "l1": 1.0}).modules()
    assert {f"pipeline.losses.{kind}" for kind in ("compound", "focal", "dice", "l1")} <= set(modules)


def test_takes_class_weights_only_if_all_its_terms_do(build, monkeypatch):
    """The reason is that of the term."""
    compound = build("compound", terms={"cross_entropy": 1.0, "dice": 1.0})
    assert compound.refuses_class_weights() is None
    monkeypatch.setattr(Dice, "refuses_class_weights", lambda self: "has no classes")
    assert compound.refuses_class_weights() == "has no classes"


@pytest.mark.parametrize("weight", [0, -1.0, True, "1", None, float("inf"), float("nan"), [1.0]])
def test_bad_weight_is_refused(build, weight):
    """The sentence says where it is, what is needed and what was given."""
    sentence = f"compound.terms.dice: needs a weight above 0, as in `dice: 1.0`, not {weight!r}."
    assert refusal(build, {"cross_entropy": 1.0, "dice": weight}) == sentence


def test_mapping_without_a_weight_is_refused(build):
    """There is no weight that everybody would expect."""
    sentence = "compound.terms.focal: needs a weight above 0, as in `focal: 1.0`, not {'gamma': 1.0}."
    assert refusal(build, {"cross_entropy": 1.0, "focal": {"gamma": 1.0}}) == sentence


@pytest.mark.parametrize("terms", [{}, {"dice": 1.0}])
def test_fewer_than_two_terms_are_refused(build, terms):
    """A sum of one loss is that loss under another name."""
    assert refusal(build, terms) == f"compound.terms: a sum needs at least two terms, this one has {len(terms)}."


def test_unknown_term_is_refused_with_the_nearest_name(build):
    """The place in params.yaml, the file that was looked for, and what was probably meant."""
    sentence = f"compound.terms.dcie: no pipeline/losses/dcie.py. Did you mean 'dice'? Known: {KNOWN}."
    assert refusal(build, {"cross_entropy": 1.0, "dcie": 1.0}) == sentence


def test_unknown_option_of_a_term_is_refused_with_the_nearest_name(build):
    """As in an entry of its own."""
    sentence = "compound.terms.focal.gama: unknown key. Did you mean 'gamma'? Known: gamma."
    assert refusal(build, {"cross_entropy": 1.0, "focal": {"weight": 1.0, "gama": 2.0}}) == sentence


def test_missing_terms_are_refused(build):
    """There is no sum to fall back to."""
    with pytest.raises(UserError, match=r"^compound\.terms: missing; this key has no default\.$"):
        build("compound")


def test_the_place_named_is_that_of_the_entry():
    """The reader looks into params.yaml, not into our code."""
    with pytest.raises(UserError, match=r"^params\.yaml: losses\.mix\.terms: a sum needs"):
        plugins.build("losses", "mix", {"kind": "compound", "terms": {}}, "params.yaml: losses.mix")


def test_weights_of_terms_change_their_shares(build, row, predict_surely):
    """A wrong pixel of two costs L1 1/2 and Dice 2/3 (truth 0 0, prediction 0 1: Dice of class 0 is 2 / 3)."""
    prediction, truth = predict_surely(0, 1, classes=2), row(0, 0)
    loss = build("compound", terms={"l1": 1.0, "dice": 6.0})(prediction, truth)
    assert loss.item() == pytest.approx(1 / 2 + 6 * (1 / 3))
    assert loss.dtype == torch.float32

"""Compound: the sum by hand, and a sentence for each mistake in its terms."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pipeline.losses.base import Facts
from pipeline.losses.compound import Ramp
from pipeline.losses.dice import Dice
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from tests.losses.reference import reference_of

KNOWN = ", ".join(plugins.kinds("losses"))


def reference(loss, logits, target, weights, facts):
    """The references of the terms, summed; Kendall et al., equation 10, where weights are learned."""
    total = 0.0
    for k, (name, block) in enumerate(loss.terms.items()):
        options = dict(block) if isinstance(block, dict) else {"weight": block}
        weight = options.pop("weight")
        if isinstance(weight, dict):
            weight = weight["start"] + facts.progress * (weight["end"] - weight["start"])
        term = plugins.build("losses", name, options, name)
        value = reference_of(term, logits, target, weights, facts)
        if loss.weights == "learned":
            s = facts.learned[k]
            value = (np.exp(-s) * value + s / 2) * (target != 255).any()
        total += weight * value
    return total


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
    sentence = "compound.terms.focal.gama: unknown key. Did you mean 'gamma'? Known: alpha, gamma."
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
    """A wrong pixel of two costs L1 1/2 and Dice 1/3 (truth 1 1, prediction 1 0: Dice of the foreground is 2 / 3)."""
    prediction, truth = predict_surely(1, 0, classes=2), row(1, 1)
    loss = build("compound", terms={"l1": 1.0, "dice": 6.0})(prediction, truth)
    assert loss.item() == pytest.approx(1 / 2 + 6 * (1 / 3))
    assert loss.dtype == torch.float32


def test_ramp_and_switch_follow_the_share_of_iterations_done():
    """From 2 to 0 between 20 % and 60 %: halfway at 40 %; a switch changes at its iteration and not before."""
    ramp = Ramp(start=2.0, end=0.0, between=(0.2, 0.6))
    assert [ramp.at(progress) for progress in (0.0, 0.2, 0.4, 0.6, 0.9)] == pytest.approx([2, 2, 1, 0, 0])
    switch = Ramp(start=0.0, end=1.0, between=(0.5, 0.5))
    assert [switch.at(progress) for progress in (0.0, 0.49, 0.5, 1.0)] == [0, 0, 1, 1]


def test_two_stages_are_one_loss_after_the_other(build, batch):
    """Cross-entropy alone in the first half, Dice alone in the second."""
    first = {"weight": {"start": 1.0, "end": 0.0, "between": [0.5, 0.5]}}
    second = {"weight": {"start": 0.0, "end": 1.0, "between": [0.5, 0.5]}}
    loss = build("compound", terms={"cross_entropy": first, "dice": second}).loss
    at = [loss(*batch, facts=Facts(progress=progress)) for progress in (0.49, 0.5)]
    assert_close(torch.stack(at), torch.stack([build("cross_entropy")(*batch), build("dice")(*batch)]))


def test_learned_weights_start_at_those_given_and_settle_where_the_paper_says(build, batch):
    """Setting the derivative to zero gives exp(s) = 2 L: a term that stays large loses its say."""
    loss = build("compound", terms={"cross_entropy": 1.0, "dice": 0.5}, weights="learned").loss
    assert loss.learned_numbers() == 2
    s = torch.zeros(2, requires_grad=True)
    start = loss(*batch, facts=Facts(learned=s))
    assert_close(start, build("cross_entropy")(*batch) + 0.5 * build("dice")(*batch))
    optimizer = torch.optim.Adam([s], lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        loss(*batch, facts=Facts(learned=s)).backward()
        optimizer.step()
    values = torch.stack([build(kind)(*batch) for kind in ("cross_entropy", "dice")])
    assert_close(s.detach().exp(), 2 * values, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("terms", "weights", "sentence"),
    [
        (
            {"l1": {"weight": {"start": 1.0, "end": 0.0}}, "dice": 1.0},
            "learned",
            "weights that are learned cannot change by a schedule too; give numbers.",
        ),
        ({"l1": {"weight": {"start": 1.0, "end": 0.0}}, "dice": {"weight": {"start": 0.0, "end": 1.0}}}, "fixed", None),
        (
            {
                "l1": {"weight": {"start": 1.0, "end": 0.0, "between": [0.1, 0.3]}},
                "dice": {"weight": {"start": 0.0, "end": 1.0, "between": [0.4, 0.5]}},
            },
            "fixed",
            "all weights are 0 when 30% of the iterations are done.",
        ),
    ],
)
def test_weights_that_cannot_work_are_refused(build, terms, weights, sentence):
    if sentence is None:
        assert build("compound", terms=terms, weights=weights).described()["terms"] == terms
        return
    with pytest.raises(UserError) as error:
        build("compound", terms=terms, weights=weights)
    assert str(error.value) == f"compound.terms: {sentence}"


def test_a_ramp_in_the_wrong_order_is_refused(build):
    terms = {"l1": {"weight": {"start": 1.0, "end": 0.0, "between": [0.6, 0.5]}}, "dice": 1.0}
    expected = "compound.terms.l1.weight: 'between' must be two shares in order, from 0 to 1, not [0.6, 0.5]."
    assert refusal(build, terms) == expected


def test_a_term_with_learned_weights_is_refused(build):
    inner = {"kind": "compound", "weight": 1.0, "weights": "learned", "terms": {"focal": 1.0, "dice": 1.0}}
    assert refusal(build, {"inner": inner, "l1": 1.0}) == (
        "compound.terms.inner: a term cannot learn weights of its own; only the outermost compound can."
    )


def test_a_term_of_weight_0_is_not_computed(build, batch, monkeypatch):
    """Cross-entropy that gives way to a slow loss does not pay for it before."""
    terms = {"cross_entropy": {"weight": {"start": 1.0, "end": 0.0}}, "dice": {"weight": {"start": 0.0, "end": 1.0}}}
    loss, computed = build("compound", terms=terms).loss, []
    for part in loss.parts():
        formula = type(part).formula
        monkeypatch.setattr(
            type(part), "formula", lambda self, batch, f=formula: (computed.append(self.kind), f(self, batch))[1]
        )
    for progress, expected in ((0.0, ["cross_entropy"]), (0.5, ["cross_entropy", "dice"]), (1.0, ["dice"])):
        computed.clear()
        loss(*batch, facts=Facts(progress=progress))
        assert computed == expected

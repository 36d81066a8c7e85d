"""Compound: the sum by hand, and a sentence for each mistake in its terms."""

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.losses import DiceLoss, FocalLoss
from ruamel.yaml import YAML
from torch import nn
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
        weight, own = options.pop("weight"), options.pop("class_weights", weights)
        if isinstance(weight, dict):
            weight = weight["start"] + facts.progress * (weight["end"] - weight["start"])
        term = plugins.build("losses", name, options, name)
        own = np.ones(logits.shape[1]) if isinstance(own, str) else np.array(own)
        value = reference_of(term, logits, target, own, facts)
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


# --- class weights of a term's own ---

OWN = [1.0, 10.0, 0.5, 2.0]


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
@pytest.mark.parametrize("weighs", [False, True], ids=["strategy without weights", "strategy with weights"])
def test_each_term_has_the_class_weights_it_says(build, batch, weights, weighs, scale):
    """Cross-entropy its own, as torch weighs it, Dice none, L1 those of the strategy; only ratios matter."""
    terms = {
        "cross_entropy": {"weight": 2.0, "class_weights": [scale * each for each in OWN]},
        "dice": {"weight": 1.0, "class_weights": "none"},
        "l1": 0.5,
    }
    given = weights if weighs else None
    expected = 2 * nn.functional.cross_entropy(*batch, torch.tensor(OWN), ignore_index=255)
    expected = expected + build("dice")(*batch) + 0.5 * build("l1")(*batch, given)
    assert_close(build("compound", terms=terms)(*batch, given), expected)


def test_weights_of_a_term_that_is_a_sum_reach_its_terms(build, batch, weights):
    """But for those of them that have their own."""
    inner = {"cross_entropy": 1.0, "dice": {"weight": 1.0, "class_weights": "none"}}
    terms = {"both": {"kind": "compound", "weight": 1.0, "class_weights": OWN, "terms": inner}, "l1": 1.0}
    expected = build("cross_entropy")(*batch, torch.tensor(OWN)) + build("dice")(*batch)
    expected = expected + build("l1")(*batch, weights)
    assert_close(build("compound", terms=terms)(*batch, weights), expected)


def test_what_terms_share_is_computed_once_where_their_weights_are_those_of_the_batch(build, batch, monkeypatch):
    """`none` under a strategy that weighs nothing costs nothing."""
    seen = []
    monkeypatch.setattr(Dice, "formula", lambda self, batch: (seen.append(batch), batch.logits.sum())[1])
    terms = {name: {"kind": "dice", "weight": 1.0, "class_weights": "none"} for name in ("a", "b")}
    build("compound", terms=terms)(*batch)
    assert seen[0] is seen[1]


@pytest.mark.parametrize(
    "given", [None, "all", [], [1.0, 0.0], [1.0, -1.0], [1.0, "2"], [True, 1.0], [float("inf"), 1.0], 2.0], ids=str
)
def test_class_weights_that_are_none_are_refused(build, given):
    sentence = refusal(build, {"l1": 1.0, "dice": {"weight": 1.0, "class_weights": given}})
    assert sentence.startswith(
        "compound.terms.dice.class_weights: must be none, or a list with a number above 0 for each class, not "
    )


def test_a_list_of_another_length_is_refused_for_the_dataset(build):
    """`check` asks each loss, also inside another sum."""
    inner = {"l1": 1.0, "dice": {"weight": 1.0, "class_weights": [1, 2]}}
    for terms in (inner, {"both": {"kind": "compound", "weight": 1.0, "terms": inner}, "focal": 1.0}):
        loss = build("compound", terms=terms)
        assert loss.refuses_classes(2) is None
        assert loss.refuses_classes(5) == "'class_weights' of dice has 2 numbers; give one for each class."


def test_a_loss_that_takes_no_class_weights_is_a_term_where_it_gets_none(build, batch, weights):
    """It is refused with weights of its own, and asked for the reason by a strategy that weighs classes."""
    term = {"weight": 1.0, "class_weights": "none"}
    loss = build("compound", terms={"class_balanced": term, "dice": 1.0})
    assert loss.refuses_class_weights() is None
    assert_close(loss(*batch, weights), build("class_balanced")(*batch) + build("dice")(*batch, weights))
    reason = build("class_balanced").refuses_class_weights()
    assert build("compound", terms={"class_balanced": 1.0, "dice": 1.0}).refuses_class_weights() == reason
    assert refusal(build, {"class_balanced": {"weight": 1.0, "class_weights": OWN}, "dice": 1.0}) == (
        f"compound.terms.class_balanced.class_weights: cannot weigh this loss: {reason.rstrip('.')}. Remove it."
    )


@pytest.mark.parametrize("dice", ["none", OWN], ids=["none", "own"])
def test_a_sum_in_which_nothing_takes_the_weights_of_a_strategy_refuses_them(build, dice):
    """They would be ignored."""
    terms = {name: {"weight": 1.0, "class_weights": own} for name, own in {"l1": OWN, "dice": dice}.items()}
    reason = build("compound", terms=terms).refuses_class_weights()
    assert reason == "each of its terms says its own 'class_weights', so nothing would be weighed."


# --- sums that have a name ---


@pytest.fixture(scope="module")
def preset(build):
    """`preset("nnunet")`: a loss of presets/sums.yaml."""
    entries = YAML(typ="safe").load(Path("presets/sums.yaml"))["axes"]["loss"]
    return lambda name: build(**{"kind": name} | entries[name])


@pytest.fixture(scope="module")
def full_batch():
    """Without void, every class present: 800 pixels."""
    generator = torch.Generator().manual_seed(3)
    target = torch.randint(0, 4, (2, 20, 20), generator=generator)
    return 2 * torch.randn(2, 4, 20, 20, generator=generator), target


def nnunet_dice(logits, target):
    """-Dice as `MemoryEfficientSoftDiceLoss(batch_dice=True, do_bg=False, smooth=1e-5)` of nnU-Net v2 sums it."""
    p, g = logits.double().softmax(dim=1)[:, 1:], nn.functional.one_hot(target).movedim(-1, 1)[:, 1:].double()
    intersect, predicted, true = (each.sum(dim=(0, 2, 3)) for each in (p * g, p, g))
    return -((2 * intersect + 1e-5) / (true + predicted + 1e-5).clip(1e-8)).mean()


@pytest.mark.parametrize(("name", "kept"), [("nnunet", 800), ("dice_top_10", 80)])
@pytest.mark.parametrize("weighs", [False, True])
def test_sums_of_nnunet_are_those_of_its_code(preset, full_batch, weights, name, kept, weighs):
    """`DC_and_CE_loss` and `DC_and_topk_loss` (k = 10), plus 1. Class weights are for the term by pixel: torch's."""
    given = weights if weighs else None
    pixels = nn.functional.cross_entropy(*full_batch, reduction="none").flatten()
    hardest = pixels.topk(kept).indices
    factors = torch.ones_like(pixels) if given is None else given[full_batch[1].flatten()]
    by_pixel = (factors * pixels)[hardest].sum() / factors[hardest].sum()
    expected = by_pixel.double() + nnunet_dice(*full_batch) + 1
    assert preset(name)(*full_batch, given).item() == pytest.approx(expected.item(), rel=1e-5)


def test_dice_and_focal_is_that_of_monai(preset, full_batch):
    """MONAI's focal loss is a mean over pixels and classes, so a fourth of the usual one."""
    logits, target = full_batch
    dice = DiceLoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
    focal = FocalLoss(to_onehot_y=True, use_softmax=True, gamma=2.0)
    expected = dice(logits, target[:, None]) + 4 * focal(logits, target[:, None])
    assert_close(preset("dice_focal")(*full_batch), expected, rtol=1e-4, atol=1e-5)


# --- what the terms cost ---


def test_values_of_terms_are_given_before_their_weights(build, batch, weights):
    """Without a graph, in the order of the terms; the sum is the same to the bit whether somebody asks or not."""
    terms = {"cross_entropy": 3.0, "dice": {"weight": 0.5, "class_weights": "none"}}
    loss, asked = build("compound", terms=terms).loss, Facts(terms=[])
    assert torch.equal(loss(*batch, weights, asked), loss(*batch, weights))
    assert loss.term_names() == ("cross_entropy", "dice")
    alone = build("cross_entropy")(*batch, weights), build("dice")(*batch)
    assert_close(torch.stack(asked.terms), torch.stack(alone))
    logits = batch[0].clone().requires_grad_()
    loss(logits, batch[1], None, asked)
    assert not any(value.requires_grad for value in asked.terms)


def test_a_sum_inside_a_sum_is_one_value(build, batch):
    """Whatever it gives of its own terms."""
    inner = {"kind": "compound", "weight": 0.5, "terms": {"cross_entropy": 1.0, "dice": 1.0, "focal": 1.0}}
    asked = Facts(terms=[])
    build("compound", terms={"l1": 1.0, "region": inner}).loss(*batch, None, asked)
    region = sum(build(kind)(*batch) for kind in ("cross_entropy", "dice", "focal"))
    assert_close(torch.stack(asked.terms), torch.stack([build("l1")(*batch), region]))


def test_a_term_without_weight_has_no_value(build, batch):
    """0 would be a perfect one."""
    late = {"weight": {"start": 0.0, "end": 1.0, "between": [0.5, 0.5]}}
    asked = Facts(terms=[])
    build("compound", terms={"l1": 1.0, "dice": late}).loss(*batch, None, asked)
    assert [value is None for value in asked.terms] == [False, True]


def test_learned_weights_without_numbers_to_learn_are_one_sentence(build, batch):
    """It would be the sum with fixed weights under another name."""
    loss = build("compound", terms={"l1": 1.0, "dice": 1.0}, weights="learned").loss
    with pytest.raises(UserError, match=r"^Compound with weights='learned' needs 2 numbers among its facts, [^\n]+$"):
        loss(*batch)


@pytest.mark.parametrize("weight", [{"start": 0.0, "end": 0.0}, {"start": 0.0, "end": 1.0, "between": [1.0, 1.0]}])
def test_a_weight_of_0_throughout_is_refused(build, weight):
    """As a number it is, too; with learned weights it took the number of the next term."""
    sentence = "compound.terms.l1.weight: a weight of 0 in every iteration makes no term; remove it."
    assert refusal(build, {"l1": {"weight": weight}, "dice": 1.0, "focal": 1.0}) == sentence


@pytest.mark.parametrize("name", ["Dice 2", "a-b", "a/b", ""])
def test_a_name_that_is_none_for_a_curve_is_refused(build, name):
    sentence = f"compound.terms.{name}: the name of a term may hold lower-case letters, digits and _ only."
    assert refusal(build, {name: {"kind": "dice", "weight": 1.0}, "l1": 1.0}) == sentence

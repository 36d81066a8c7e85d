"""Chain: the answers of its parts together, and what it refuses."""

import numpy as np
import pytest
import torch

from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from pipeline.strategies.base import Treatment
from tests.strategies.variants import answers

IMAGES = [[600, 250, 146, 4], [1000, 0, 0, 0], [0, 900, 0, 100], [700, 200, 100, 0]]
EVERYTHING = [
    "class_weights", "oversample", "foreground_crops", "copy_paste", "hard_pixels", "logit_adjustment",
    "class_thresholds",
]  # fmt: skip


@pytest.fixture
def train(statistics):
    return statistics(*IMAGES)


def test_says_what_its_parts_say(build, train):
    """One part for each aspect, all of them at once; what comes first in `draws` has the first random numbers."""
    said = answers(build("chain", of=EVERYTHING), train)
    for kind in ("class_weights", "oversample", "hard_pixels", "logit_adjustment", "class_thresholds"):
        part = build(kind)
        for aspect in part.aspects:
            assert said[aspect] == answers(part, train)[aspect], aspect


def test_crops_and_pastes_are_those_of_the_parts_on_the_images_of_the_chain(build, train, common):
    """In the order of the list, with the random numbers that come next."""
    given = common(train, 100)
    made = build("chain", of=EVERYTHING).draws(given, train, 4, np.random.default_rng(0))
    expected, random = given, np.random.default_rng(0)
    for kind in ("oversample", "foreground_crops", "copy_paste"):
        expected = build(kind).draws(expected, train, 4, random)
    assert all(np.array_equal(*pair) for pair in zip(made, expected, strict=True))


def test_treatments_are_put_together(build, train):
    """A crop of one, a paste of another, stronger transforms of the first."""
    treatment = build("chain", of=["rare_augment", "copy_paste", "class_weights"]).treatment(train)
    rare, paste = (build(kind).treatment(train) for kind in ("rare_augment", "copy_paste"))
    assert treatment == Treatment(rare.crop, paste.paste, rare.rare_classes, rare.strength)


@pytest.mark.parametrize(
    "kinds", [["oversample", "foreground_crops"], ["undersample", "copy_paste"], ["repeat_factor", "rare_augment"]]
)
def test_images_are_chosen_first_whatever_the_order_of_the_list(build, train, kinds):
    """Otherwise the crops would be made around classes of images that are not drawn."""
    assert answers(build("chain", of=kinds), train) == answers(build("chain", of=kinds[::-1]), train)


def test_parts_may_have_options(build, train):
    """As entries of params.yaml have, with `kind`."""
    chain = build("chain", of=[{"kind": "class_weights", "power": 1.0}, "oversample"])
    np.testing.assert_array_equal(chain.class_weights(train), build("class_weights", power=1.0).class_weights(train))


def test_kept_pixels_are_those_of_the_part(build):
    """With the same logits and target."""
    logits, target = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0)), torch.zeros(2, 4, 5).long()
    kept = build("chain", of=["class_weights", "hard_pixels"]).kept_pixels(logits, target)
    assert torch.equal(kept, build("hard_pixels").kept_pixels(logits, target))


def test_code_of_the_parts_is_part_of_it(build):
    """For the fingerprint: an edit of a part makes the cells of the chain stale."""
    names = [f"pipeline.strategies.{kind}" for kind in ("chain", "class_weights", "copy_paste")]
    assert build("chain", of=["class_weights", "copy_paste"]).modules() == names


LATE = {"kind": "two_phase", "first": "none", "then": "class_weights"}


@pytest.mark.parametrize(
    ("of", "sentence"),
    [
        (["oversample", "undersample"], "'oversample' and 'undersample' both act on images; remove one."),
        (
            ["class_weights", "class_weights"],
            "'class_weights' and 'class_weights' both act on class weights; remove one.",
        ),
        (
            ["class_weights", "foreground_crops", "rare_class_sampling"],
            "'foreground_crops' and 'rare_class_sampling' both act on crops; remove one.",
        ),
        (
            ["copy_paste", {"kind": "chain", "of": ["copy_paste", "oversample"]}],
            "'copy_paste' and 'chain' both act on pasting; remove one.",
        ),
        (
            ["post_hoc_logit_adjustment", "class_thresholds"],
            "'post_hoc_logit_adjustment' and 'class_thresholds' both act on decisions; remove one.",
        ),
        (["class_weights", "none"], "'none' does nothing; remove it."),
        (["class_weights"], "a chain needs at least two strategies, this one has 1."),
        ([], "a chain needs at least two strategies, this one has 0."),
        (["oversample", LATE], "'two_phase' cannot be part of a chain; chain within its phases instead."),
    ],
)
def test_what_cannot_be_chained_is_refused(of, sentence):
    """One part would undo the other, or add nothing."""
    with pytest.raises(UserError) as error:
        plugins.build("strategies", "both", {"kind": "chain", "of": of}, "params.yaml: both")
    assert str(error.value) == f"params.yaml: both.of: {sentence}"


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ("oversampel", ": no pipeline/strategies/oversampel.py. Did you mean 'oversample'? Known: "),
        ({"kind": "oversample", "powr": 1.0}, ".powr: unknown key. Did you mean 'power'? Known: power."),
        ({"kind": "oversample", "power": 3.0}, ".power: 3.0 should be less than or equal to 2."),
        ({"power": 1.0}, ": must be the name of a file in pipeline/strategies/ or a mapping with `kind`, not"),
        ({"kind": "chain", "of": ["oversample"]}, ".of: a chain needs at least two strategies, this one has 1."),
    ],
)
def test_mistakes_in_a_part_name_its_place(part, sentence):
    """The second of the list, however deep."""
    with pytest.raises(UserError) as error:
        plugins.build("strategies", "both", {"kind": "chain", "of": ["class_weights", part]}, "params.yaml: both")
    assert str(error.value).startswith(f"params.yaml: both.of.1{sentence}")

"""The contract of a strategy (pipeline/strategies/base.py), run over every file in pipeline/strategies.

A new strategy is tested by being there, if its options have defaults or examples. What it makes of real batches is
tested in test_contract_in_training.py.
"""

import inspect
import json
import re
import subprocess
import sys
from typing import get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.learn.settings import Fit
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.labels import IGNORE
from pipeline.strategies.base import NONE, ClassStatistics, Strategy
from tests.plugin_options import undocumented_options
from tests.strategies.variants import (
    ASPECTS,
    BATCH,
    CLASSES,
    DRAWN,
    DRAWS,
    KINDS,
    NEEDED,
    OPTIONS,
    VARIANTS,
    acts,
    answers,
    applicable,
    build_strategy,
    common_draws,
    favours_rare,
    moved,
    settings_of,
)

STRENGTHS = (None, *get_args(Fit.model_fields["augmentation"].annotation))
HOOKS = [name for name, member in vars(Strategy).items() if inspect.isfunction(member) and not name.startswith("_")]
ORDINARY = [  # n c: background is everywhere, the last class in few pixels of half of the images
    [600, 250, 146, 4],
    [1000, 0, 0, 0],
    [0, 900, 0, 100],
    [700, 200, 100, 0],
    [990, 0, 0, 10],
    [1000, 0, 0, 0],
]
PIECES = [[2, 1, 3, 1], [1, 0, 0, 0], [0, 1, 0, 4], [1, 2, 2, 0], [1, 0, 0, 2], [1, 0, 0, 0]]
HARD_CASES = {
    "a class without a pixel": [[10, 0, 5], [20, 0, 0]],
    "images of one class": [[10, 0, 0], [0, 10, 0], [0, 0, 10]],
    "an image entirely void": [[10, 5, 1], [0, 0, 0], [3, 0, 0]],
    "one image": [[10, 5, 1]],
    "one image of one class": [[0, 10, 0]],
    "one pixel among thousands of millions": [[4_000_000_000, 0], [3_999_999_999, 1]],
    "classes that occur alike": [[10, 10], [10, 10]],
}


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def strategy(request):
    """Every strategy with its defaults, and with each option moved."""
    return build_strategy(*VARIANTS[request.param])


@pytest.fixture(scope="module", params=KINDS)
def default_strategy(request):
    return build_strategy(request.param, {})


@pytest.fixture(scope="module")
def ordinary(statistics):
    """Statistics of a train split as they come."""
    return statistics(*ORDINARY, components=PIECES)


@pytest.fixture(params=["ordinary", *HARD_CASES], ids=str)
def train(request, ordinary, statistics):
    """Statistics of a train split."""
    return ordinary if request.param == "ordinary" else statistics(*HARD_CASES[request.param])


arbitrary = settings(derandomize=True, max_examples=15, deadline=None)
some_pixels = (
    st.tuples(st.integers(1, 6), st.integers(2, 5))
    .flatmap(lambda shape: arrays(np.int64, shape, elements=st.one_of(st.just(0), st.integers(1, 10**9))))
    .filter(lambda pixels: pixels.any())
)


def given_counts(pixels):
    return ClassStatistics(pixels, np.minimum(pixels, 3))


# --- what it acts on ---


def test_every_hook_is_neutral_by_default(train):
    """A strategy overrides what it means to change, and nothing else."""
    assert acts(Strategy(), train) == set()
    assert Strategy().aspects == ()


def test_it_acts_on_what_it_says_and_on_nothing_else(strategy, ordinary):
    """A chain and `check` go by what it says. One that did nothing would be the control under another name."""
    assert acts(strategy, ordinary) == set(strategy.aspects)
    assert set(strategy.aspects) <= set(ASPECTS)
    assert len(set(strategy.aspects)) == len(strategy.aspects)
    assert bool(strategy.aspects) == (strategy.kind != "none")


# --- the answers ---


def check_numbers(numbers, train):
    """One finite number for each class."""
    assert numbers.shape == (train.pixels.shape[1],)
    assert np.issubdtype(numbers.dtype, np.floating)
    assert np.isfinite(numbers).all()


def check_draws(draws, train):
    assert all(array.shape == (DRAWS,) and array.dtype == np.int64 for array in draws)
    images, classes = train.pixels.shape
    assert ((draws.images >= 0) & (draws.images < images)).all()
    assert np.array_equal(draws.donors == NONE, draws.pasted == NONE)
    for holders, held, limit in ((draws.images, draws.focus, classes), (draws.donors, draws.pasted, classes)):
        some = held != NONE
        assert ((held[some] >= 0) & (held[some] < limit)).all()
        assert (train.pixels[holders[some], held[some]] > 0).all(), "the image holds the class"


def check_answers(strategy, train):
    """All that any phase says is of the form that training expects."""
    for _, phase in strategy.phases():
        weights, shift = phase.class_weights(train), phase.logit_shift(train)
        if weights is not None:
            check_numbers(weights, train)
            assert (weights >= 0).all()
            assert (weights[train.occurring] > 0).all()
        if shift is not None:
            check_numbers(shift, train)
        check_draws(phase.draws(common_draws(len(train.pixels)), train, BATCH, np.random.default_rng(0)), train)
        treatment = phase.treatment(train)
        assert all(type(index) is int for index in treatment.rare_classes), "so that they compare with a mask"
        assert set(treatment.rare_classes) <= set(train.occurring.tolist())
        assert treatment.strength in STRENGTHS
    decision = strategy.decision(train, favours_rare(train))
    if decision is not None:
        check_numbers(decision, train)


def test_answers_are_of_their_form(strategy, train):
    """Finite numbers for each class; as many draws as the common ones, of images that hold what is asked of them.

    And nothing on any split about what it does not act on.
    """
    check_answers(strategy, train)
    assert acts(strategy, train) <= set(strategy.aspects)


@arbitrary
@given(some_pixels)
def test_answers_are_of_their_form_for_any_counts(default_strategy, pixels):
    """From no pixel to thousands of millions."""
    check_answers(default_strategy, given_counts(pixels))


def test_phases_divide_the_iterations(strategy):
    """None is lost or added, and no phase has phases of its own."""
    for iterations in (1, 2, 3, 10, 1000):
        stretches = strategy.stretches(iterations)
        assert [number for stretch, _ in stretches for number in stretch] == list(range(iterations))
        assert all(len(phase.phases()) == 1 for _, phase in stretches)


# --- hard pixels and void ---


@st.composite
def seen_batches(draw):
    """Logits and a target of up to two images of up to 4 x 4 pixels, any of them void."""
    shape = draw(st.tuples(st.integers(1, 2), st.integers(2, 4), st.integers(1, 4), st.integers(1, 4)))
    labels = st.sampled_from([*range(shape[1]), IGNORE])
    logits = draw(arrays(np.float32, shape, elements=st.floats(-1e4, 1e4, width=32)))
    target = draw(arrays(np.int64, (shape[0], *shape[2:]), elements=labels))
    return torch.from_numpy(logits), torch.from_numpy(target)


@pytest.mark.parametrize("name", [name for name in VARIANTS if "pixels" in build_strategy(*VARIANTS[name]).aspects])
@arbitrary
@given(batch=seen_batches())
def test_void_pixels_are_never_kept(name, batch):
    """Of an image with a labelled pixel something is, so that the loss has something to learn from."""
    logits, target = batch
    before = [tensor.clone() for tensor in batch]
    for _, phase in build_strategy(*VARIANTS[name]).phases():
        kept = phase.kept_pixels(logits, target)
        if kept is not None:
            assert (kept.dtype, kept.shape) == (torch.bool, target.shape)
            assert not kept[target == IGNORE].any()
            assert torch.equal(kept.flatten(1).any(dim=1), (target != IGNORE).flatten(1).any(dim=1))
    assert all(torch.equal(*pair) for pair in zip(before, batch, strict=True))


# --- where they come from ---


@pytest.mark.parametrize("kind", KINDS)
def test_hooks_are_given_what_the_contract_says_and_nothing_else(kind):
    """Statistics of the train split; of the validation split a score at most, of the test split nothing."""
    asked, allowed = (
        {hook: list(inspect.signature(getattr(cls, hook)).parameters) for hook in HOOKS}
        for cls in (CLASSES[kind], Strategy)
    )
    assert asked == allowed


def test_equal_seeds_give_equal_answers(strategy, ordinary):
    """Whatever the state of NumPy's own generator, and of a strategy that is built anew."""
    np.random.seed(0)  # the global state is what must not matter
    first = answers(strategy, ordinary)
    np.random.seed(1)
    again = build_strategy(strategy.kind, strategy.model_dump(exclude_unset=True))
    assert answers(again, ordinary) == first


def test_what_chance_decides_follows_the_seed(default_strategy, ordinary):
    """Otherwise all seeds would share one order, and intervals over seeds would be too narrow."""
    first, other = (answers(default_strategy, ordinary, seed) for seed in (0, 1))
    for aspect in ASPECTS:
        assert (first[aspect] != other[aspect]) == (aspect in DRAWN and aspect in default_strategy.aspects)


@arbitrary
@given(some_pixels, st.data())
def test_names_of_classes_do_not_matter(default_strategy, pixels, data):
    """Permuting the classes permutes what is said of them."""
    order = np.array(data.draw(st.permutations(range(pixels.shape[1]))))
    train, renamed = given_counts(pixels), given_counts(pixels[:, order])
    for _, phase in default_strategy.phases():
        for hook in (phase.class_weights, phase.logit_shift):
            if (numbers := hook(train)) is not None:
                np.testing.assert_allclose(hook(renamed), numbers[order], rtol=1e-6)
        rare = {int(order[index]) for index in phase.treatment(renamed).rare_classes}
        assert rare == set(phase.treatment(train).rare_classes)


@arbitrary
@given(some_pixels, st.data())
def test_order_of_images_does_not_matter(default_strategy, pixels, data):
    """A train split is a set."""
    order = np.array(data.draw(st.permutations(range(len(pixels)))))
    train, shuffled = given_counts(pixels), given_counts(pixels[order])
    for _, phase in default_strategy.phases():
        for hook in (phase.class_weights, phase.logit_shift):
            if (numbers := hook(train)) is not None:
                np.testing.assert_allclose(hook(shuffled), numbers, rtol=1e-6)
        assert phase.treatment(shuffled) == phase.treatment(train)


# --- options ---


@pytest.mark.parametrize(("kind", "option"), OPTIONS)
def test_each_option_moved_alone_changes_something(kind, option, ordinary):
    """With some choice of the other options; an option without effect would be a lie on the leaderboard."""
    assert moved(kind, option)
    for value in moved(kind, option):
        pairs = [
            (build_strategy(kind, base), applicable(kind, base | {option: value}))
            for base in settings_of(kind)
            if option not in base
        ]
        assert any(other and changed(still, other, ordinary) for still, other in pairs), value


@pytest.mark.parametrize(("kind", "option"), OPTIONS)
def test_option_is_refused_where_it_would_be_ignored(kind, option, ordinary):
    """Whatever the choice of the others: it acts, or it is an error."""
    for base in (base for base in settings_of(kind) if option not in base):
        for value in moved(kind, option):
            other = applicable(kind, base | {option: value})
            assert other is None or changed(build_strategy(kind, base), other, ordinary)


def changed(one, other, train):
    """Whether two strategies answer differently, or the same at another time."""
    starts = [[start for start, _ in strategy.phases()] for strategy in (one, other)]
    return answers(one, train) != answers(other, train) or starts[0] != starts[1]


@pytest.mark.parametrize(("kind", "option"), OPTIONS)
def test_misspelt_option_is_refused_with_the_right_spelling(kind, option):
    """A typing error must not leave the default in force."""
    typo = option + option[-1]
    known = ", ".join(sorted(CLASSES[kind].model_fields))
    with pytest.raises(UserError) as error:
        plugins.build("strategies", kind, NEEDED[kind] | {typo: 1.0}, "params.yaml: x")
    assert str(error.value) == f"params.yaml: x.{typo}: unknown key. Did you mean '{option}'? Known: {known}."


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_option_is_refused(kind):
    """Also by the strategies that have no options."""
    with pytest.raises(UserError, match=r"x\.colour: unknown key"):
        plugins.build("strategies", kind, NEEDED[kind] | {"colour": 1}, "x")


@pytest.mark.parametrize(("kind", "option"), OPTIONS)
@pytest.mark.parametrize("value", [-1.0, 1e9, float("nan"), "nonsense", None])
def test_value_out_of_range_is_refused(kind, option, value):
    """Every range in a docstring is enforced, and the message names the key."""
    with pytest.raises(UserError, match=rf"x\.{option}: "):
        plugins.build("strategies", kind, NEEDED[kind] | {option: value}, "x")


def test_described_strategy_can_be_restored(strategy, ordinary):
    """The plan that `check` writes as JSON is what later stages read."""
    written = json.dumps(strategy.described())
    restored = plugins.restore("strategies", json.loads(written), "plan")
    assert restored == strategy
    assert answers(restored, ordinary) == answers(strategy, ordinary)


# --- the file itself ---


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_a_documented_strategy(kind):
    """The leaderboard shows the docstring, and every option has a docstring that says what it does."""
    cls = CLASSES[kind]
    assert issubclass(cls, Strategy)
    assert undocumented_options(cls) == set()
    for statement in ("Use", "Calibration", "Family"):
        assert re.search(rf"^\n{statement}: ", inspect.getdoc(cls), re.M), f"no paragraph that begins with {statement}:"


def test_reading_strategies_does_not_import_torch():
    """`check` reads the options of every strategy and must answer at once."""
    code = (
        "import sys; from pipeline.plumbing import plugins; "
        f"[plugins.build('strategies', kind, dict({NEEDED!r}[kind]), kind).described() "
        "for kind in plugins.kinds('strategies')]; "
        "assert 'pipeline.strategies.none' in sys.modules; assert 'torch.nn' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=plugins.ROOT.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

"""The contract of a strategy (pipeline/strategies/base.py), run over every file in pipeline/strategies.

A new strategy is tested by being there, if it can be built without options.
"""

import inspect
import subprocess
import sys
from typing import Literal, get_origin

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.learn.augmentation import Augmentation
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from pipeline.strategies.base import ClassStatistics, Strategy
from tests.plugin_options import other_values, undocumented_options

KINDS = plugins.kinds("strategies")
CLASSES = {kind: plugins.find("strategies", kind, kind) for kind in KINDS}
OPTIONS = [(kind, option) for kind in KINDS for option in CLASSES[kind].model_fields]
HOOKS = [
    name
    for name, member in vars(Strategy).items()
    if inspect.isfunction(member) and "statistics" in inspect.signature(member).parameters
]
ORDINARY = [[50, 30, 20, 0], [100, 0, 0, 0], [0, 90, 0, 10], [70, 30, 0, 0], [100, 0, 0, 0]]  # n c

HARD_CASES = {
    "ordinary": ORDINARY,
    "a class without a pixel": [[10, 0, 5], [20, 0, 0]],
    "images of one class": [[10, 0, 0], [0, 10, 0], [0, 0, 10]],
    "an image entirely void": [[10, 5, 1], [0, 0, 0], [3, 0, 0]],
    "one image": [[10, 5, 1]],
    "one image of one class": [[0, 10, 0]],
    "one pixel among thousands of millions": [[4_000_000_000, 0], [3_999_999_999, 1]],
}


def settings_of(kind):
    """The defaults and every choice moved alone: an option may act with one choice of another only."""
    options = CLASSES[kind].model_fields
    choices = [option for option in options if get_origin(options[option].annotation) is Literal]
    return [{}, *({option: value} for option in choices for value in other_values(CLASSES[kind], option))]


def build_strategy(kind, options):
    return plugins.build("strategies", kind, options, kind)


def applicable(kind, options):
    """The strategy, or None if it refuses this combination of options."""
    try:
        return build_strategy(kind, options)
    except UserError:
        return None


VARIANTS = {  # every setting with its defaults, and with each number moved
    f"{kind}-{base | moved}" if base | moved else kind: (kind, base | moved)
    for kind in KINDS
    for base in settings_of(kind)
    for moved in [{}, *({o: v} for k, o in OPTIONS if k == kind and o not in base for v in other_values(CLASSES[k], o))]
    if not base | moved or applicable(kind, base | moved)
}


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def strategy(request):
    return build_strategy(*VARIANTS[request.param])


@pytest.fixture(params=HARD_CASES, ids=str)
def train(request, statistics):
    """Statistics of a train split."""
    return statistics(*HARD_CASES[request.param])


arbitrary = settings(derandomize=True, max_examples=25, deadline=None)
counts = st.tuples(st.integers(1, 6), st.integers(2, 5)).flatmap(
    lambda shape: arrays(np.int64, shape, elements=st.one_of(st.just(0), st.integers(1, 10**9)))
)
some_pixels = counts.filter(lambda pixels: pixels.any())


def answers(strategy, train):
    """What every hook says, as plain lists."""
    said = [getattr(strategy, hook)(train) for hook in HOOKS]
    return [answer.tolist() if isinstance(answer, np.ndarray) else answer for answer in said]


def check_weights(weights, length):
    assert weights.shape == (length,)
    assert np.issubdtype(weights.dtype, np.floating)
    assert np.isfinite(weights).all()
    assert (weights >= 0).all()
    assert weights.any()


# --- the answers ---


def test_hooks_are_neutral_by_default(statistics):
    """A strategy overrides what it means to change, and nothing else."""
    assert answers(Strategy(), statistics(*ORDINARY)) == [None] * len(HOOKS)
    assert not Strategy().makes_class_weights()


def test_control_changes_nothing(build, train):
    """`none` is what every strategy is compared with."""
    assert answers(build("none"), train) == [None] * len(HOOKS)


def test_every_other_strategy_does_something(strategy, statistics):
    """Otherwise it is the control under another name."""
    if strategy.described()["kind"] != "none":
        assert answers(strategy, statistics(*ORDINARY)) != [None] * len(HOOKS)


def test_class_weights_are_one_for_each_class(strategy, train):
    """Finite and not negative, with classes that never occur, void images and a single image."""
    weights = strategy.class_weights(train)
    if weights is not None:
        check_weights(weights, train.pixels.shape[1])


def test_image_weights_are_one_for_each_image(strategy, train):
    """Finite and not negative; the sampler normalises them."""
    weights = strategy.image_weights(train)
    if weights is not None:
        check_weights(weights, len(train.pixels))


def test_augmentation_names_classes_that_occur(strategy, train):
    """Plain integers, so that they compare with a mask, and settings that the augmentation knows."""
    augmentation = strategy.augmentation(train)
    if augmentation is not None:
        assert all(type(index) is int for index in augmentation.classes)
        assert set(augmentation.classes) <= set(np.flatnonzero(train.pixels.sum(axis=0)).tolist())
        assert 0 <= augmentation.crop_probability <= 1
        assert 0 < augmentation.smallest_crop <= 1
        Augmentation("none", False, augmentation)  # raises if the strength is unknown


@arbitrary
@given(some_pixels)
def test_weights_are_valid_for_any_counts(strategy, pixels):
    """From no pixel to thousands of millions."""
    train = ClassStatistics(pixels)
    for weights, length in zip(
        (strategy.class_weights(train), strategy.image_weights(train)), pixels.T.shape, strict=True
    ):
        if weights is not None:
            check_weights(weights, length)


def test_makes_class_weights_says_what_class_weights_does(strategy, train):
    """`check` refuses before training what the loss could not take."""
    assert strategy.makes_class_weights() == (strategy.class_weights(train) is not None)


# --- where they come from ---


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hook", HOOKS)
def test_hooks_are_given_train_statistics_and_nothing_else(kind, hook):
    """No way to see the validation or test split."""
    assert list(inspect.signature(getattr(CLASSES[kind], hook)).parameters) == ["self", "statistics"]


def test_same_statistics_give_the_same_answers(strategy, train):
    """The seed decides how images are drawn, never what they weigh."""
    np.random.seed(0)  # the global state is what must not matter
    first = answers(strategy, train)
    np.random.seed(1)
    assert (
        answers(build_strategy(strategy.described()["kind"], strategy.model_dump(exclude_unset=True)), train) == first
    )


@arbitrary
@given(some_pixels, st.data())
def test_names_of_classes_do_not_matter(strategy, pixels, data):
    """Permuting the classes permutes their weights: background is a class as any other."""
    order = np.array(data.draw(st.permutations(range(pixels.shape[1]))))
    train, renamed = ClassStatistics(pixels), ClassStatistics(pixels[:, order])
    if strategy.makes_class_weights():
        np.testing.assert_allclose(strategy.class_weights(renamed), strategy.class_weights(train)[order], rtol=1e-6)
    if strategy.image_weights(train) is not None:
        np.testing.assert_allclose(strategy.image_weights(renamed), strategy.image_weights(train), rtol=1e-6)
    if strategy.augmentation(train) is not None:
        rare = {int(order[index]) for index in strategy.augmentation(renamed).classes}
        assert rare == set(strategy.augmentation(train).classes)


@arbitrary
@given(some_pixels, st.data())
def test_order_of_images_does_not_matter(strategy, pixels, data):
    """Permuting the images permutes their weights and leaves the rest."""
    order = np.array(data.draw(st.permutations(range(len(pixels)))))
    train, shuffled = ClassStatistics(pixels), ClassStatistics(pixels[order])
    if strategy.makes_class_weights():
        np.testing.assert_allclose(strategy.class_weights(shuffled), strategy.class_weights(train), rtol=1e-6)
    if strategy.image_weights(train) is not None:
        np.testing.assert_allclose(strategy.image_weights(shuffled), strategy.image_weights(train)[order], rtol=1e-6)
    assert strategy.augmentation(shuffled) == strategy.augmentation(train)


# --- options ---


@pytest.mark.parametrize(("kind", "option"), OPTIONS)
def test_each_option_moved_alone_changes_something(kind, option, statistics):
    """With some choice of the other options; an option without effect would be a lie on the leaderboard."""
    train = statistics(*ORDINARY)
    for value in other_values(CLASSES[kind], option):
        pairs = [
            (build_strategy(kind, base), applicable(kind, base | {option: value}))
            for base in settings_of(kind)
            if option not in base
        ]
        assert any(moved and answers(moved, train) != answers(still, train) for still, moved in pairs), value


@pytest.mark.parametrize(("kind", "option"), OPTIONS)
def test_option_is_refused_where_it_would_be_ignored(kind, option, statistics):
    """Whatever the choice of the others: it acts, or it is an error."""
    train = statistics(*ORDINARY)
    for base in (base for base in settings_of(kind) if option not in base):
        for value in other_values(CLASSES[kind], option):
            moved = applicable(kind, base | {option: value})
            assert moved is None or answers(moved, train) != answers(build_strategy(kind, base), train)


@pytest.mark.parametrize(("kind", "option"), OPTIONS)
def test_misspelt_option_is_refused_with_the_right_spelling(kind, option):
    """A typing error must not leave the default in force."""
    typo = option[:-1]
    known = ", ".join(sorted(CLASSES[kind].model_fields))
    with pytest.raises(UserError) as error:
        plugins.build("strategies", kind, {typo: 1.0}, "params.yaml: x")
    assert str(error.value) == f"params.yaml: x.{typo}: unknown key. Did you mean '{option}'? Known: {known}."


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_option_is_refused(kind):
    """Also by the strategies that have no options."""
    with pytest.raises(UserError, match=r"x\.colour: unknown key"):
        plugins.build("strategies", kind, {"colour": 1}, "x")


@pytest.mark.parametrize(("kind", "option"), OPTIONS)
@pytest.mark.parametrize("value", [-1.0, 1e9, float("nan"), "nonsense", None])
def test_value_out_of_range_is_refused(kind, option, value):
    """Every range in a docstring is enforced, and the message names the key."""
    with pytest.raises(UserError, match=rf"x\.{option}: "):
        plugins.build("strategies", kind, {option: value}, "x")


def test_described_strategy_can_be_restored(strategy):
    """The plan that `check` writes is what later stages read."""
    assert plugins.restore("strategies", strategy.described(), "plan") == strategy


# --- the file itself ---


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_a_documented_strategy(kind):
    """The leaderboard shows the docstring, and every option has a docstring that says what it does."""
    cls = CLASSES[kind]
    assert issubclass(cls, Strategy)
    assert cls.__doc__
    assert undocumented_options(cls) == set()


def test_reading_strategies_does_not_import_torch():
    """`check` reads the options of every strategy and must answer at once."""
    code = (
        "import sys; from pipeline.plumbing import plugins; "
        "[plugins.build('strategies', kind, {}, kind).described() for kind in plugins.kinds('strategies')]; "
        "assert 'pipeline.strategies.none' in sys.modules; assert 'torch.nn' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=plugins.ROOT.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

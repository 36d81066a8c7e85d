"""The contract of a loss (pipeline/losses/base.py), run over every file in pipeline/losses.

A new loss is tested by being there, once tests/losses/test_KIND.py holds its `reference`: the loss in NumPy and float64,
written from the equation of the paper and not from the code. It needs an entry in variants.py only if it has options
without a default, options that are neither a number, a switch nor a choice, a look at neighbouring pixels, or one of
the blind spots that are named there with their reason. What the options, the target and losses by overlap must hold besides
stands in test_contract_options.py, test_contract_target.py and test_contract_overlap.py.
"""

import inspect
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.testing import assert_close

from pipeline.docs import family
from pipeline.losses.base import Loss
from pipeline.plumbing import plugins
from pipeline.plumbing.labels import IGNORE
from tests.losses.informed import Informed
from tests.losses.variants import (
    BLIND_TO_SWAPPED_CLASSES,
    CLASSES,
    KINDS,
    LOOKS_AT_NEIGHBOURS,
    NEEDED,
    TRUTH_IS_NOT_THE_MINIMUM,
    VARIANTS,
    build_loss,
    foreground_alone,
    reference_value,
)
from tests.plugin_options import undocumented_options


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def loss(request):
    """Every loss with its defaults, and with each option moved alone."""
    return build_loss(*VARIANTS[request.param])


@pytest.fixture(scope="module", params=KINDS)
def default_loss(request):
    return build_loss(request.param, {})


@pytest.fixture(
    scope="module", params=[name for name, (kind, _) in VARIANTS.items() if kind not in LOOKS_AT_NEIGHBOURS]
)
def pointwise_loss(request):
    return build_loss(*VARIANTS[request.param])


@pytest.fixture(scope="module", params=VARIANTS, ids=str)
def weighted_loss(request):
    """The losses that can take class weights."""
    loss = build_loss(*VARIANTS[request.param])
    if reason := loss.refuses_class_weights():
        pytest.skip(reason)
    return loss


arbitrary = settings(derandomize=True, max_examples=15, deadline=None)


ORDINARY = st.floats(-20, 20, width=32, allow_subnormal=False)
EXTREME = st.sampled_from([-1e4, 0.0, 1e4])


@st.composite
def batches(draw, fewest=2, most=4, values=ORDINARY):
    """Logits of `fewest` to `most` channels and a target: up to two images of up to 4 x 4 pixels.

    Any class may be absent and any pixel void.
    """
    shape = draw(st.tuples(st.integers(1, 2), st.integers(fewest, most), st.integers(1, 4), st.integers(1, 4)))
    labels = st.sampled_from([*range(max(shape[1], 2)), IGNORE])
    logits = draw(arrays(np.float32, shape, elements=values))
    target = draw(arrays(np.int64, (shape[0], *shape[2:]), elements=labels))
    return torch.from_numpy(logits), torch.from_numpy(target)


def draw_weights(data, classes):
    """Powers of two, so that a reference may repeat pixels in their place."""
    return torch.from_numpy(
        data.draw(arrays(np.float32, classes, elements=st.sampled_from([0.125, 0.5, 1.0, 2.0, 8.0])))
    )


def keeps_background(loss, classes):
    """Whether class 0 has a share in the mean; of a sum, in that of each term."""
    if loss.parts():
        return all(keeps_background(part, classes) for part in loss.parts())
    background = getattr(loss, "background", True)
    return classes > 2 if background is None else background


def value_and_gradient(loss, logits, target, class_weights=None):
    logits = logits.clone().requires_grad_()
    value = loss(logits, target, class_weights)
    value.backward()
    return value.detach(), logits.grad


def confident(target, classes=3):
    """Logits of +-6 that are right at every valid pixel."""
    return 12 * (target.unsqueeze(1) == torch.arange(classes).view(1, -1, 1, 1)).float() - 6


def close(actual, expected):
    assert_close(actual, expected, rtol=1e-4, atol=1e-5)


# --- a finite number with a finite slope ---


@arbitrary
@given(batches(fewest=1))
def test_value_is_one_finite_float32(loss, batch_drawn):
    """One channel, one pixel, absent classes and void images included."""
    value = loss(*batch_drawn)
    assert value.shape == ()
    assert value.dtype == torch.float32
    assert value.isfinite()


@arbitrary
@given(batches(fewest=1))
def test_gradient_is_finite(loss, batch_drawn):
    """A single NaN in the gradient ends the training."""
    _, gradient = value_and_gradient(loss, *batch_drawn)
    assert gradient.isfinite().all()


def test_gradient_is_not_zero_everywhere(loss, batch):
    """A cast or a detach in the wrong place would leave nothing to learn from."""
    assert value_and_gradient(loss, *batch)[1].abs().max() > 0


@arbitrary
@given(batches(fewest=1, values=EXTREME))
def test_extreme_logits_are_finite(loss, batch_drawn):
    """Certain predictions, right or wrong, must not reach log(0), 0 / 0 or the infinite slope of a power."""
    value, gradient = value_and_gradient(loss, *batch_drawn)
    assert value.isfinite()
    assert gradient.isfinite().all()


def test_gradient_equals_the_difference_quotient(loss, batch):
    """Autograd and the formula agree in float64, pixel by pixel."""
    logits, target = (tensor[:, ..., :3, :3] for tensor in batch)
    assert torch.autograd.gradcheck(lambda logits: loss.in_float64(logits, target), logits.double().requires_grad_())


# --- the equation of the paper ---


@settings(arbitrary, max_examples=8)
@given(batches(), st.booleans(), st.data())
def test_value_is_that_of_the_reference(loss, batch_drawn, weighted, data):
    """In float64 to its last digits, and in float32 to its own."""
    logits, target = batch_drawn
    weighted = weighted and loss.refuses_class_weights() is None
    if foreground_alone(loss, logits.shape[1]):  # the reference repeats pixels in place of weights, and adds some
        neighbours, smoothed = loss.described()["kind"] in LOOKS_AT_NEIGHBOURS, getattr(loss, "label_smoothing", 0.0)
        weighted = weighted and not neighbours
        assume(((target == 1).any() and not weighted) or not (smoothed or (neighbours and not hasattr(loss, "over"))))
    weights = draw_weights(data, logits.shape[1]) if weighted else None
    expected = reference_value(loss, logits, target, weights)
    assert loss.in_float64(logits, target, weights).item() == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert loss(logits, target, weights).item() == pytest.approx(expected, rel=2e-4, abs=1e-5)


# --- any float and integer type ---


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_is_computed_in_float32(loss, batch, dtype, autocast):
    """Only the rounding of the logits themselves may show, with and without autocast."""
    logits, target = batch[0].to(dtype), batch[1]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        value = loss(logits, target)
    assert value.dtype == torch.float32
    assert value == loss(logits.float(), target)


def test_float32_under_autocast_is_untouched(loss, batch):
    """Autocast must not bring bfloat16 into the loss."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(*batch)
    assert value == loss(*batch)


def test_formula_runs_outside_autocast(batch):
    """Also for a loss to come, with a product or a convolution, which autocast would round."""

    class Product(Loss):
        def formula(self, batch):
            return (batch.logits[0, 0] @ batch.logits[0, 1].T).sum()

    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = Product()(*batch)
    assert value == Product()(*batch)
    assert value.dtype == torch.float32


def test_sums_over_many_half_precision_pixels_do_not_overflow(loss):
    """90 000 pixels are more than the largest float16 number."""
    logits = torch.zeros(1, 2, 300, 300, dtype=torch.float16)
    target = torch.zeros(1, 300, 300, dtype=torch.uint8)
    target[:, :, 150:] = 1
    value, gradient = value_and_gradient(loss, logits, target)
    assert value == loss(logits.float(), target)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_integer_type_of_the_target_does_not_matter(loss, batch, dtype):
    """Masks are stored as uint8, where 255 is the largest value; elsewhere they are int64."""
    logits, target = batch
    assert loss(logits, target.to(dtype)) == loss(logits, target)


def test_memory_layout_does_not_matter(loss, batch):
    """Models in channels_last hand over such logits."""
    logits, target = batch
    close(loss(logits.contiguous(memory_format=torch.channels_last), target), loss(logits, target))


def test_inputs_are_left_as_they_were(loss, batch, weights):
    """The same tensors go to the next term of a sum, and to the metrics."""
    before = [tensor.clone() for tensor in (*batch, weights)]
    loss(*batch, weights)
    assert all(torch.equal(*pair) for pair in zip(before, (*batch, weights), strict=True))


@arbitrary
@given(batches(fewest=1, most=1), st.data())
def test_one_channel_is_two_channels_with_a_zero_first(weighted_loss, batch_drawn, data):
    """sigmoid(z) = softmax(0, z): binary and multi-class are one entry."""
    logits, target = batch_drawn
    class_weights = draw_weights(data, 2)
    both = torch.cat([torch.zeros_like(logits), logits], dim=1)
    close(weighted_loss(logits, target, class_weights), weighted_loss(both, target, class_weights))


# --- right is better than wrong ---

TARGET = torch.tensor([[[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 1, 1], [2, 2, 255, 255]]])  # three classes with edges


def test_right_is_better_than_wrong(loss):
    """Every class taken for the next one. In units of the diagonal of so small an image distances are small, too."""
    if reason := BLIND_TO_SWAPPED_CLASSES.get(loss.described()["kind"]):
        pytest.skip(reason)
    assert loss(confident(TARGET), TARGET) < loss(confident(TARGET).roll(1, dims=1), TARGET) - 0.03


@arbitrary
@given(batches())
def test_nothing_is_better_than_the_truth(default_loss, batch_drawn):
    """The perfect prediction is the minimum (options such as label smoothing may move it)."""
    if reason := TRUTH_IS_NOT_THE_MINIMUM.get(default_loss.described()["kind"]):
        pytest.skip(reason)
    logits, target = batch_drawn
    perfect = 100 * confident(target, logits.shape[1])
    assert default_loss(perfect, target) <= default_loss(logits, target) + 1e-5


# --- ignored pixels ---


@arbitrary
@given(batches(fewest=1), st.data())
def test_ignored_pixels_have_no_gradient(weighted_loss, batch_drawn, data):
    """Nothing is learnt from a pixel that nobody labelled."""
    logits, target = batch_drawn
    _, gradient = value_and_gradient(weighted_loss, logits, target, draw_weights(data, max(2, logits.shape[1])))
    assert (gradient * (target == IGNORE).unsqueeze(1) == 0).all()


@arbitrary
@given(batches(fewest=1), EXTREME)
def test_logits_at_ignored_pixels_change_nothing(loss, batch_drawn, replacement):
    """However certain the model is about a void pixel."""
    logits, target = batch_drawn
    changed = torch.where((target == IGNORE).unsqueeze(1), replacement * torch.ones_like(logits), logits)
    changed[:, 0] = torch.where(target == IGNORE, -replacement, changed[:, 0])
    close(loss(changed, target), loss(logits, target))


@pytest.mark.parametrize("border", [np.s_[..., :2, :], np.s_[..., -2:, :], np.s_[..., :2], np.s_[..., -2:]])
def test_masking_a_border_is_cropping_it(loss, batch, border):
    """Ignored pixels have no share in any mean, nor in any neighbourhood."""
    logits, target = batch[0], batch[1] % 4  # no other void pixel
    masked = target.clone()
    masked[border] = IGNORE
    keep = masked[0] != IGNORE
    rows, columns = keep.any(1), keep.any(0)
    cropped = logits[:, :, rows][..., columns], target[:, rows][..., columns]
    close(loss(logits, masked), loss(*cropped))


@arbitrary
@given(batches(), st.data())
def test_masking_pixels_is_leaving_them_out(pointwise_loss, batch_drawn, data):
    """Wherever they lie."""
    logits, target = batch_drawn
    shape = tuple(target.shape[1:])
    mask = torch.from_numpy(data.draw(arrays(bool, shape).filter(lambda mask: not mask.all())))
    masked = target.masked_fill(mask, IGNORE)
    close(
        pointwise_loss(logits, masked), pointwise_loss(logits[:, :, ~mask].unsqueeze(2), target[:, ~mask].unsqueeze(1))
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("channels", [1, 4])
def test_batch_of_void_pixels_costs_nothing(loss, batch, weights, weighted, channels):
    """0 with a gradient of zeros, so that an unlucky batch neither moves the model nor ends the training."""
    logits = batch[0][:, :channels]
    target = torch.full_like(batch[1], IGNORE)
    class_weights = weights[: max(2, channels)] if weighted and loss.refuses_class_weights() is None else None
    value, gradient = value_and_gradient(loss, logits, target, class_weights)
    assert value == 0
    assert (gradient == 0).all()


# --- absent classes ---


@pytest.mark.parametrize("present", [0, 3])
def test_batch_of_one_class_gives_a_finite_loss(loss, batch, weights, present):
    """An empty and a full mask: no 0 / 0 for the classes that are absent, and right is still no worse than wrong."""
    target = torch.full_like(batch[1], present)
    for class_weights in [None, weights] if loss.refuses_class_weights() is None else [None]:
        value, gradient = value_and_gradient(loss, batch[0], target, class_weights)
        assert value.isfinite()
        assert gradient.isfinite().all()
        right, wrong = confident(target, 4), confident(3 - target, 4)
        assert loss(right, target, class_weights) <= loss(wrong, target, class_weights) + 1e-6


def test_weight_zero_for_a_class_that_never_occurs_is_harmless(weighted_loss):
    """What `class_weights` gives to a class without a train pixel."""
    weights = torch.tensor([1.0, 2.0, 0.5, 0.0])
    logits = torch.nn.functional.pad(confident(TARGET), (0, 0, 0, 0, 0, 1))
    wrong = logits.roll(1, dims=1)
    value, gradient = value_and_gradient(weighted_loss, wrong, TARGET, weights)
    assert value.isfinite()
    assert gradient.isfinite().all()
    assert weighted_loss(logits, TARGET, weights) < value


# --- order ---


@arbitrary
@given(batches(), st.data())
def test_names_of_classes_do_not_matter(weighted_loss, batch_drawn, data):
    """Permuting the classes in logits, target and weights alike, save for a background that has no share in the mean."""
    logits, target = batch_drawn
    classes = logits.shape[1]
    kept = range(0 if keeps_background(weighted_loss, classes) else 1, classes)
    order = torch.tensor([*range(kept.start), *data.draw(st.permutations(kept))])
    weights = draw_weights(data, classes)
    renamed = torch.where(target == IGNORE, IGNORE, order.argsort()[target.clamp(max=classes - 1)])
    permuted = Informed(weighted_loss.loss, order.tolist())
    close(permuted(logits[:, order], renamed, weights[order]), weighted_loss(logits, target, weights))


@arbitrary
@given(batches())
def test_order_of_images_does_not_matter(loss, batch_drawn):
    """A batch is a set."""
    logits, target = batch_drawn
    close(loss(logits.flip(0), target.flip(0)), loss(logits, target))


@arbitrary
@given(batches(), st.data())
def test_order_of_pixels_does_not_matter(pointwise_loss, batch_drawn, data):
    """A loss without a neighbourhood sees pixels one by one."""
    logits, target = batch_drawn
    order = torch.tensor(data.draw(st.permutations(range(target[0].numel()))))
    shuffled = logits.flatten(2)[..., order].view_as(logits), target.flatten(1)[:, order].view_as(target)
    close(pointwise_loss(*shuffled), pointwise_loss(logits, target))


# --- class weights ---


@arbitrary
@given(batches(), st.sampled_from([0.125, 1.0, 100.0]))
def test_uniform_weights_are_no_weights(weighted_loss, batch_drawn, weight):
    """Turning weighting on with equal weights must not act as a learning rate."""
    logits, target = batch_drawn
    close(weighted_loss(logits, target, torch.full((logits.shape[1],), weight)), weighted_loss(logits, target))


@arbitrary
@given(batches(), st.data())
def test_scaling_all_weights_changes_nothing(weighted_loss, batch_drawn, data):
    """Only their ratios matter."""
    logits, target = batch_drawn
    weights = draw_weights(data, logits.shape[1])
    close(weighted_loss(logits, target, 50 * weights), weighted_loss(logits, target, weights))


def test_unequal_weights_change_the_value(weighted_loss, batch, weights):
    """Weights must not be accepted and ignored."""
    assert abs(weighted_loss(*batch, weights) - weighted_loss(*batch)) > 1e-4


def test_weights_in_float64_do_not_change_the_type(weighted_loss, batch, weights):
    """NumPy computes weights in float64."""
    assert weighted_loss(*batch, weights.double()).dtype == torch.float32


# --- the file itself ---


def test_described_loss_can_be_restored(loss):
    """The plan that `check` writes is what later stages read."""
    assert plugins.restore("losses", loss.described(), "plan") == loss.loss


@pytest.mark.parametrize("kind", KINDS)
def test_every_file_is_a_documented_loss(kind):
    """The leaderboard shows the formula, and every option has a docstring that says what it does."""
    cls = CLASSES[kind]
    assert issubclass(cls, Loss)
    assert cls.__doc__
    assert undocumented_options(cls) == set()


@pytest.mark.parametrize("kind", KINDS)
def test_docstring_says_what_one_asks_of_a_loss(kind):
    """What is its formula, what becomes of an absent class, when does one use it, where does it belong?"""
    text = inspect.getdoc(CLASSES[kind])
    assert re.search(r"^\n {4}.*=", text, re.M), "no formula in an indented block"
    assert "Absent class: " in text
    assert re.search(r"^\nUse: ", text, re.M), "no paragraph that begins with `Use:`"
    assert family("losses", kind, text)


def test_reading_losses_does_not_import_torch():
    """`check` reads the options of every loss and must answer at once."""
    code = (
        "import sys; from pipeline.plumbing import plugins; "
        f"[plugins.build('losses', kind, dict({NEEDED!r}.get(kind, {{}})), kind).described() "
        "for kind in plugins.kinds('losses')]; "
        "assert 'pipeline.losses.dice' in sys.modules; assert 'torch.nn' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=plugins.ROOT.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

"""What every loss in pipeline/losses refuses as a target, in the same sentence, and class weights of any scale."""

import pytest
import torch

from pipeline.plumbing.errors import UserError
from tests.losses.variants import KINDS, build_loss

every_loss = pytest.mark.parametrize("kind", KINDS)
ABSENT_COUNT = dict.fromkeys(["class_share", "gradient"], "absent classes stay in its mean")
SENTENCE = (
    "The target of logits [2, {c}, 4, 3] must be of shape [2, 4, 3] and an integer type, with classes from 0 to {last}, "
    "and 255 where a pixel is to be ignored; this one is of shape {shape} and {dtype}."
)
VALUES = (
    "The target of logits [2, {c}, 4, 3] must be of shape [2, 4, 3] and an integer type, with classes from 0 to {last}, "
    "and 255 where a pixel is to be ignored; this one has classes from {least} to {most}."
)


def refusal(kind, logits, target):
    loss = build_loss(kind, {}).loss
    with pytest.raises(UserError) as error:
        loss(logits, target)
    return str(error.value)


@every_loss
@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize(
    "shape", [(2, 1, 4, 3), (2, 4, 4, 3), (2, 3, 4), (1, 4, 3), (3, 4, 3), (4, 3), (2, 4, 3, 1), (2, 12), (2, 4, 2)]
)
def test_target_of_another_shape_is_refused(kind, channels, shape):
    """With a channel, one-hot, with its sides exchanged, of another batch, flat, smaller: all would broadcast somewhere."""
    classes = max(2, channels)
    sentence = SENTENCE.format(c=classes, last=classes - 1, shape=list(shape), dtype="torch.int64")
    assert refusal(kind, torch.zeros(2, channels, 4, 3), torch.zeros(shape, dtype=torch.int64)) == sentence


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_target_of_a_real_type_is_refused(kind, dtype):
    """0.7 would be class 0."""
    sentence = SENTENCE.format(c=4, last=3, shape=[2, 4, 3], dtype=dtype)
    assert refusal(kind, torch.zeros(2, 4, 4, 3), torch.full((2, 4, 3), 0.7, dtype=dtype)) == sentence


@every_loss
@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("wrong", [-100, -1, "classes", 7, 254, 256, 511])
def test_class_that_does_not_exist_is_refused(kind, channels, wrong):
    """Also if only one pixel has it, and beside pixels that are ignored."""
    classes = max(2, channels)
    wrong = classes if wrong == "classes" else wrong
    target = torch.ones(2, 4, 3, dtype=torch.int64)
    target[0, 0], target[0, 1, 0], target[1, 3, 2] = 255, 0, wrong
    least, most = min(0, wrong), max(1, wrong)
    sentence = VALUES.format(c=classes, last=classes - 1, least=least, most=most)
    assert refusal(kind, torch.zeros(2, channels, 4, 3), target) == sentence


@every_loss
def test_minus_one_in_a_byte_is_refused_and_255_is_not(kind):
    """int8 cannot hold 255; where -1 is meant to be it, a conversion to uint8 says so."""
    target = torch.zeros(2, 4, 3, dtype=torch.int8)
    target[0, 0, 0] = -1
    assert refusal(kind, torch.zeros(2, 4, 4, 3), target) == VALUES.format(c=4, last=3, least=-1, most=0)
    assert build_loss(kind, {})(torch.zeros(2, 4, 4, 3), target.byte()).isfinite()


@every_loss
@pytest.mark.parametrize("scale", [1e-300, 1e-35, 1e-20, 1e-14, 1e20, 1e300])
@pytest.mark.parametrize("classes", [2, 4])
def test_class_weights_may_be_of_any_scale(kind, scale, classes, batch):
    """1 / n^2 of ten million pixels is 1e-14."""
    loss = build_loss(kind, {})
    if reason := loss.refuses_class_weights():
        pytest.skip(reason)
    weights = torch.tensor([1.0, 3.0, 0.5, 2.0])[:classes].double()
    logits, target = batch[0][:, :classes], batch[1].where(batch[1] < classes, 255)
    torch.testing.assert_close(loss(logits, target, scale * weights), loss(logits, target, weights))


@every_loss
def test_a_batch_of_the_class_of_least_weight_has_its_loss(kind, batch):
    """However small its weight is beside that of the classes which are not there."""
    loss = build_loss(kind, {})
    if reason := loss.refuses_class_weights():
        pytest.skip(reason)
    logits, target = batch[0], torch.full_like(batch[1], 2)
    weights = torch.tensor([1.0, 1.0, 1e-20, 1.0])
    if kind in ABSENT_COUNT:
        pytest.skip(ABSENT_COUNT[kind])
    torch.testing.assert_close(loss(logits, target, weights), loss(logits, target))

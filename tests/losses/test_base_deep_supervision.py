"""Deep supervision: against MONAI's wrapper, and weights a reader can work out."""

import pytest
import torch
from monai.losses import DeepSupervisionLoss
from torch.testing import assert_close

from pipeline.losses.base_deep_supervision import DeepSupervision
from pipeline.losses.compound import Compound
from pipeline.losses.cross_entropy import CrossEntropy
from pipeline.losses.dice import Dice
from pipeline.plumbing.errors import UserError


@pytest.fixture
def outputs():
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 3, *size, generator=generator) for size in ((12, 18), (6, 9), (3, 5))]


@pytest.fixture
def target():
    drawn = torch.randint(0, 3, (2, 12, 18), generator=torch.Generator().manual_seed(1))
    drawn[:, 3:6, 4:9] = 255
    return drawn


def test_equals_monai(outputs, target):
    """Its weights of the mode "exp" are the same before they are divided by their sum, 1 + 1/2 + 1/4."""

    def cross_entropy(logits, target):
        return torch.nn.functional.cross_entropy(logits, target[:, 0].long(), ignore_index=255)

    expected = DeepSupervisionLoss(cross_entropy, weight_mode="exp")(outputs, target.unsqueeze(1).float()) / 1.75
    assert_close(DeepSupervision(CrossEntropy())(outputs, target), expected)


def test_weights_by_hand(target):
    """Losses of 1, 2 and 4 with weights 4/7, 2/7 and 1/7."""
    values = iter([1.0, 2.0, 4.0])
    outputs = [torch.zeros(2, 3, size, size) for size in (8, 4, 2)]
    loss = DeepSupervision(lambda logits, small: torch.tensor(next(values)))
    assert loss(outputs, target[:, :8, :8]).item() == pytest.approx((4 * 1 + 2 * 2 + 1 * 4) / 7)


def test_one_scale_is_the_loss_itself(outputs, target):
    assert DeepSupervision(Dice())(outputs[:1], target) == Dice()(outputs[0], target)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64])
def test_target_is_made_smaller_by_the_nearest_pixel_and_keeps_its_type(dtype):
    """Of each square of 3 x 3 pixels the middle; between class 1 and void there is nothing."""
    target = torch.tensor([[[0, 0, 0, 1, 255, 1], [0, 2, 0, 1, 255, 1], [0, 0, 0, 1, 255, 1]]], dtype=dtype)
    given = []
    DeepSupervision(lambda logits, small: given.append(small) or logits.sum())(
        [torch.zeros(1, 3, 3, 6), torch.zeros(1, 3, 1, 2)], target
    )
    assert torch.equal(given[0], target)
    assert torch.equal(given[1], torch.tensor([[[2, 255]]], dtype=dtype))


def test_gradient_goes_to_every_output_by_its_weight(outputs, target):
    for logits in outputs:
        logits.requires_grad_()
    DeepSupervision(CrossEntropy())(outputs, target).backward()
    (alone,) = torch.autograd.grad(CrossEntropy()(outputs[0], target), outputs[0])
    assert_close(outputs[0].grad, alone * 4 / 7)
    assert all(logits.grad.abs().max() > 0 for logits in outputs)


@pytest.mark.parametrize("order", [[], [1, 0], [0, 2, 1]])
def test_outputs_that_are_missing_or_out_of_order_are_refused(outputs, target, order):
    with pytest.raises(
        UserError, match=r"^Deep supervision needs the outputs of all scales in a list, the largest first"
    ):
        DeepSupervision(Dice())([outputs[k] for k in order], target)


def test_an_output_larger_than_the_target_is_refused(outputs, target):
    with pytest.raises(UserError, match=r"they are of \[\(12, 18\)\] pixels, and the target is of \(12, 17\)\.$"):
        DeepSupervision(Dice())(outputs[:1], target[..., :17])


def test_a_map_that_is_no_list_is_refused(outputs, target):
    """A network in evaluation may give its largest output alone; its images are no scales."""
    with pytest.raises(UserError, match="in a list"):
        DeepSupervision(Dice())(outputs[0], target)


@pytest.mark.parametrize("wrong", [dict, set, iter, lambda outputs: [*outputs, None]])
def test_outputs_that_are_no_list_of_tensors_are_refused(outputs, target, wrong):
    given = wrong(outputs) if wrong is not dict else dict(enumerate(outputs))
    with pytest.raises(UserError, match=r"in a list.*, all of them tensors, not"):
        DeepSupervision(Dice())(given, target)


def test_target_may_have_a_channel(outputs, target):
    loss = DeepSupervision(Dice().module())
    assert loss(outputs, target.unsqueeze(1)) == loss(outputs, target)


def test_target_may_be_of_probabilities(outputs, target):
    """One-hot ones, all 0 where ignored, cost what their classes do."""
    labels = torch.nn.functional.one_hot(target.where(target != 255, 3), 4)[..., :3].movedim(-1, 1).float()
    loss = DeepSupervision(CrossEntropy().module())
    assert_close(loss(outputs, labels), loss(outputs, target))


def test_probabilities_made_smaller_sum_to_one(outputs):
    given = []
    labels = torch.rand(2, 3, 12, 18, generator=torch.Generator().manual_seed(2)).softmax(dim=1)
    DeepSupervision(lambda logits, small: given.append(small) or logits.sum())(outputs, labels)
    assert [each.shape for each in given] == [each.shape for each in outputs]
    assert all(torch.allclose(each.sum(dim=1), torch.ones(())) for each in given)
    assert_close(given[2][0, :, 1, 2], labels[0, :, 6, 9])  # of 12 / 3 rows and 18 / 5 columns, each from its middle


def test_it_is_a_module_with_the_loss_in_it():
    loss = DeepSupervision(Compound(terms={"cross_entropy": 1.0, "dice": 1.0}, weights="learned").module())
    assert loss.state_dict().keys() == {"of.learned"}
    assert [each.device.type for each in loss.to("meta").parameters()] == ["meta"]


def test_progress_goes_to_the_loss(outputs, target):
    """At the end of it cross-entropy weighs nothing."""
    ramp = Compound(terms={"cross_entropy": {"weight": {"start": 1.0, "end": 0.0}}, "dice": 1.0}).module()
    value = DeepSupervision(ramp)(outputs, target, progress=1.0)
    assert_close(value, DeepSupervision(Dice().module())(outputs, target))

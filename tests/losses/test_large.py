"""Losses of many classes: what they hold, that their parts are the whole, their range, and their second derivatives."""

import pytest
import torch
from torch.testing import assert_close

from pipeline.conformance.cost import make_batch, measure
from pipeline.losses import base_parts
from tests.losses.informed import Informed

IN_PARTS = [
    "bi_tempered",
    "boundary",
    "boundary_dou",
    "cl_dice",
    "gradient",
    "hausdorff",
    "lovasz_softmax",
    "region_mutual_information",
    "ssim",
]
PER_PIXEL = ["distance_cross_entropy", "ldam", "logit_adjusted", "recall", "top_k_cross_entropy", "unified_focal"]
FROM_ZERO = [kind for kind in IN_PARTS + PER_PIXEL if kind != "ldam"]  # that one has no lowest value


@pytest.fixture(scope="module")
def squares():
    """Logits `2 7 30 33` and squares of classes, two of which are absent, with void pixels."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 5, (2, 5, 6), generator=generator)
    target = coarse.repeat_interleave(6, 1).repeat_interleave(6, 2)[:, :30, :33].contiguous()
    target[0, 3:9, 20:25] = target[1, :2] = 255
    return 2 * torch.randn(2, 7, 30, 33, generator=generator), target


@pytest.mark.parametrize("kind", IN_PARTS)
def test_parts_give_what_all_at_once_gives(build, squares, kind, monkeypatch):
    """A class or a row at a time, and three; in value and gradient."""
    loss, results = build(kind), []
    for at_once in (10**9, 1, 3 * squares[1].numel()):
        monkeypatch.setattr(base_parts, "AT_ONCE", at_once)
        logits = squares[0].clone().requires_grad_()
        value = loss(logits, squares[1])
        value.backward()
        results.append((value.detach(), logits.grad))
    assert_close(results[1], results[0])
    assert_close(results[2], results[0])


@pytest.mark.parametrize("kind", IN_PARTS + PER_PIXEL)
def test_memory_is_at_most_sixteen_times_the_logits(build, kind):
    """At its highest, forward and backward, with 150 classes that are all present."""
    batch = make_batch((1, 150, 128, 128), torch.device("cpu"))
    loss = build(kind).loss
    cost = measure(lambda logits, target: loss(logits, target, None, batch.facts), batch, rounds=1)
    assert cost.mebibytes < 16 * batch.logits.numel() * 4 / 2**20


@pytest.mark.parametrize("kind", FROM_ZERO)
@pytest.mark.parametrize("certainty", [2.0, 8.0, 11.0, 14.0, 16.5, 20.0, 60.0])
@pytest.mark.parametrize("classes", [2, 7])
def test_never_below_zero_near_perfection(build, squares, kind, certainty, classes):
    """Where a difference of nearly equal sums would be; every pixel has the same certainty or one of its own."""
    target = torch.where(squares[1] < classes, squares[1], 255)
    g = torch.nn.functional.one_hot(target % 255, classes).movedim(-1, 1).float()
    for spread in (0.0, 0.3):
        assert build(kind)(certainty * g + spread * squares[0][:, :classes], target) >= 0


@pytest.mark.parametrize("kind", ["boundary_dou", "bi_tempered", "ssim", "gradient", "hausdorff"])
@pytest.mark.parametrize("certainty", [8.0, 12.0, 16.0])
def test_gradient_near_perfection_keeps_its_digits(build, kind, certainty):
    """Of the pixels of a rare class, in float32 beside float64."""
    target = torch.zeros(1, 64, 64, dtype=torch.long)
    target[:, 30:33, 30:33] = 1
    logits = certainty * torch.nn.functional.one_hot(target, 2).movedim(-1, 1).float()
    single, double = logits.clone().requires_grad_(), logits.double().requires_grad_()
    build(kind)(single, target).backward()
    build(kind).in_float64(double, target).backward()
    rare = (target == 1).unsqueeze(1).expand_as(logits)
    assert_close(single.grad.double()[rare], double.grad[rare], rtol=1e-2, atol=1e-30)


@pytest.mark.parametrize("kind", IN_PARTS)
def test_second_derivative_is_that_of_a_difference_quotient(build, kind):
    """Never silently dropped: along one direction, in float64, within 1e-4."""
    generator = torch.Generator().manual_seed(0)
    logits, along = torch.randn(2, 1, 3, 10, 10, generator=generator, dtype=torch.float64)
    target = torch.arange(4).repeat_interleave(3)[:10].view(1, 10, 1).expand(1, 10, 10) % 3
    loss = build(kind)

    def slope(logits, create_graph=False):
        return torch.autograd.grad(loss.in_float64(logits, target), logits, create_graph=create_graph)[0]

    logits.requires_grad_()
    (product,) = torch.autograd.grad((slope(logits, create_graph=True) * along).sum(), logits)
    step = 1e-6 * along
    quotient = (
        slope((logits + step).detach().requires_grad_()) - slope((logits - step).detach().requires_grad_())
    ) / 2e-6
    assert_close(product, quotient, rtol=1e-4, atol=1e-4 * quotient.abs().max().item())


@pytest.mark.parametrize("kind", IN_PARTS + PER_PIXEL)
def test_batch_without_an_image_costs_nothing(build, kind):
    """As a batch of void pixels."""
    logits = torch.zeros(0, 3, 8, 8, requires_grad=True)
    facts = Informed(build(kind).loss).facts(torch.zeros(1, 8, 8, dtype=torch.long), 3)
    facts = facts._replace(distances=None if facts.distances is None else facts.distances[:0])
    value = build(kind).loss(logits, torch.zeros(0, 8, 8, dtype=torch.long), None, facts)
    value.backward()
    assert value == 0
    assert logits.grad.shape == logits.shape


@pytest.mark.parametrize("kind", IN_PARTS)
def test_compiled_it_is_the_same(build, squares, kind):
    """A function of autograd that differentiates inside is no obstacle to `torch.compile`."""
    loss = build(kind).loss
    facts = Informed(loss).facts(squares[1], 7)
    compiled = torch.compile(lambda logits: loss(logits, squares[1], None, facts), backend="eager")
    assert_close(compiled(squares[0]), loss(squares[0], squares[1], None, facts))

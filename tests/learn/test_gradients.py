"""Gradients of losses on models small enough to differentiate by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.learn.criterion import Criterion
from pipeline.learn.gradients import gradients
from pipeline.losses.cross_entropy import CrossEntropy
from pipeline.losses.dice import Dice
from pipeline.losses.focal import Focal
from pipeline.strategies.base import ClassStatistics, Strategy
from pipeline.strategies.class_weights import ClassWeights


class Linear(nn.Conv2d):
    """Two logits per pixel, each a multiple of its one channel; both 0 at first."""

    def __init__(self) -> None:
        super().__init__(1, 2, 1, bias=False)
        nn.init.zeros_(self.weight)


class Scaled(nn.Module):
    """A criterion times a constant."""

    def __init__(self, inner: nn.Module, factor: float) -> None:
        super().__init__()
        self.inner, self.factor = inner, factor

    def forward(self, *inputs, **options):
        return self.factor * self.inner(*inputs, **options)


def criterion(loss, strategy=None) -> Criterion:
    """As of a train split with one image of eight pixels, two of them of class 1."""
    return Criterion(
        loss, strategy or Strategy(), ClassStatistics(np.array([[6, 2]]), np.ones((1, 2), int)), iterations=10
    )


CROSS_ENTROPY = criterion(CrossEntropy())
PIXELS = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 1, 4)
TRUTH = torch.tensor([[[0, 0, 0, 1]]])


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Two images of eight pixels, a quarter of class 1 and two void."""
    images = torch.randn(2, 1, 2, 4, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([[[0, 0, 0, 1], [0, 0, 255, 1]], [[0, 0, 0, 1], [255, 0, 0, 0]]])
    return images, target


def test_norms_and_shares_by_hand():
    """Logits of 0 give p = 1/2, so each of four pixels has (p - g) / 4 = -1/8 and 1/8. Times the pixels 1 2 3 and -4,
    summed: (-6 + 4) / 8 = -1/4 for class 0 and 1/4 for class 1."""
    found = gradients(Linear(), [CROSS_ENTROPY], [(PIXELS, TRUTH)])
    assert found.logit_norms == pytest.approx([np.sqrt(8 / 64)])
    assert found.weight_norms == pytest.approx([np.sqrt(2 / 16)])
    assert found.pull == pytest.approx(np.array([[6 / 8, 2 / 8]]))
    assert found.pull_shares == pytest.approx(np.array([[0.75, 0.25]]))
    assert found.pixel_shares == pytest.approx([0.75, 0.25])


def test_a_norm_is_the_root_of_the_mean_square_over_batches():
    """Opposite gradients do not cancel: the second batch swaps the classes, which turns the gradient round."""
    found = gradients(Linear(), [CROSS_ENTROPY], [(PIXELS, TRUTH), (PIXELS, 1 - TRUTH), (0 * PIXELS, TRUTH)])
    assert found.weight_norms == pytest.approx([np.sqrt((2 / 16 + 2 / 16 + 0) / 3)])
    assert found.logit_norms == pytest.approx([np.sqrt(8 / 64)])
    assert found.pixels.tolist() == [7, 5]


def test_the_cosine_follows_from_the_gradients_that_autograd_gives(batch):
    """The independent way: backward through the whole, one loss after the other."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 1))
    losses = [CROSS_ENTROPY, criterion(Dice())]
    found = gradients(model, losses, [batch])
    vectors = []
    for loss in losses:
        model.zero_grad()
        loss(model(batch[0]), batch[1]).backward()
        vectors.append(torch.cat([each.grad.flatten() for each in model.parameters()]).numpy())
    lengths = [np.linalg.norm(each) for each in vectors]
    assert found.weight_norms == pytest.approx(lengths, rel=1e-5)
    assert found.cosines[0, 1] == pytest.approx(vectors[0] @ vectors[1] / np.prod(lengths), rel=1e-5)
    assert (found.cosines == found.cosines.T).all()


def test_three_times_a_loss_pulls_three_times_as_hard_in_the_same_direction(batch):
    once, thrice = criterion(Dice()), Scaled(criterion(Dice()), 3)
    found = gradients(nn.Conv2d(1, 2, 3, padding=1), [once, thrice], [batch])
    assert found.weight_norms[1] == pytest.approx(3 * found.weight_norms[0], rel=1e-5)
    assert found.logit_norms[1] == pytest.approx(3 * found.logit_norms[0], rel=1e-5)
    assert found.pull_shares[1] == pytest.approx(found.pull_shares[0], rel=1e-5)
    assert found.cosines == pytest.approx(np.ones((2, 2)))


def test_cross_entropy_beside_itself_is_one(batch):
    found = gradients(nn.Conv2d(1, 2, 1), [CROSS_ENTROPY, criterion(Focal(gamma=0.0))], [batch])
    assert found.weight_norms[1] / found.weight_norms[0] == pytest.approx(1)
    assert found.cosines == pytest.approx(np.ones((2, 2)))


@pytest.mark.parametrize("loss", [CrossEntropy(), Dice(), Focal()])
def test_shares_sum_to_one_and_void_pixels_have_none(batch, loss):
    """The gradient at the void pixels is not merely left out of the sum: there is none."""
    found = gradients(nn.Conv2d(1, 2, 1), [criterion(loss)], [batch])
    logits, target = torch.randn(2, 2, 2, 4, requires_grad=True), batch[1]
    criterion(loss)(logits, target).backward()
    assert found.pull_shares.sum() == pytest.approx(1)
    assert found.pixel_shares.sum() == pytest.approx(1)
    assert found.pixels.tolist() == [11, 3]
    assert logits.grad.movedim(1, -1)[target == 255].tolist() == [[0, 0], [0, 0]]


def test_a_rare_class_gets_more_under_inverse_weights():
    """Weights 1 and 3 for shares of 3/4 and 1/4 make both classes pull alike."""
    inverse = criterion(CrossEntropy(), ClassWeights(power=1.0))
    plain, weighted = gradients(Linear(), [CROSS_ENTROPY, inverse], [(PIXELS, TRUTH)]).pull_shares[:, 1]
    assert (plain, weighted) == pytest.approx((0.25, 0.5))


def test_batch_normalisation_is_that_of_training(batch):
    """Under the running statistics of a new model the images would not be normalised, and pull four times as hard."""
    images, target = batch
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 2, 1, bias=False))
    nn.init.ones_(model[1].weight)
    small, large = (gradients(model.eval(), [CROSS_ENTROPY], [(factor * images, target)]) for factor in (1, 4))
    assert small.weight_norms == pytest.approx(large.weight_norms, rel=1e-3)


def test_a_loss_that_asks_for_more_gets_it():
    """The distances of the batch, and the iteration."""
    seen = []

    def asking(logits, target, distances, iteration):
        seen.append((distances.shape, iteration))
        return (logits * distances).sum()

    distances = torch.ones(1, 2, 1, 4)
    found = gradients(Linear(), [asking], [(PIXELS, TRUTH, distances)], iteration=7)
    assert seen == [((1, 2, 1, 4), 7)]
    assert found.logit_norms == pytest.approx([np.sqrt(8)])


def test_no_gradient_has_no_direction_and_no_shares():
    found = gradients(Linear(), [CROSS_ENTROPY, Scaled(CROSS_ENTROPY, 0)], [(PIXELS, TRUTH)])
    assert found.weight_norms[1] == 0
    assert np.isnan(found.cosines[0, 1])
    assert np.isnan(found.pull_shares[1]).all()


def test_tiny_gradients_keep_their_direction():
    """The square of 1e-30 is 0 in float32."""
    found = gradients(Linear(), [CROSS_ENTROPY, Scaled(CROSS_ENTROPY, 1e-30)], [(PIXELS, TRUTH)])
    assert found.cosines[0, 1] == pytest.approx(1)


def test_a_class_that_never_occurs_has_no_share():
    found = gradients(Linear(), [CROSS_ENTROPY], [(PIXELS, torch.zeros_like(TRUTH))])
    assert found.pull_shares.tolist() == [[1, 0]]

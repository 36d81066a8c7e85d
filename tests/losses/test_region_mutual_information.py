"""Region mutual information: NumPy region by region, what it is blind to, and values a reader can work out."""

import math

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch.testing import assert_close

from pipeline.plumbing.errors import UserError
from tests.losses.reference import mean

RIDGE = 5e-4


def reference(loss, logits, target, weights, facts):
    """Zhao et al. in double precision: covariances not divided by the number of regions, as in their code."""
    p = softmax(logits, axis=1)
    g = np.moveaxis(np.eye(256)[target], -1, 1)  # as many classes as an index can have, void the last
    p, g, target = pooled(p, g, target, loss.stride)
    classes = np.flatnonzero(g[:, :255].any(axis=(0, 2, 3)))
    bounds = []
    for image, truth, known in zip(p, g, target, strict=True):
        centres = [
            (i, j)
            for i, j in np.ndindex(known.shape)
            if 0 < i < known.shape[0] - 1 and 0 < j < known.shape[1] - 1 and around(known, i, j).all()
        ]
        if centres:
            bounds.append([bound(image[index], truth[index], centres) for index in classes])
    return mean(np.mean(bounds, axis=0), weights[classes]) if bounds else 0.0


def pooled(p, g, target, stride):
    """Means over the valid pixels of each cell, and which cells have one."""
    known = target != 255
    shape = tuple(-(-size // stride) for size in known.shape[1:])
    maps = [np.zeros((*each.shape[:2], *shape)) for each in (p, g)]
    filled = np.zeros((len(p), *shape), bool)
    for (image, a, b), _ in np.ndenumerate(filled):
        window = image, slice(a * stride, (a + 1) * stride), slice(b * stride, (b + 1) * stride)
        if known[window].any():
            filled[image, a, b] = True
            for found, each in zip(maps, (p, g), strict=True):
                found[image, :, a, b] = each[image][:, *window[1:]][:, known[window]].mean(axis=1)
    return *maps, filled


def around(pixels, i, j):
    return pixels[i - 1 : i + 2, j - 1 : j + 2]


def bound(p, g, centres):
    """Half the log-determinant of the conditional scatter per dimension, without its constant."""
    p, g = (np.stack([around(each, i, j).ravel().astype(float) for i, j in centres]) for each in (p, g))
    p, g = p - p.mean(axis=0), g - g.mean(axis=0)
    remains = g.T @ g - g.T @ p @ np.linalg.solve(p.T @ p + RIDGE * np.eye(9), p.T @ g)
    return (np.linalg.slogdet(remains + RIDGE * np.eye(9))[1] - 9 * math.log(RIDGE)) / (2 * 9)


# Regions at (1, 1) and (1, 2); they differ in three of nine pixels, by half from their mean: scatter 2 * 3 * 1/4.
STEP = torch.tensor([[[0, 0, 0, 1]] * 3])
SCATTER = 1.5


def surely(mask, classes=2):
    return 100 * torch.nn.functional.one_hot(mask, classes).movedim(-1, 1).float()


def test_prediction_that_knows_nothing_by_hand(build):
    """M is the scatter of the truth: of rank one, with the eigenvalue 3/2."""
    loss = build("region_mutual_information", stride=1)(torch.zeros(1, 2, 3, 4), STEP)
    assert loss.item() == pytest.approx(math.log(1 + SCATTER / RIDGE) / 18)


def test_perfect_prediction_by_hand(build):
    """What the ridge keeps back: M = s - s^2 / (s + r) = s r / (s + r), in the one direction of the scatter."""
    loss = build("region_mutual_information", stride=1)(surely(STEP), STEP)
    assert loss.item() == pytest.approx(math.log(1 + SCATTER / (SCATTER + RIDGE)) / 18)


def test_contrast_of_the_prediction_by_hand(build):
    """Half the step: the prediction has a quarter of the scatter."""
    logits = torch.where(STEP == 1, math.log(3), 0.0).unsqueeze(1)  # one channel: a probability of 1/2, and of 3/4
    quarter = SCATTER / 16
    expected = math.log(1 + (SCATTER - SCATTER * quarter / (quarter + RIDGE)) / RIDGE) / 18
    assert build("region_mutual_information", stride=1)(logits, STEP).item() == pytest.approx(expected, rel=1e-4)


def test_two_classes_taken_for_each_other_are_no_worse(build, batch):
    """A class and its complement have the same scatter: with two classes all wrong is as good as all right."""
    logits, target = batch[0][:, :2], batch[1] % 2
    loss = build("region_mutual_information", stride=1)
    assert_close(loss(logits.flip(1), target), loss(logits, target))


def test_pattern_stronger_than_the_truth_explains_it_better_than_the_truth(build):
    """A whole column for a single pixel has three times its scatter; so the perfect prediction is no strict minimum."""
    pixel = STEP.clone()
    pixel[:, [0, 2]] = 0
    loss = build("region_mutual_information", stride=1)
    assert loss(surely(pixel), pixel).item() == pytest.approx(math.log(1 + 0.5 / (0.5 + RIDGE)) / 18)
    assert loss(surely(STEP), pixel).item() == pytest.approx(math.log(1 + 0.5 / (1.5 + RIDGE)) / 18)


def test_the_nearer_the_better(build):
    """A disc, and the same disc one and three pixels to the right."""
    i, j = np.mgrid[:24, :24]
    discs = [torch.from_numpy((np.hypot(i - 12, j - 11 - shift) < 6).astype(np.int64))[None] for shift in (0, 1, 3)]
    costs = [build("region_mutual_information", stride=1)(surely(disc), discs[0]).item() for disc in discs]
    assert costs[0] < costs[1] - 1 < costs[2] - 1.5


def test_certainty_is_better_than_a_hint(build):
    """Only by the ridge: without it a linear map of the truth would explain all of it."""
    logits = surely(STEP) / 100
    costs = [build("region_mutual_information", stride=1)(scale * logits, STEP).item() for scale in (0.1, 1.0, 10.0)]
    assert costs == sorted(costs, reverse=True)


def test_image_of_one_class_leaves_nothing_to_explain(build, batch):
    """A truth without scatter costs 0, whatever the prediction."""
    assert build("region_mutual_information", stride=1)(batch[0], torch.zeros_like(batch[1])) == pytest.approx(
        0, abs=1e-6
    )


@pytest.mark.parametrize("shape", [(1, 1), (2, 9), (9, 2)])
def test_images_smaller_than_a_region_cost_nothing(build, shape):
    """No region, no information; the gradient is 0 and finite."""
    logits = torch.randn(1, 3, *shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = build("region_mutual_information", stride=1)(logits, torch.ones(1, *shape, dtype=torch.long))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert (logits.grad == 0).all()


def test_image_without_a_region_does_not_dilute_the_others(build):
    """Every region of the second image holds the void pixel."""
    blind = STEP.clone()
    blind[0, 1, 1:3] = 255
    loss, logits = build("region_mutual_information", stride=1), torch.zeros(1, 2, 3, 4)
    both = loss(torch.cat([logits, logits]), torch.cat([STEP, blind]))
    assert_close(both, loss(logits, STEP))


def test_constant_predictions_have_a_finite_gradient(build):
    """Their scatter is 0 and has no inverse without the ridge."""
    logits = torch.zeros(1, 2, 8, 8).requires_grad_()
    build("region_mutual_information", stride=1)(logits, STEP.repeat(1, 3, 2)[:, :8]).backward()
    assert logits.grad.isfinite().all()


def test_diverged_model_gives_nan_and_no_exception(build):
    """Training records where it diverged; a factorisation that raises would end it without a result."""
    assert build("region_mutual_information", stride=1)(torch.full((1, 2, 3, 4), float("nan")), STEP).isnan()


def test_scale_does_not_depend_on_how_many_classes_are_absent(build, batch):
    """As in Dice."""
    logits, target = batch
    more = torch.nn.functional.pad(logits, (0, 0, 0, 0, 0, 5), value=-1e4)  # five classes more, nowhere seen
    loss = build("region_mutual_information", stride=1)
    assert_close(loss(more, target), loss(logits, target))


# --- cells of several pixels, the default ---


@pytest.fixture(scope="module")
def large():
    """Images that have regions of 3 x 3 cells: the last cells are cut, one is void and one partly so."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(0, 3, (2, 4, 4), generator=generator)
    target = coarse.repeat_interleave(5, 1).repeat_interleave(5, 2)[:, :20, :17].contiguous()
    target[0, 15:18, 12:15] = target[1, 3:5, 3:5] = 255
    return torch.randn(2, 3, 20, 17, generator=generator), target


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_cells_are_means_of_their_valid_pixels(build, large, stride):
    """In NumPy, cell by cell; in float64 to its last digits, and with class weights."""
    loss, (logits, target) = build("region_mutual_information", stride=stride), large
    weights = torch.tensor([1.0, 3.0, 0.5])
    expected = reference(loss, logits.double().numpy(), target.numpy(), weights.numpy(), None)
    assert loss.in_float64(logits, target, weights).item() == pytest.approx(expected, rel=1e-6)
    assert loss(logits, target, weights).item() == pytest.approx(expected, rel=2e-4)


def test_default_is_three(build, large):
    """As in the authors' class."""
    assert build("region_mutual_information")(*large) == build("region_mutual_information", stride=3)(*large)


def test_pixels_of_cells_learn_and_void_ones_do_not(build, large):
    """Through the mean; what is predicted at a void pixel changes nothing."""
    loss, (logits, target) = build("region_mutual_information"), large
    logits = logits.clone().requires_grad_()
    loss(logits, target).backward()
    learns = logits.grad.abs().sum(dim=1) > 0
    assert not learns[target == 255].any()
    assert learns[1, 5:15, 5:15].all()
    changed = torch.where(target.unsqueeze(1) == 255, 50.0, logits.detach())
    assert loss(changed, target) == loss(logits, target)


def test_gradient_of_cells_equals_the_difference_quotient(build, large):
    """In float64."""
    loss = build("region_mutual_information")
    logits, target = large[0][:1].double().requires_grad_(), large[1][:1]
    assert torch.autograd.gradcheck(lambda logits: loss.in_float64(logits, target), logits, fast_mode=True)


@pytest.mark.parametrize("size", [(6, 30), (30, 6), (1, 1)])
def test_images_of_fewer_than_three_cells_cost_nothing(build, size):
    """Along either axis; the gradient is 0."""
    logits = torch.randn(1, 2, *size, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = build("region_mutual_information")(logits, torch.ones(1, *size, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("value", [0, 9, 1.5])
def test_stride_out_of_range_is_refused(build, value):
    """With the name of the key."""
    with pytest.raises(UserError, match=r"region_mutual_information\.stride: "):
        build("region_mutual_information", stride=value)

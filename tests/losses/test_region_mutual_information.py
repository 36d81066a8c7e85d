"""Region mutual information: NumPy region by region, what it is blind to, and values a reader can work out."""

import math

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch.testing import assert_close

from tests.losses.reference import mean

RIDGE = 5e-4


def reference(loss, logits, target, weights, facts):
    """Zhao et al. in double precision: covariances not divided by the number of regions, as in their code."""
    p = softmax(logits, axis=1)
    classes = np.unique(target[target != 255])
    bounds = []
    for image, truth in zip(p, target, strict=True):
        centres = [
            (i, j)
            for i, j in np.ndindex(truth.shape)
            if 0 < i < truth.shape[0] - 1 and 0 < j < truth.shape[1] - 1 and (around(truth, i, j) != 255).all()
        ]
        if centres:
            bounds.append([bound(image[index], truth == index, centres) for index in classes])
    return mean(np.mean(bounds, axis=0), weights[classes]) if bounds else 0.0


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

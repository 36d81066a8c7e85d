"""Hausdorff: NumPy by its definition, its limit the Brier score, and values a reader can work out."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.metrics import brier_score_loss
from torch.testing import assert_close

from tests.losses.reference import mean


def reference(loss, logits, target, weights, facts):
    """Karimi and Salcudean, one-sided, pixel by pixel: squared error times a power of the distance."""
    p = softmax(logits, axis=1)
    classes = np.unique(target[target != 255])
    costs = []
    for index in classes:
        cost = 0.0
        for image in range(len(target)):
            inside, outside = target[image] == index, (target[image] != index) & (target[image] != 255)
            for pixel in np.argwhere(inside | outside):
                i, j = pixel
                others = np.argwhere(outside if inside[i, j] else inside)
                nearest = min((np.hypot(*(pixel - other)) for other in others), default=None)
                has_boundary = inside.any() and outside.any()
                distance = abs((1 - nearest) if inside[i, j] else nearest) if has_boundary else 0.0
                distance /= unit(loss, target[image])
                cost += (p[image, index, i, j] - inside[i, j]) ** 2 * distance**loss.alpha
        costs.append(cost / (target != 255).sum())
    return mean(np.array(costs), weights[classes])


def unit(loss, mask):
    """In pixels: 1, or the diagonal of the rows and columns that hold a valid pixel."""
    known = mask != 255
    return np.hypot(known.any(axis=1).sum(), known.any(axis=0).sum()) if loss.unit == "diagonal" else 1


def test_false_alarm_costs_its_distance_squared(build, row, predict_surely):
    """Class 1 is found 3 pixels too far to the right, where class 0 is 2 pixels deep."""
    logits, target = predict_surely(1, 0, 0, 1, 0, classes=2), row(1, 0, 0, 0, 0)
    assert build("hausdorff", background=True)(logits, target).item() == pytest.approx((9 + 4) / 5 / 2)
    assert build("hausdorff", background=True, alpha=1.0)(logits, target).item() == pytest.approx((3 + 2) / 5 / 2)
    weighted = build("hausdorff", background=True)(logits, target, torch.tensor([1.0, 3.0]))
    assert weighted.item() == pytest.approx((3 * 9 + 4) / 5 / 4)


def test_diagonal_is_the_unit_before_the_power(build, row, predict_surely):
    """As above, with distances in units of sqrt(26)."""
    logits, target = predict_surely(1, 0, 0, 1, 0, classes=2), row(1, 0, 0, 0, 0)
    assert build("hausdorff", background=True, unit="diagonal")(logits, target).item() == pytest.approx(
        (9 + 4) / 26 / 5 / 2
    )
    assert build("hausdorff", background=True, unit="diagonal", alpha=1.0)(logits, target).item() == pytest.approx(
        5 / 26**0.5 / 5 / 2
    )


def test_half_the_probability_costs_a_quarter(build, row, predict):
    """The error is squared."""
    target = row(1, 0, 0, 0)
    whole, half = (build("hausdorff")(predict([0, 1], [1, 0], [1, 0], [1 - p, p]), target).item() for p in (1.0, 0.5))
    assert half == pytest.approx(whole / 4)


def test_one_far_mistake_is_dearer_than_several_near_ones(build, row, predict_surely):
    """The larger alpha, the more the furthest mistake decides, as in the Hausdorff distance."""
    target = row(1, 0, 0, 0, 0, 0)
    far, near = predict_surely(1, 0, 0, 0, 0, 1, classes=2), predict_surely(1, 1, 1, 1, 0, 0, classes=2)
    ratios = [
        build("hausdorff", background=True, alpha=a)(far, target)
        / build("hausdorff", background=True, alpha=a)(near, target)
        for a in (1.0, 2.0)
    ]
    assert [ratio.item() for ratio in ratios] == pytest.approx([(5 + 4) / (6 + 3), (25 + 16) / (14 + 5)])


def test_without_distance_it_is_the_brier_score_of_scikit_learn(build, batch):
    """alpha = 0: every pixel counts alike."""
    logits, target = batch
    valid = target != 255
    p, truth = logits.softmax(dim=1).movedim(1, -1)[valid].double().numpy(), target[valid].numpy()
    expected = np.mean([brier_score_loss(truth == index, p[:, index]) for index in range(4)])
    assert build("hausdorff", alpha=0.0)(logits, target).item() == pytest.approx(expected)


def test_distances_inside_count_as_those_outside(build, row, predict_surely):
    """Missing the depth of class 0 costs as much as a false alarm at that distance."""
    loss = build("hausdorff", background=True)(predict_surely(1, 1, 1, 1, classes=2), row(1, 0, 0, 0))
    assert loss.item() == pytest.approx(((0 + 1 + 4) + (1 + 4 + 9)) / 4 / 2)


def test_image_of_one_class_has_no_boundary(build, row, predict_surely):
    """Nothing to measure a distance from, so even all wrong is free."""
    assert build("hausdorff")(predict_surely(1, 1, classes=2), row(0, 0)) == 0


def test_scale_does_not_depend_on_how_many_classes_are_absent(build, batch):
    """As in Dice."""
    logits, target = batch
    more = torch.nn.functional.pad(logits, (0, 0, 0, 0, 0, 5), value=-1e4)  # five classes more, nowhere seen
    assert_close(build("hausdorff")(more, target), build("hausdorff")(logits, target))


def test_of_two_classes_it_is_the_map_of_the_foreground(build, row, predict_surely):
    """As in the paper: 3 pixels off, squared. Class weights are the price of what is wrongly given to it: 3 / 4 of the
    pixels are background, and count w_0 / w_1 = 1 / 2."""
    logits, target = predict_surely(1, 0, 0, 1, classes=2), row(1, 0, 0, 0)
    assert build("hausdorff")(logits, target).item() == pytest.approx(9 / 4)
    weighted = build("hausdorff")(logits, target, torch.tensor([1.0, 2.0]))
    assert weighted.item() == pytest.approx(9 / 2 / (1 + 3 / 2))

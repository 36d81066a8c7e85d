"""Boundary: NumPy with SciPy's distance transform, and values a reader can work out."""

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from scipy.special import softmax
from torch.testing import assert_close

from tests.losses.reference import mean


def reference(loss, logits, target, weights, facts):
    """Kervadec et al., pixel by pixel: the signed distance of the class times what is wrong with its probability."""
    p = softmax(logits, axis=1)
    classes = np.unique(target[target != 255])
    costs = []
    for index in classes:
        cost = 0.0
        for image in range(len(target)):
            inside, outside = target[image] == index, (target[image] != index) & (target[image] != 255)
            if not (inside.any() and outside.any()):
                continue  # no boundary
            for pixel in np.argwhere(inside | outside):
                i, j = pixel
                nearest = [np.hypot(*(pixel - other)) for other in np.argwhere(outside if inside[i, j] else inside)]
                phi = 1 - min(nearest) if inside[i, j] else min(nearest)
                cost += phi / unit(loss, target[image]) * (p[image, index, i, j] - inside[i, j])
        costs.append(cost / (target != 255).sum())
    return mean(np.array(costs), weights[classes])


def unit(loss, mask):
    """In pixels: 1, or the diagonal of the rows and columns that hold a valid pixel."""
    known = mask != 255
    return np.hypot(known.any(axis=1).sum(), known.any(axis=0).sum()) if loss.unit == "diagonal" else 1


def test_false_alarm_costs_its_distance(build, row, predict_surely):
    """Class 1 is found 3 pixels too far to the right; phi of class 0 there is -2, and 2 is what it withholds."""
    loss = build("boundary", background=True)(predict_surely(1, 0, 0, 1, 0, classes=2), row(1, 0, 0, 0, 0))
    assert loss.item() == pytest.approx((3 / 5 + 2 / 5) / 2)


def test_weights_are_of_the_class_whose_map_is_compared(build, row, predict_surely):
    """As above, with the map of class 1 counting three times."""
    logits, target = predict_surely(1, 0, 0, 1, 0, classes=2), row(1, 0, 0, 0, 0)
    loss = build("boundary", background=True)(logits, target, torch.tensor([1.0, 3.0]))
    assert loss.item() == pytest.approx((3 * 3 / 5 + 2 / 5) / 4)


def test_cost_is_linear_in_the_probability(build, row, predict):
    """Half the probability, half the cost: certainty is not asked for."""
    target = row(1, 0, 0, 0)
    whole, half = (build("boundary")(predict([0, 1], [1, 0], [1, 0], [1 - p, p]), target).item() for p in (1.0, 0.5))
    assert half == pytest.approx(whole / 2)


def test_gradient_is_that_of_the_paper_without_its_constant(build, batch):
    """Sum phi p and sum phi (p - g) differ by what does not depend on the prediction."""
    logits, target = batch[0].clone().requires_grad_(), batch[1]
    loss = build("boundary")
    (ours,) = torch.autograd.grad(loss(logits, target), logits)
    distances, valid = loss.facts(target, 4).distances, target != 255
    paper = (distances * logits.softmax(dim=1) * valid.unsqueeze(1)).sum(dim=(0, 2, 3)).mean() / valid.sum()
    (theirs,) = torch.autograd.grad(paper, logits)
    assert_close(ours, theirs)


def test_hard_predictions_cost_the_distances_of_the_pixels_that_differ(build):
    """A disc of radius 5 found one pixel too large, by SciPy's distances: the rim once more, each pixel at its depth."""
    i, j = np.mgrid[:21, :21]
    radius = np.hypot(i - 10, j - 10)
    truth, found = radius <= 5, radius <= 6
    surely = torch.from_numpy(np.stack([~found, found])).float()[None] * 200
    loss = build("boundary", background=True)(surely, torch.from_numpy(truth.astype(np.int64))[None])
    extra = found & ~truth
    of_object, of_background = distance_transform_edt(~truth)[extra], distance_transform_edt(~truth)[extra] - 1
    assert loss.item() == pytest.approx((of_object.sum() + of_background.sum()) / 2 / truth.size)


def test_distance_grows_with_the_image(build, row, predict_surely):
    """The same picture with every pixel twice as wide costs more: distances are in pixels."""
    small = build("boundary", background=True)(predict_surely(1, 0, 0, 1, classes=2), row(1, 0, 0, 0))
    large = build("boundary", background=True)(
        predict_surely(1, 1, 0, 0, 0, 0, 1, 1, classes=2), row(1, 1, 0, 0, 0, 0, 0, 0)
    )
    assert small.item() == pytest.approx((3 + 2) / 4 / 2)
    assert large.item() == pytest.approx((5 + 6 + 4 + 5) / 8 / 2)


def test_in_units_of_the_diagonal_resolution_does_not_matter(build):
    """A disc of a quarter of the image found too far to the right by an eighth, with 32 and with 256 pixels."""
    costs = {unit: [] for unit in ("pixel", "diagonal")}
    for size in (32, 256):
        i, j = (np.mgrid[:size, :size] + 0.5) / size
        truth, found = (np.hypot(i - 0.5, j - middle) < 0.125 for middle in (0.4, 0.525))
        surely = torch.from_numpy(np.stack([~found, found])).float()[None] * 200
        for unit, values in costs.items():
            values.append(build("boundary", unit=unit)(surely, torch.from_numpy(truth.astype(np.int64))[None]).item())
    assert costs["diagonal"][1] == pytest.approx(costs["diagonal"][0], rel=0.1)
    assert costs["pixel"][1] > 6 * costs["pixel"][0]


def test_diagonal_is_that_of_what_is_valid(build, row, predict_surely):
    """Four pixels in a row, padded with void: a false alarm at distance 3 of sqrt(17), and 2 of what is withheld."""
    loss = build("boundary", background=True, unit="diagonal")
    logits, target = predict_surely(1, 0, 0, 1, 0, 0, classes=2), row(1, 0, 0, 0, 255, 255)
    assert loss(logits, target).item() == pytest.approx((3 + 2) / 17**0.5 / 4 / 2)


def test_inner_rim_is_free_for_its_own_class_and_charged_to_the_other(build, row, predict_surely):
    """One pixel of class 0 beside the boundary is taken for class 1: phi = 0 for the one and 1 for the other."""
    loss = build("boundary", background=True)(predict_surely(1, 1, 0, classes=2), row(1, 0, 0))
    assert loss.item() == pytest.approx((0 + 1 / 3) / 2)


def test_image_of_one_class_has_no_boundary(build, row, predict_surely):
    """Nothing to measure a distance from, so even all wrong is free."""
    assert build("boundary")(predict_surely(1, 1, classes=2), row(0, 0)) == 0


def test_scale_does_not_depend_on_how_many_classes_are_absent(build, batch):
    """As in Dice."""
    logits, target = batch
    more = torch.nn.functional.pad(logits, (0, 0, 0, 0, 0, 5), value=-1e4)  # five classes more, nowhere seen
    assert_close(build("boundary")(more, target), build("boundary")(logits, target))


def test_of_two_classes_it_is_the_map_of_the_foreground(build, row, predict_surely):
    """As in the paper: 3 pixels off. Class weights are the price of what is wrongly given to it: 3 / 4 of the pixels
    are background, and count w_0 / w_1 = 1 / 2."""
    logits, target = predict_surely(1, 0, 0, 1, classes=2), row(1, 0, 0, 0)
    assert build("boundary")(logits, target).item() == pytest.approx(3 / 4)
    weighted = build("boundary")(logits, target, torch.tensor([1.0, 2.0]))
    assert weighted.item() == pytest.approx(3 / 2 / (1 + 3 / 2))

"""Gradient: NumPy in float64, and values a reader can work out."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch.testing import assert_close


def reference(loss, logits, target, weights, facts):
    """Pair by pair: the difference of differences, squared."""
    p, g = softmax(logits, axis=1), np.eye(logits.shape[1])
    rows, columns = target.shape[1:]
    squares = []
    for image, i, j in np.argwhere(target != 255):
        for k, m in ((i + 1, j), (i, j + 1)):
            if k < rows and m < columns and target[image, k, m] != 255:
                predicted = p[image, :, k, m] - p[image, :, i, j]
                squares.append((predicted - (g[target[image, k, m]] - g[target[image, i, j]])) ** 2)
    return np.average(np.mean(squares, axis=0), weights=weights) if squares else 0.0


def test_misplaced_edge_by_hand(build, row, predict_surely):
    """p - g of class 1 is 0 1 0 0: of three pairs two differ by 1, in either class."""
    loss = build("gradient")(predict_surely(0, 1, 1, 1, classes=2), row(0, 0, 1, 1))
    assert loss.item() == pytest.approx(2 / 3)


def test_half_an_edge_by_hand(build, row, predict):
    """The truth steps by 1, the prediction by 0.5: an error of 0.5^2 in one pair."""
    assert build("gradient")(predict([0.75, 0.25], [0.25, 0.75]), row(0, 1)).item() == pytest.approx(0.25)


def test_edge_in_the_wrong_direction_costs_most(build, row, predict_surely):
    """The truth steps up and the prediction down: 2^2. Absolute derivatives would find it perfect."""
    assert build("gradient")(predict_surely(1, 0, 1, classes=2), row(0, 1, 0)).item() == pytest.approx(4)


def test_rows_and_columns_count_alike(build, batch):
    """Turning the image changes nothing."""
    logits, target = batch
    assert_close(build("gradient")(logits.mT, target.mT), build("gradient")(logits, target))


def test_it_sees_edges_only(build, row, predict):
    """Adding 0.2 to the probability of a class everywhere changes nothing."""
    truth = row(0, 1, 1)
    low, high = ([[1 - p, p] for p in (0.2 + shift, 0.5 + shift, 0.7 + shift)] for shift in (0.0, 0.2))
    assert_close(build("gradient")(predict(*low), truth), build("gradient")(predict(*high), truth))


def test_pairs_with_a_void_pixel_are_left_out(build, row, predict_surely):
    """Of five pairs the two beside the void pixel are left out; of the three others one is wrong."""
    loss = build("gradient")(predict_surely(0, 1, 0, 1, 1, 1, classes=2), row(0, 0, 255, 1, 1, 1))
    assert loss.item() == pytest.approx(1 / 3)


def test_no_edge_between_pixels_on_either_side_of_a_void_one(build, row, predict_surely):
    """Where the edge runs is not known there."""
    assert build("gradient")(predict_surely(1, 0, 0, classes=2), row(0, 255, 1)) == 0


def test_absent_class_stays_in_the_mean(build, row, predict_surely):
    """An edge where the truth has none is an error: class 2 is predicted at one end of three pixels."""
    loss = build("gradient")(predict_surely(0, 0, 2, classes=3), row(0, 0, 0))
    assert loss.item() == pytest.approx((1 / 2 + 0 + 1 / 2) / 3)


def test_weights_are_of_the_class_whose_map_is_compared(build, row, predict_surely):
    """As above, with the map of class 2 counting twice."""
    loss = build("gradient")(predict_surely(0, 0, 2, classes=3), row(0, 0, 0), torch.tensor([1.0, 1.0, 2.0]))
    assert loss.item() == pytest.approx((1 / 2 + 0 + 2 * 1 / 2) / 4)

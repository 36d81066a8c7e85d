"""Distance-penalised cross-entropy: pairwise distances in NumPy, SciPy's distance transform, and values by hand."""

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pipeline.losses.base import Facts
from pipeline.plumbing.errors import UserError
from tests.losses.reference import mean, valid_pixels


def penalty(mask):
    """Phi of one image, pixel by pixel: how far is the nearest pixel of another class? Next to it counts as 0."""
    places = np.argwhere(mask != 255)
    inward = np.zeros(mask.shape)
    for place in places:
        others = [np.hypot(*(place - other)) for other in places if mask[tuple(other)] != mask[tuple(place)]]
        if not others:
            return np.zeros(mask.shape)
        inward[tuple(place)] = min(others) - 1
    return 1 - inward / max(inward.max(), 1e-12)


def reference(loss, logits, target, weights, facts):
    """Caliva et al.: (1 + Phi) times the cross-entropy of each pixel."""
    p, g = valid_pixels(logits, target)
    phi = np.stack([penalty(mask) for mask in target])[target != 255]
    return mean(-(1 + phi) * np.log((p * g).sum(axis=1)), g @ weights)


def test_row_of_pixels_by_hand(build, row, predict):
    """0 0 0 1: distances to the boundary 2 1 0 0, so Phi is 0 1/2 1 1. At log 2 each, that is 6.5 / 4 log 2."""
    loss = build("distance_cross_entropy")(predict(*4 * [[0.5, 0.5]]), row(0, 0, 0, 1))
    assert loss.item() == pytest.approx(6.5 / 4 * math.log(2))


@pytest.mark.parametrize(("wrong", "expected"), [(0, 1.0), (1, 1.5), (2, 2.0), (3, 2.0)])
def test_wrong_pixel_weighs_by_its_distance(build, row, predict, wrong, expected):
    """One pixel of the row above at p = 1/2 and the others right."""
    truth = row(0, 0, 0, 1)
    pixels = [[1.0, 0.0] if c == 0 else [0.0, 1.0] for c in truth.flatten().tolist()]
    pixels[wrong] = [0.5, 0.5]
    loss = build("distance_cross_entropy")(predict(*pixels), truth)
    assert loss.item() == pytest.approx(expected * math.log(2) / 4)


def test_image_of_one_class_is_cross_entropy(build, batch):
    """It has no boundary, also where void pixels surround it."""
    logits, target = batch[0], torch.where(batch[1] == 255, 255, 2)
    assert_close(build("distance_cross_entropy")(logits, target), build("cross_entropy")(logits, target))


def test_image_that_is_all_boundary_is_twice_cross_entropy(build, batch):
    """A chessboard: every pixel has a neighbour of the other class."""
    logits = batch[0][:, :2]
    rows, columns = torch.meshgrid(torch.arange(6), torch.arange(5), indexing="ij")
    target = ((rows + columns) % 2).expand(2, 6, 5)
    assert_close(build("distance_cross_entropy")(logits, target), 2 * build("cross_entropy")(logits, target))


def test_each_image_has_its_own_scale(build, predict):
    """0 0 0 1 beside an image without a boundary: the weights of the first do not change."""
    target = torch.tensor([[[0, 0, 0, 1]], [[1, 1, 1, 1]]])
    logits = predict(*4 * [[0.5, 0.5]]).expand(2, 2, 1, 4)
    loss = build("distance_cross_entropy")(logits, target)
    assert loss.item() == pytest.approx((6.5 + 4) / 8 * math.log(2))


def test_equals_the_distance_transform_of_scipy(build, batch):
    """Two classes in a square: distance to the other class by another library, reverted and scaled to 1."""
    edt = pytest.importorskip("scipy.ndimage").distance_transform_edt
    target = torch.zeros(1, 9, 9, dtype=torch.long)
    target[0, 2:7, 3:9] = 1
    mask = target[0].numpy()
    distance = edt(mask) + edt(1 - mask) - 1
    weights = torch.from_numpy(2 - distance / distance.max())
    logits = torch.randn(1, 2, 9, 9, generator=torch.Generator().manual_seed(0))
    expected = (weights * torch.nn.functional.cross_entropy(logits, target, reduction="none")).mean()
    assert_close(build("distance_cross_entropy")(logits, target).double(), expected)


def test_without_distance_maps_it_says_what_is_missing(build, batch):
    """Never silently cross-entropy."""
    loss = build("distance_cross_entropy").loss
    assert loss.needs_distances()
    with pytest.raises(UserError, match=r"^DistanceCrossEntropy needs distances among its facts; "):
        loss(*batch, None, Facts())

"""Distance maps: against SciPy, and masks a reader can measure."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from pipeline.learn.distances import signed_distances

VOID = 255


def by_definition(mask, classes):
    """SciPy's transforms of either side of the boundary, where a class has two sides."""
    maps = np.zeros((classes, *mask.shape))
    for index in range(classes):
        inside, outside = mask == index, (mask != index) & (mask != VOID)
        if inside.any() and outside.any():
            maps[index] = np.where(inside, 1 - distance_transform_edt(~outside), distance_transform_edt(~inside))
    return maps


@pytest.mark.parametrize("seed", range(10))
def test_equals_scipy_on_random_masks_with_void(seed):
    """Blobs of several sizes, some of them void, in images that are not square."""
    random = np.random.default_rng(seed)
    blobs = random.choice([0, 1, 2, 3, VOID], size=(5, 7)).astype(np.uint8)
    mask = np.kron(blobs, np.ones((random.integers(1, 9), random.integers(1, 9)), np.uint8))
    found = signed_distances(mask, 5)
    assert found.dtype == np.float32
    assert found.shape == (5, *mask.shape)
    np.testing.assert_allclose(found, by_definition(mask, 5), rtol=1e-6, atol=1e-5)


def test_row_by_hand():
    """0 on the inner rim, 1 on the first pixel outside: the boundary runs along the pixels of the class."""
    maps = signed_distances(np.array([[0, 0, 0, 1, 1]], np.uint8), 2)
    assert maps[0].tolist() == [[-2, -1, 0, 1, 2]]
    assert maps[1].tolist() == [[3, 2, 1, 0, -1]]


def test_distances_are_euclidean_by_hand():
    """Along the diagonal, and 3 and 4 pixels off in a triangle with the side 5."""
    mask = np.zeros((5, 4), np.uint8)
    mask[0, 0] = 1
    distance = signed_distances(mask, 2)[1]
    assert distance[0, 0] == 0
    assert distance[1, 1] == pytest.approx(np.sqrt(2))
    assert distance[4, 3] == pytest.approx(5)


def test_void_pixels_are_no_boundary():
    """What lies behind them is as far as it is, and a class that only void pixels adjoin has no boundary there."""
    maps = signed_distances(np.array([[0, 0, VOID, VOID, 1]], np.uint8), 2)
    assert maps[0, 0, [0, 1, 4]].tolist() == [-3, -2, 3]
    assert maps[1, 0, [0, 1, 4]].tolist() == [4, 3, -2]


def test_several_objects_have_the_distance_to_the_nearest():
    """A class is all of its pixels, not one object."""
    maps = signed_distances(np.array([[1, 0, 0, 0, 0, 1]], np.uint8), 2)
    assert maps[1].tolist() == [[0, 1, 2, 2, 1, 0]]
    assert maps[0].tolist() == [[1, 0, -1, -1, 0, 1]]


@pytest.mark.parametrize("around", [0, VOID])
def test_class_that_is_absent_or_fills_the_image_has_no_boundary(around):
    """A distance to nothing is 0; an image with a void border is filled all the same."""
    mask = np.zeros((4, 5), np.uint8)
    mask[0] = around
    assert not signed_distances(mask, 3).any()


def test_image_of_void_pixels_has_no_boundary():
    """Nobody labelled it."""
    assert not signed_distances(np.full((3, 3), VOID, np.uint8), 2).any()


@pytest.mark.parametrize("border", [np.s_[:2], np.s_[-2:], np.s_[:, :2], np.s_[:, -2:]])
def test_masking_a_border_is_cropping_it(border):
    """The distances of the pixels that are left are those of the smaller image."""
    mask = np.random.default_rng(1).integers(0, 3, (9, 11)).astype(np.uint8)
    masked = mask.copy()
    masked[border] = VOID
    keep = masked != VOID
    rows, columns = keep.any(axis=1), keep.any(axis=0)
    cropped = signed_distances(np.ascontiguousarray(mask[np.ix_(rows, columns)]), 3)
    assert np.array_equal(signed_distances(masked, 3)[:, rows][:, :, columns], cropped)


def test_mask_is_left_as_it_was():
    """It goes into the batch beside its distances."""
    mask = np.array([[0, 1, VOID]], np.uint8)
    signed_distances(mask, 2)
    assert mask.tolist() == [[0, 1, VOID]]


@pytest.mark.parametrize("place", range(8))
def test_the_last_bit_does_not_depend_on_where_a_mask_lies_in_memory(place):
    """Each distance is the root of a whole number, rounded once; OpenCV's own are an ulp off now and then."""
    random = np.random.default_rng(place)
    room = np.zeros(61 * 64 + place, np.uint8)
    mask = room[place:].reshape(61, 64)
    mask[:] = random.random(mask.shape) < 0.02
    nearest = distance_transform_edt(mask == 0, return_distances=False, return_indices=True)
    squares = np.square(nearest - np.indices(mask.shape)).sum(axis=0)
    outside = mask == 0
    assert np.array_equal(signed_distances(mask, 2)[1][outside], np.sqrt(squares.astype(np.float32))[outside])

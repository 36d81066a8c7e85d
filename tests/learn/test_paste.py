"""What is cut out of one image, and what becomes of the other: against SciPy and by hand."""

import numpy as np
import pytest
from scipy import ndimage, stats

from pipeline.learn.paste import Cutout, component_at, cut_out, paste_image, paste_mask

SHAPE = (32, 48)
RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)


def rectangle(rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    """A component from the first to before the last of rows and columns."""
    component = np.zeros(SHAPE, dtype=bool)
    component[slice(*rows), slice(*columns)] = True
    return component


def sides(inside: np.ndarray) -> tuple[int, int]:
    """Height and width of what is true."""
    return int(inside.any(axis=1).sum()), int(inside.any(axis=0).sum())


# --- which pixels are an object ---


def test_a_component_is_that_of_scipy():
    """8-connected, of one class, wherever it is asked for: class 0 and void are classes like others here."""
    mask = np.random.default_rng(1).choice(np.array([0, 1, 2, 255], dtype=np.uint8), SHAPE, p=[0.3, 0.4, 0.2, 0.1])
    for row, column in np.ndindex(*SHAPE):
        labels, _ = ndimage.label(mask == mask[row, column], structure=np.ones((3, 3)))
        assert np.array_equal(component_at(mask, np.array([row, column])), labels == labels[row, column])


# --- the cutout ---


def test_at_its_own_size_and_with_a_hard_edge_it_is_the_object():
    """Nothing is resampled, and nothing around it comes along."""
    component = rectangle((4, 9), (10, 30))
    component[4, 10] = False  # no rectangle
    cutout = cut_out(IMAGE, component, scale=1.0, blend=0)
    assert np.array_equal(cutout.image, IMAGE[4:9, 10:30])
    assert np.array_equal(cutout.inside, component[4:9, 10:30])
    assert np.array_equal(cutout.alpha, cutout.inside)
    assert (cutout.image.dtype, cutout.inside.dtype, cutout.alpha.dtype) == (np.uint8, bool, np.float32)


@pytest.mark.parametrize("blend", [0, 0.5, 2])
@pytest.mark.parametrize("scale", [0.25, 0.5, 0.7, 1.0, 1.3, 2.0])
def test_it_is_as_large_as_the_scale_says(scale, blend):
    """To a pixel on each side, whatever surrounds it."""
    cutout = cut_out(IMAGE, rectangle((12, 20), (16, 28)), scale, blend)
    assert np.abs(np.subtract(sides(cutout.inside), (8 * scale, 12 * scale))).max() <= 1
    assert cutout.image.shape[:2] == cutout.inside.shape == cutout.alpha.shape


def test_its_pixels_are_those_that_it_covers_by_half():
    """Three columns at half the size: one is covered fully, the next by a half, and the last not at all."""
    component = rectangle((0, 4), (0, 3))
    component[0, 5] = component[1, 4] = component[2, 3] = True  # a tail, so that the box is six wide
    inside = cut_out(IMAGE, component, 0.5, 0).inside
    shares = component[:4, :6].reshape(2, 2, 3, 2).mean(axis=(1, 3))
    assert shares.tolist() == [[1, 0.5, 0.5], [1, 0.75, 0]]
    assert np.array_equal(inside, shares >= 0.5)


@pytest.mark.parametrize("blend", [0, 2])
@pytest.mark.parametrize(
    "component", [rectangle((0, 32), (0, 48)), rectangle((10, 13), (2, 46)), rectangle((1, 31), (20, 22))]
)
def test_it_is_never_larger_than_its_image_and_keeps_its_proportions(component, blend):
    """What is too large is made smaller as a whole, and not squeezed on one side."""
    cutout = cut_out(IMAGE, component, scale=4.0, blend=blend)
    assert (np.array(cutout.inside.shape) <= SHAPE).all()
    growth = np.divide(sides(cutout.inside), sides(component))
    assert 0.8 < growth[0] / growth[1] < 1.3, growth


@pytest.mark.parametrize("blend", [0, 0.5, 1, 3])
@pytest.mark.parametrize("scale", [0.1, 0.25, 0.3, 0.5, 0.6, 0.8, 1.0, 1.5, 4.0])
def test_one_pixel_is_still_something_at_every_size(scale, blend):
    """A pixel whose class would vanish is kept, and its surroundings never become the class."""
    inside = cut_out(IMAGE, rectangle((16, 17), (20, 21)), scale, blend).inside
    assert 1 <= max(sides(inside)) <= max(2, scale + 1.5)  # it may lie between two pixels


@pytest.mark.parametrize("blend", [0, 1, 3])
@pytest.mark.parametrize("scale", [0.25, 0.5, 0.8, 1.0, 1.2])
@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_pole_stays_a_pole(width, scale, blend):
    """Thin objects are what rare classes are made of: neither interrupted nor taken for their box."""
    inside = cut_out(IMAGE, rectangle((10, 22), (20, 20 + width)), scale, blend).inside
    high, wide = sides(inside)
    assert inside.sum() >= high * wide - 4, "at most the corners are missing"
    assert abs(high - 12 * scale) <= 2
    assert 1 <= wide <= max(2, width * scale + 1.5)


def test_its_surroundings_fade_out_by_a_gaussian():
    """Along a straight edge opacity is the normal distribution function; inside all is opaque."""
    cutout = cut_out(IMAGE, rectangle((4, 28), (12, 30)), 1.0, blend=2.0)
    assert cutout.inside.shape == (32, 26)  # two standard deviations around it
    assert (cutout.alpha[cutout.inside] == 1).all()
    outside = cutout.alpha[16, 22:]
    assert outside == pytest.approx(stats.norm.cdf([-0.25, -0.75, -1.25, -1.75]), abs=0.01)
    assert cutout.alpha[16, :4] == pytest.approx(outside[::-1], abs=1e-6)


def test_at_the_edge_of_its_image_nothing_surrounds_it():
    """It ends where the image ends, fully opaque, and what fades out beside it does not reach the other side."""
    cutout = cut_out(IMAGE, rectangle((0, 5), (43, 48)), 1.0, blend=1.0)
    assert np.array_equal(cutout.image, IMAGE[:7, 41:])
    assert np.array_equal(cutout.inside, rectangle((0, 5), (43, 48))[:7, 41:])
    assert (cutout.alpha[:5, 2:] == 1).all()
    assert (cutout.alpha[5:] < 1).all()
    assert (cutout.alpha[:, :2] < 1).all()


# --- the paste ---


def cutout() -> Cutout:
    """Two rows of three bright pixels: opaque and inside, half opaque, without cover."""
    alpha = np.array([[1, 0.5, 0]] * 2, dtype=np.float32)
    return Cutout(np.full((2, 3, 3), 201, dtype=np.uint8), alpha == 1, alpha)


@pytest.mark.parametrize(("top", "left"), [(0, 0), (30, 45), (5, 7)])
def test_colours_mix_by_opacity(top, left):
    """By hand, to the nearest number, up to the edges; pixels without cover are untouched."""
    pasted = paste_image(IMAGE, cutout(), top, left)
    expected = IMAGE.copy()
    expected[top : top + 2, left] = 201
    expected[top : top + 2, left + 1] = np.rint((201 + IMAGE[top : top + 2, left + 1].astype(float)) / 2)
    assert pasted.dtype == np.uint8
    assert np.array_equal(pasted, expected)


@pytest.mark.parametrize(("top", "left"), [(0, 0), (30, 45), (5, 7)])
def test_the_class_goes_where_the_object_is_and_nowhere_else(top, left):
    """What only fades out keeps the class that it had; void becomes the class too."""
    mask = np.random.default_rng(0).choice(np.array([0, 1, 255], dtype=np.uint8), SHAPE)
    expected = mask.copy()
    expected[top : top + 2, left] = 2
    pasted = paste_mask(mask, cutout(), 2, top, left)
    assert pasted.dtype == np.uint8
    assert np.array_equal(pasted, expected)


def test_what_is_pasted_into_is_left_as_it_is():
    """A copy is returned."""
    image, mask = IMAGE.copy(), np.zeros(SHAPE, dtype=np.uint8)
    paste_image(image, cutout(), 3, 3)
    paste_mask(mask, cutout(), 2, 3, 3)
    assert np.array_equal(image, IMAGE)
    assert not mask.any()

import numpy as np

from pipeline.datasets.base_statistics import channel_statistics, count_classes, count_components
from pipeline.plumbing.labels import IGNORE


def test_components_are_counted_across_corners_and_void_is_no_class():
    """By hand: two squares that touch at a corner are one, one that stands apart is another."""
    mask = np.full((6, 8), IGNORE, np.uint8)
    mask[:2, :2] = mask[2:4, 2:4] = mask[5, 7] = 1
    mask[0, 5] = 0
    masks = np.stack([mask, np.full_like(mask, 2)])
    found = count_components(masks, count_classes(masks, 4))
    assert found.tolist() == [[1, 2, 0, 0], [0, 0, 1, 0]]


def test_a_constant_channel_can_be_normalised():
    """A standard deviation of 0 would make every pixel NaN."""
    found = channel_statistics(np.full((2, 4, 4, 3), 51, np.uint8))
    assert found == {"mean": [0.2] * 3, "std": [1 / 255] * 3}

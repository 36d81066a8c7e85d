"""The three countings of many images are those of each image."""

import numpy as np
import pytest
from skimage.morphology import skeletonize

from pipeline.measure.counts.objects import count_objects
from pipeline.measure.counts.shapes import COLUMNS, count_shapes
from pipeline.measure.counts.skeletons import count_skeletons
from pipeline.measure.counts.surfaces import count_surfaces
from tests.measure.counts.blobs import blobs

CLASSES = 3
SIZES = [(20, 31), (1, 9), (47, 61), (20, 31)]
SPACINGS = [(1.0, 1.0), (0.5, 2.0), (3.0, 1.0), (1.0, 1.0)]


def test_images_of_different_sizes_and_spacings_are_counted_each_by_its_own():
    predicted, truth = zip(*(blobs(seed, size, CLASSES) for seed, size in enumerate(SIZES)), strict=True)
    counts = count_shapes(predicted, truth, CLASSES, SPACINGS, 2.0)
    assert tuple(counts) == COLUMNS
    for image, (one, other, spacing) in enumerate(zip(predicted, truth, SPACINGS, strict=True)):
        alone = count_surfaces(one, other, CLASSES, spacing, 2.0)
        alone |= count_skeletons(one, other, CLASSES) | count_objects(one, other, CLASSES)
        for name in COLUMNS:
            np.testing.assert_array_equal(counts[name][image], alone[name])


def test_columns_of_numbers_are_integers_and_have_a_row_per_image():
    predicted, truth = (np.stack([each] * 5) for each in blobs(0, (20, 31), CLASSES))
    counts = count_shapes(predicted, truth, CLASSES, [(1.0, 1.0)] * 5, 2.0)
    assert {each.shape for each in counts.values()} == {(5, CLASSES)}
    sums = {"distance_predicted", "distance_true", "hd95", "matched_iou", "matched_box_iou"}
    assert {name for name, each in counts.items() if each.dtype == np.float64} == sums
    assert {each.dtype for name, each in counts.items() if name not in sums} == {np.dtype(np.int64)}


def test_true_skeletons_are_kept_from_one_prediction_for_the_next():
    """And change no number."""
    predicted, truth = zip(*(blobs(seed, size, CLASSES, True) for seed, size in enumerate(SIZES)), strict=True)
    others = [one.copy()[::-1] for one in predicted]
    known = {}
    for masks in (predicted, others):
        found = count_shapes(masks, truth, CLASSES, SPACINGS, 2.0, known)
        expected = count_shapes(masks, truth, CLASSES, SPACINGS, 2.0)
        for name in COLUMNS:
            np.testing.assert_array_equal(found[name], expected[name])
    for place, mask in enumerate(truth):
        by_class = [skeletonize(mask == index) for index in range(CLASSES)]
        np.testing.assert_array_equal(known[place], np.flatnonzero(np.any(by_class, axis=0)))


def test_an_image_without_a_spacing_is_refused():
    predicted, truth = (np.stack([each] * 2) for each in blobs(0, (20, 31), CLASSES))
    with pytest.raises(ValueError, match="shorter"):
        count_shapes(predicted, truth, CLASSES, [(1.0, 1.0)], 2.0)

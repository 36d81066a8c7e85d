"""Boundary metrics by hand; the counts below them are compared with MONAI and SciPy in tests of their own."""

import numpy as np
import pytest

from pipeline.measure.metrics.table import CLASS_SCORES, METRICS
from tests.measure.metrics.cells import of_classes, once, value

NAN = np.nan


def test_boundary_iou_is_that_of_all_bands():
    """Image 1: 3 of 4 pixels; image 2: 0 of 2. Class 1 is nowhere in image 2."""
    counts = of_classes(band_intersection=[[3, 1], [0, 0]], band_union=[[4, 2], [2, 0]])
    assert value("boundary_iou", counts) == pytest.approx((3 / 6 + 1 / 2) / 2)
    assert value("boundary_iou_image", counts) == pytest.approx(((3 / 4 + 1 / 2) / 2 + 0) / 2)
    assert value("boundary_iou_class", counts) == pytest.approx(((3 / 4 + 0) / 2 + 1 / 2) / 2)


def test_surface_dice_counts_the_near_pixels_of_both_edges():
    counts = of_classes(
        surface_predicted=[[10]], surface_true=[[6]], surface_predicted_near=[[5]], surface_true_near=[[3]]
    )
    assert value("surface_dice", counts) == pytest.approx(8 / 16)


def test_the_average_distance_is_that_of_all_pixels_of_both_edges():
    """Not the mean of two means, which would be (2 + 6) / 2."""
    columns = {"surface_predicted": [[8]], "surface_true": [[2]]}
    counts = of_classes(**columns, distance_predicted=[[16.0]], distance_true=[[12.0]])
    assert value("assd", counts) == pytest.approx(28 / 10)


def test_the_hausdorff_distance_is_a_mean_over_images_only():
    """A percentile of the dataset is no sum over its images."""
    counts = of_classes(hd95=[[1.0, 8.0], [3.0, NAN]])
    assert "hd95" not in METRICS
    assert value("hd95_image", counts) == pytest.approx(((1 + 8) / 2 + 3) / 2)
    assert value("hd95_class", counts) == pytest.approx(((1 + 3) / 2 + 8) / 2)
    assert value("hd95_worst", counts) == pytest.approx(4.5)
    np.testing.assert_allclose(CLASS_SCORES["hd95"].total(once(counts)), [[2, 8]])


def test_distances_say_their_unit_and_overlaps_have_none():
    assert {key for key, metric in METRICS.items() if "spacing" in metric.unit} == {
        key for key in METRICS if key.startswith(("hd95", "assd"))
    }

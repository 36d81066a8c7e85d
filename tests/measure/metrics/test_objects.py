"""Object metrics by hand and by what holds between them."""

import numpy as np
import pytest

from pipeline.measure.metrics.table import CLASS_SCORES
from tests.measure.metrics.cells import of_classes, once, random_cell, value

# 5 predicted and 3 true objects, of which 2 match, with masks of IoU 0.6 and 0.8 and boxes of IoU 0.9 and 0.5.
COUNTS = of_classes(
    objects_predicted=[[5]],
    objects_true=[[3]],
    objects_matched=[[2]],
    matched_iou=[[0.6 + 0.8]],
    matched_box_iou=[[0.9 + 0.5]],
)
EXPECTED = {
    "object_precision": 2 / 5,
    "object_recall": 2 / 3,
    "object_f1": 2 / (2 + 3 / 2 + 1 / 2),
    "box_iou": 0.7,
    "segmentation_quality": 0.7,
    "panoptic_quality": 1.4 / (2 + 3 / 2 + 1 / 2),
}


@pytest.mark.parametrize("key", EXPECTED)
def test_five_predicted_and_three_true_objects(key):
    assert value(key, COUNTS) == pytest.approx(EXPECTED[key])


def test_panoptic_quality_is_segmentation_quality_times_object_f1():
    """Kirillov et al., 2019: PQ = SQ x RQ. Where nothing matches there is no SQ, and PQ is 0."""
    resample = once(random_cell(images=40))
    panoptic, segmentation, f1 = (
        resample.images(CLASS_SCORES[name]) for name in ("panoptic_quality", "segmentation_quality", "object_f1")
    )
    matched = ~np.isnan(segmentation)
    np.testing.assert_allclose(panoptic[matched], segmentation[matched] * f1[matched])
    assert set(panoptic[~matched & ~np.isnan(f1)]) == {0}


def test_object_f1_is_the_harmonic_mean_of_object_precision_and_recall():
    assert value("object_f1", COUNTS) == pytest.approx(2 / (5 / 2 + 3 / 2))


def test_missed_objects_cost_f1_and_leave_the_quality_of_matches_unknown():
    counts = of_classes(
        objects_predicted=[[0]], objects_true=[[3]], objects_matched=[[0]], matched_iou=[[0.0]], matched_box_iou=[[0.0]]
    )
    assert value("object_f1", counts) == value("object_recall", counts) == value("panoptic_quality", counts) == 0
    assert np.isnan([value(key, counts) for key in ("object_precision", "box_iou", "segmentation_quality")]).all()

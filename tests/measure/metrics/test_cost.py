"""What a training took, as recorded."""

import numpy as np
import pytest

from pipeline.measure.metrics.base import Resample
from pipeline.measure.metrics.table import METRICS
from tests.measure.metrics.cells import COST, of_classes

KEYS = [key for key, metric in METRICS.items() if metric.family == "cost"]


@pytest.mark.parametrize("key", KEYS)
def test_it_is_what_the_training_recorded_whatever_the_images(key):
    counts = of_classes(tp=[[1], [2]])._replace(cost=COST)
    np.testing.assert_array_equal(METRICS[key].compute(Resample(counts, np.eye(2))), [COST[key]] * 2)


def test_only_for_images_per_second_more_is_better():
    assert [key for key in KEYS if METRICS[key].higher_is_better] == ["images_per_second"]

"""Sums, means and worst cases under weights, by hand."""

import numpy as np
import pytest

from pipeline.measure.counts.store import Counts
from pipeline.measure.metrics.base import FEW, Resample, mean_of_known
from tests.measure.metrics.cells import of_classes, once

NAN = np.nan


def weighted(*rows: list[float]) -> Resample:
    return Resample(Counts({}, {}, np.zeros(0), {}, {}), np.array(rows, dtype=float))


@pytest.mark.parametrize("classes", [3, FEW + 1])
def test_a_total_is_exactly_the_sum_of_integers(classes):
    """Of as many pixels as 10,000 images of 10 megapixels have, whichever way the product is taken."""
    column = np.random.default_rng(0).integers(0, 10**7, (10_000, classes))
    total = once(of_classes(tp=column)).total("tp")
    assert total.tolist() == [column.sum(axis=0).tolist()]


def test_few_columns_and_many_have_the_same_sums():
    rng = np.random.default_rng(1)
    values, resample = rng.random((9, 2, 3, 5)), weighted(*rng.integers(0, 4, (6, 9)))
    apart = np.stack([resample.sum(values[..., k]) for k in range(5)], axis=-1)
    np.testing.assert_allclose(resample.sum(values), apart)
    assert apart.shape == (6, 2, 3, 5)


def test_a_total_is_computed_once():
    resample = once(of_classes(tp=[[1, 2], [3, 4]]))
    assert resample.total("tp") is resample.total("tp")


def test_a_mean_leaves_out_what_is_not_known():
    """Columns of two scores; the last resample takes only images whose second score is not known."""
    found = weighted([1, 1, 1], [0, 2, 1], [0, 1, 0]).mean(np.array([[1, 10], [2, NAN], [6, 20]]))
    np.testing.assert_allclose(found, [[3, 15], [10 / 3, 20], [2, NAN]])


def test_the_worst_tenth_of_twenty_five_images_is_two_and_a_half():
    values = np.arange(25.0)[::-1]
    assert weighted([1] * 25).worst(values, higher_is_better=True) == pytest.approx((0 + 1 + 0.5 * 2) / 2.5)
    assert weighted([1] * 25).worst(values, higher_is_better=False) == pytest.approx((24 + 23 + 0.5 * 22) / 2.5)


def test_the_worst_of_few_images_is_the_worst_one():
    assert weighted([1, 1, 1]).worst(np.array([0.3, 0.1, 0.2]), higher_is_better=True) == pytest.approx(0.1)


def test_the_worst_images_are_the_worst_of_those_that_were_drawn():
    """In the second row the worst image is not drawn at all, in the third it alone; only the known ones have a tenth."""
    values = np.array([NAN, *np.arange(10.0), NAN])
    rows = [1] * 12, [5, 0, 3, *[1] * 7, 0, 7], [0, 10, *[0] * 10]
    found = weighted(*rows).worst(values, higher_is_better=True)
    assert found == pytest.approx([0, 1, 0])


def test_the_worst_images_are_found_however_far_the_search_must_go():
    """Only the best of a hundred was drawn."""
    weights = [0] * 99 + [100]
    assert weighted(weights).worst(np.arange(100.0), higher_is_better=True) == pytest.approx(99)


def test_nothing_known_has_no_worst_and_no_mean():
    assert np.isnan(weighted([1, 1]).worst(np.array([NAN, NAN]), higher_is_better=True)).all()
    assert np.isnan(weighted([0, 0]).worst(np.array([1.0, 2.0]), higher_is_better=True)).all()
    assert np.isnan(weighted([1, 1]).mean(np.array([NAN, NAN]))).all()


def test_a_mean_over_classes_leaves_out_what_is_not_known():
    np.testing.assert_allclose(mean_of_known(np.array([[1, NAN, 4], [NAN, NAN, NAN]])), [2.5, NAN])

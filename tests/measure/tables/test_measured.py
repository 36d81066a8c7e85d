"""A resample of a cell is measured as a cell that has just these test images."""

import numpy as np
import pytest

from pipeline.measure.counts.store import Counts
from pipeline.measure.metrics.table import CLASS_SCORES, METRICS
from pipeline.measure.tables.measured import FEWER, Measured, Weights, mean_over_seeds, measure, unmeasured
from tests.measure.metrics.cells import of_masks, once, random_cell, taken, value

IMAGES, CLASSES, RESAMPLES = 7, 3, 1200
GROUPS = np.array([0, 0, 1, 1, 2, 3, 4])
WEIGHTS = Weights.of("digits", GROUPS, RESAMPLES, "bca")


@pytest.fixture(scope="module")
def counts() -> Counts:
    return random_cell(IMAGES, CLASSES)._replace(evaluation={"temperature": 1.5})


@pytest.fixture(scope="module")
def measured(counts) -> Measured:
    return measure(counts, WEIGHTS, "miou")


def resampled(counts: Counts, row: np.ndarray) -> Counts:
    """The images as often as `row` says."""
    return taken(counts, np.repeat(np.arange(IMAGES), row.astype(int)))


def test_every_metric_is_that_of_the_cell(counts, measured):
    assert measured.state == "finished"
    assert list(measured.metrics) == list(METRICS)
    for name, found in measured.metrics.items():
        assert found == pytest.approx(value(name, counts), nan_ok=True), name


@pytest.mark.parametrize("row", [0, 1, FEWER - 1])
def test_every_metric_of_a_resample_is_that_of_its_images(counts, measured, row):
    images = resampled(counts, WEIGHTS.draws[row])
    for name, draws in measured.draws.items():
        assert draws[row] == pytest.approx(value(name, images), nan_ok=True), name


def test_without_a_unit_the_primary_metric_is_that_of_the_other_images(counts, measured):
    """Whole groups are left out."""
    expected = [value("miou", taken(counts, np.flatnonzero(group != GROUPS))) for group in range(5)]
    assert measured.left_out == pytest.approx(expected)


@pytest.mark.parametrize("row", [0, FEWER - 1])
def test_every_score_of_a_class_is_resampled_with_the_images(counts, measured, row):
    images = resampled(counts, WEIGHTS.draws[row])
    for name, score in CLASS_SCORES.items():
        assert measured.class_draws[name][row] == pytest.approx(score.total(once(images))[0], nan_ok=True), name
        assert measured.class_scores[name] == pytest.approx(score.total(once(counts))[0], nan_ok=True), name


def test_the_primary_metric_has_all_resamples_and_the_others_fewer(measured):
    lengths = {name: len(draws) for name, draws in measured.draws.items()}
    assert lengths == dict.fromkeys(METRICS, FEWER) | {"miou": RESAMPLES}
    assert {each.shape for each in measured.class_draws.values()} == {(FEWER, CLASSES)}


@pytest.mark.parametrize("primary", ["mdice", "hd95_image", "ece", "seconds"])
def test_fewer_resamples_are_the_first_of_all(counts, measured, primary):
    """So metrics stay comparable, resample by resample."""
    other = measure(counts, WEIGHTS, primary)
    np.testing.assert_allclose(other.draws[primary][:FEWER], measured.draws[primary])
    np.testing.assert_allclose(other.draws["miou"], measured.draws["miou"][:FEWER])


def test_an_unfinished_cell_is_nan_throughout_and_stands_beside_finished_ones(measured):
    unknown = unmeasured("missing", WEIGHTS, "miou")
    assert unknown.state == "missing"
    assert list(unknown.metrics) == list(measured.metrics)
    assert np.isnan(list(unknown.metrics.values())).all()
    for one, other in ((unknown.draws[name], measured.draws[name]) for name in METRICS):
        assert one.shape == other.shape
        assert np.isnan(one).all()
    assert unknown.left_out.shape == measured.left_out.shape
    assert np.isnan(unknown.left_out).all()


def test_images_of_void_have_no_iou_and_classes_that_are_nowhere_are_counted():
    """The third image is all void; class 2 is predicted in the first alone."""
    truth, predicted = np.zeros((3, 2, 2), np.uint8), np.zeros((3, 2, 2), np.uint8)
    truth[1, 0], predicted[0, 0, 0], truth[2] = 1, 2, 255
    found = of_masks(predicted, truth, 3)
    whole = random_cell(3, 3)
    measured = measure(
        whole._replace(classes=whole.classes | found.classes), Weights.of("d", np.arange(3), 10, "t"), "miou"
    )
    np.testing.assert_allclose(measured.image_iou, [(3 / 4 + 0) / 2, (2 / 4 + 0) / 2, np.nan])
    assert measured.absent.tolist() == [1, 2, 2]


def test_bins_are_summed_over_the_images_and_the_evaluation_is_kept(counts, measured):
    assert measured.bins.shape == (2, 1 + CLASSES, 15, 3)
    np.testing.assert_allclose(measured.bins, sum(counts.bins[:, image] for image in range(IMAGES)))
    assert measured.evaluation == {"temperature": 1.5}


def test_one_image_is_measured(counts):
    """Every resample is the image itself."""
    alone = taken(counts, np.array([1]))
    measured = measure(alone, Weights.of("d", np.arange(1), 10, "percentile"), "miou")
    assert measured.draws["miou"].tolist() == [measured.metrics["miou"]] * 10


def test_all_cells_of_a_dataset_are_resampled_alike_and_other_datasets_apart():
    same, other = (Weights.of(name, GROUPS, RESAMPLES, "bca") for name in ("digits", "streets"))
    np.testing.assert_array_equal(same.draws, WEIGHTS.draws)
    assert (other.draws != WEIGHTS.draws).any()


def test_units_are_groups_and_are_left_out_only_where_an_interval_needs_it():
    assert (WEIGHTS.units, WEIGHTS.left_out.shape) == (5, (5, IMAGES))
    assert Weights.of("digits", np.arange(IMAGES), 10, "t")[1:] == (None, IMAGES)
    assert Weights.of("digits", GROUPS, 10, "percentile")[1:] == (None, 5)


def test_seeds_that_judge_the_same_images_have_a_mean_of_every_number(measured):
    """Resample by resample; one that did not finish is left out."""
    other = measure(random_cell(IMAGES, CLASSES, seed=1), WEIGHTS, "miou")
    mean = mean_over_seeds([unmeasured("missing", WEIGHTS, "miou"), measured, other])
    assert mean.state == "finished"
    assert mean.metrics["miou"] == pytest.approx((measured.metrics["miou"] + other.metrics["miou"]) / 2)
    np.testing.assert_allclose(mean.left_out, (measured.left_out + other.left_out) / 2)
    np.testing.assert_allclose(mean.absent, (measured.absent + other.absent) / 2)
    for part in ("draws", "class_scores", "class_draws"):
        for name, found in getattr(mean, part).items():
            expected = (getattr(measured, part)[name] + getattr(other, part)[name]) / 2
            np.testing.assert_allclose(found, expected, err_msg=f"{part} {name}")


def test_seeds_none_of_which_finished_are_in_the_state_of_the_first():
    states = ["diverged at iteration 3", "missing"]
    mean = mean_over_seeds([unmeasured(state, WEIGHTS, "miou") for state in states])
    assert mean.state == states[0]
    assert np.isnan(mean.draws["miou"]).all()

"""Probability metrics against torchmetrics, torch and scikit-learn, from probabilities that are counted here by NumPy."""

import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from pipeline.learn.torchvision_schemas import declare_missing_operators
from pipeline.measure.counts.store import Counts
from pipeline.measure.metrics.base import Resample
from pipeline.measure.metrics.table import METRICS
from tests.measure.metrics.cells import value

declare_missing_operators()

from torchmetrics.classification import BinaryCalibrationError, MulticlassCalibrationError  # noqa: E402

IMAGES, PIXELS, CLASSES, BINS = 3, 400, 4, 15


@pytest.fixture(scope="module")
def predicted() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities `2 n pixels c`, the second ones milder, and true classes `n pixels`."""
    rng = np.random.default_rng(5)
    logits = 3 * rng.normal(size=(IMAGES, PIXELS, CLASSES))
    target = (logits + 3 * rng.normal(size=logits.shape)).argmax(axis=-1)
    return np.stack([torch.from_numpy(logits / t).softmax(dim=-1).numpy() for t in (1, 2)]), target


@pytest.fixture(scope="module")
def counts(predicted) -> Counts:
    probabilities, target = predicted
    truth = np.eye(CLASSES)[target]
    images = {"pixels": np.full(IMAGES, PIXELS)}
    for each, suffix in zip(probabilities, ("", "_scaled"), strict=True):
        images[f"nll{suffix}"] = -np.log((each * truth).sum(axis=-1)).sum(axis=-1)
        images[f"brier{suffix}"] = ((each - truth) ** 2).sum(axis=(-2, -1))
    bins = [[bins_of_image(*pair) for pair in zip(each, target, strict=True)] for each in probabilities]
    return Counts({"tp": np.zeros((IMAGES, CLASSES))}, images, np.array(bins), {}, {})


def bins_of_image(probabilities: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
    top = bins_of(probabilities.max(axis=-1), probabilities.argmax(axis=-1) == target)
    return [top, *(bins_of(probabilities[:, index], target == index) for index in range(CLASSES))]


def bins_of(confidence: np.ndarray, hit: np.ndarray) -> np.ndarray:
    """`bins 3`."""
    weights = np.ones(len(hit)), confidence, hit.astype(float)
    return np.stack([np.histogram(confidence, BINS, (0, 1), weights=each)[0] for each in weights], axis=-1)


scaled_or_not = pytest.mark.parametrize(("scaled", "suffix"), [(0, ""), (1, "_scaled")])


@scaled_or_not
def test_the_calibration_error_equals_torchmetrics(scaled, suffix, predicted, counts):
    probabilities, target = torch.from_numpy(predicted[0][scaled]).flatten(0, 1), torch.from_numpy(predicted[1])
    reference = MulticlassCalibrationError(CLASSES, n_bins=BINS, norm="l1")(probabilities, target.flatten())
    assert value(f"ece{suffix}", counts) == pytest.approx(reference.item(), rel=1e-5)


@scaled_or_not
def test_the_class_wise_error_is_the_mean_of_torchmetrics_of_each_class_against_the_rest(
    scaled, suffix, predicted, counts
):
    errors = [
        BinaryCalibrationError(n_bins=BINS, norm="l1")(
            torch.from_numpy(predicted[0][scaled][..., index]).flatten(),
            torch.from_numpy(predicted[1] == index).flatten().int(),
        )
        for index in range(CLASSES)
    ]
    assert value(f"classwise_ece{suffix}", counts) == pytest.approx(np.mean(errors), rel=1e-5)


@scaled_or_not
def test_the_likelihood_equals_scikit_learn_and_the_brier_score_its_formula(scaled, suffix, predicted, counts):
    probabilities, target = predicted[0][scaled].reshape(-1, CLASSES), predicted[1].ravel()
    assert value(f"nll{suffix}", counts) == pytest.approx(log_loss(target, probabilities))
    errors = probabilities - np.eye(CLASSES)[target]
    assert value(f"brier{suffix}", counts) == pytest.approx((errors**2).sum() / len(target))


def test_errors_of_opposite_sign_in_two_images_cancel(counts):
    """Calibration is a statement about all pixels: the error of the dataset is not the mean of those of its images."""
    over, under = np.zeros((2, 15, 3))
    over[-1], under[-1] = [100, 95, 90], [100, 95, 100]
    bins = np.zeros((2, 2, 1 + CLASSES, 15, 3))
    bins[:, :, 0] = [over, under]
    two = counts._replace(bins=bins, images={name: np.array([100.0, 100.0]) for name in counts.images})
    apart = METRICS["ece"].compute(Resample(two, np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])))
    assert apart == pytest.approx([0.05, 0.05, 0])


def test_images_weigh_by_their_valid_pixels(counts):
    uneven = counts._replace(images={"pixels": np.array([1, 3, 0]), "nll": np.array([2.0, 3.0, 0.0])})
    assert value("nll", uneven) == pytest.approx(5 / 4)

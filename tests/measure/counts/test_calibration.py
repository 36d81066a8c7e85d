"""Sums and bins of probabilities against torchmetrics, scikit-learn and by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss

from pipeline.learn.torchvision_schemas import declare_missing_operators
from pipeline.measure.counts import calibration
from pipeline.measure.counts.calibration import BINS, count_probabilities
from pipeline.plumbing.labels import IGNORE

declare_missing_operators()

from torchmetrics.functional.classification import (  # noqa: E402
    binary_calibration_error,
    multiclass_calibration_error,
)

CLASSES = 5


@pytest.fixture(scope="module")
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits `4 5 31 17` and targets with void, of a network that is right more often than not."""
    generator = torch.Generator().manual_seed(2)
    target = torch.randint(0, CLASSES, (4, 31, 17), generator=generator)
    logits = 2 * torch.randn(4, CLASSES, 31, 17, generator=generator)
    logits += 2 * torch.nn.functional.one_hot(target, CLASSES).movedim(-1, 1)
    target[torch.rand(target.shape, generator=generator) < 0.2] = IGNORE
    return logits, target


def valid_pixels(logits: torch.Tensor, target: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities `n c` and true classes `n` of the pixels of one image that are not void."""
    valid = target != IGNORE
    return logits.double().softmax(dim=0)[:, valid].T.numpy(), target[valid].numpy()


def error(bins: np.ndarray) -> float:
    """The expected calibration error of bins `15 3`."""
    pixels, confidence, hits = bins.T
    return np.abs(confidence - hits).sum() / pixels.sum()


def test_sums_of_each_image_equal_scikit_learn(pair):
    columns, _ = count_probabilities(*pair, CLASSES)
    for image, (logits, target) in enumerate(zip(*pair, strict=True)):
        probabilities, truth = valid_pixels(logits, target)
        assert columns["pixels"][image] == len(truth)
        expected = log_loss(truth, probabilities, labels=range(CLASSES), normalize=False)
        assert columns["nll"][image] == pytest.approx(expected, rel=1e-5)
        classes = range(CLASSES)
        one_versus_rest = [brier_score_loss(truth == index, probabilities[:, index]) for index in classes]
        assert columns["brier"][image] == pytest.approx(len(truth) * sum(one_versus_rest), rel=1e-5)


def test_errors_of_the_top_label_equal_torchmetrics(pair):
    _, bins = count_probabilities(*pair, CLASSES)
    expected = multiclass_calibration_error(*pair, CLASSES, BINS, "l1", IGNORE)
    assert error(bins[:, 0].sum(axis=0)) == pytest.approx(expected.item(), rel=1e-5)
    for image, (logits, target) in enumerate(zip(*pair, strict=True)):
        expected = multiclass_calibration_error(logits[None], target[None], CLASSES, BINS, "l1", IGNORE)
        assert error(bins[image, 0]) == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("index", range(CLASSES))
def test_errors_of_each_class_equal_torchmetrics(pair, index):
    logits, target = pair
    _, bins = count_probabilities(logits, target, CLASSES)
    one_versus_rest = torch.where(target == IGNORE, IGNORE, (target == index).long())
    expected = binary_calibration_error(logits.softmax(dim=1)[:, index], one_versus_rest, BINS, "l1", IGNORE)
    assert error(bins[:, 1 + index].sum(axis=0)) == pytest.approx(expected.item(), rel=1e-5)


def test_every_valid_pixel_is_once_in_the_bins_of_the_top_label_and_of_each_class(pair):
    """Its probabilities sum to 1, and one of its classes is the truth."""
    columns, bins = count_probabilities(*pair, CLASSES)
    pixels = np.moveaxis(bins[..., 0].sum(axis=-1), 1, 0)
    np.testing.assert_array_equal(pixels, np.tile(columns["pixels"], (1 + CLASSES, 1)))
    np.testing.assert_allclose(bins[:, 1:, :, 1].sum(axis=(1, 2)), columns["pixels"], rtol=1e-6)
    np.testing.assert_array_equal(bins[:, 1:, :, 2].sum(axis=(1, 2)), columns["pixels"])


def test_what_a_bin_holds_lies_between_its_edges(pair):
    _, bins = count_probabilities(*pair, CLASSES)
    pixels, confidence, hits = np.moveaxis(bins, -1, 0)
    edges = np.arange(BINS + 1) / BINS
    assert (confidence >= pixels * edges[:-1] - 1e-5).all()
    assert (confidence <= pixels * edges[1:] + 1e-5).all()
    assert (hits <= pixels).all()


@pytest.mark.parametrize("block", [1, 300, 900, 10**6])
def test_what_is_counted_at_a_time_does_not_matter(pair, block, monkeypatch):
    """Parts of an image, one image, several, and all; the softmax of torch may differ in the last digit."""
    columns, bins = count_probabilities(*pair, CLASSES)
    monkeypatch.setattr(calibration, "BLOCK", block * CLASSES)
    again, again_bins = count_probabilities(*pair, CLASSES)
    np.testing.assert_allclose(again_bins, bins, rtol=1e-6)
    for name in columns:
        np.testing.assert_allclose(again[name], columns[name], rtol=1e-6)


def test_uniform_probabilities():
    """Four classes: all pixels in the bin of 1/4, log 4 nats and 1 - 1/4 of Brier score each; the first class is taken."""
    target = torch.tensor([[[0, 1, 1, 3]]])
    columns, bins = count_probabilities(torch.zeros(1, 4, 1, 4), target, 4)
    assert columns["nll"] == pytest.approx(4 * np.log(4))
    assert columns["brier"] == pytest.approx(4 * 0.75)
    assert np.argwhere(bins[0, :, :, 0]).tolist() == [[row, 3] for row in range(5)]
    assert bins[0, :, 3].tolist() == [[4, 1, hits] for hits in (1, 1, 2, 0, 1)]


def test_certain_and_wrong():
    """The true class has a probability that float32 rounds to 0, yet the log-loss is exact."""
    logits = torch.tensor([500.0, 0.0]).view(1, 2, 1, 1)
    columns, bins = count_probabilities(logits, torch.tensor([[[1]]]), 2)
    assert columns["nll"].tolist() == [500]
    assert columns["brier"].tolist() == [2]
    assert bins[0, 0, -1].tolist() == [1, 1, 0]
    assert bins[0, 1, -1].tolist() == [1, 1, 0]
    assert bins[0, 2, 0].tolist() == [1, 0, 1]


def test_a_probability_of_one_is_in_the_last_bin():
    """torchmetrics has a sixteenth for it, and so another error where errors of opposite sign share the last bin: one
    pixel is certain and wrong, eleven are right with 0.95."""
    surer = torch.tensor([200.0, 0.0]), torch.tensor([np.log(19.0), 0.0], dtype=torch.float32)
    logits = torch.stack([surer[0], *[surer[1]] * 11], dim=1).view(1, 2, 1, 12)
    target = torch.tensor([[[1, *[0] * 11]]])
    _, bins = count_probabilities(logits, target, 2)
    assert error(bins[0, 0]) == pytest.approx(abs(11 * 0.05 - 1) / 12, rel=1e-5)
    theirs = multiclass_calibration_error(logits, target, 2, BINS, "l1").item()
    assert theirs == pytest.approx((11 * 0.05 + 1) / 12, rel=1e-5)


def test_an_image_of_void_counts_nothing(pair):
    logits, target = pair
    target = target.clone()
    target[1] = IGNORE
    columns, bins = count_probabilities(logits, target, CLASSES)
    assert not any(column[1] for column in columns.values())
    assert not bins[1].any()
    assert bins[[0, 2, 3]].any(axis=(1, 2, 3)).all()


def test_logits_at_void_pixels_count_nowhere(pair):
    logits, target = pair
    other = logits.where((target != IGNORE).unsqueeze(1), 9 * logits.flip(1))
    for one, two in zip(
        count_probabilities(logits, target, CLASSES), count_probabilities(other, target, CLASSES), strict=True
    ):
        np.testing.assert_equal(one, two)


def test_layout_and_types_of_tensors_do_not_matter(pair):
    """Networks give channels last, stored masks are uint8, and mixed precision gives float16."""
    logits, target = pair
    half = logits.half()
    columns, bins = count_probabilities(half.float(), target, CLASSES)
    again, again_bins = count_probabilities(half.to(memory_format=torch.channels_last), target.to(torch.uint8), CLASSES)
    np.testing.assert_allclose(again_bins, bins)
    assert all((again[name] == columns[name]).all() for name in columns)


def test_dtypes(pair):
    columns, bins = count_probabilities(*pair, CLASSES)
    assert {name: column.dtype.name for name, column in columns.items()} == {
        "pixels": "int64",
        "nll": "float64",
        "brier": "float64",
    }
    assert (bins.shape, bins.dtype) == ((4, 1 + CLASSES, BINS, 3), np.float64)

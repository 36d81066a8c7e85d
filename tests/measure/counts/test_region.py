"""Counts against scikit-learn and by hand."""

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score, multilabel_confusion_matrix

from pipeline.measure.counts.region import count, iou, mean_iou

VOID = 255


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    predicted = torch.randint(0, 4, (5, 9, 7), generator=generator)
    target = torch.randint(0, 4, (5, 9, 7), generator=generator)
    target[torch.rand(target.shape, generator=generator) < 0.2] = VOID
    return predicted, target


def test_counts_equal_those_of_scikit_learn(pair):
    predicted, target = pair
    for image, counts in enumerate(count(predicted, target, 4)):
        valid = target[image] != VOID
        matrices = multilabel_confusion_matrix(target[image][valid], predicted[image][valid], labels=range(4))
        tn, fp, fn, tp = matrices.reshape(4, 4).T
        assert counts.T.tolist() == [tp.tolist(), fp.tolist(), fn.tolist(), tn.tolist()]


def test_iou_equals_that_of_scikit_learn(pair):
    predicted, target = pair
    valid = target != VOID
    expected = jaccard_score(target[valid], predicted[valid], average=None)
    np.testing.assert_allclose(iou(count(predicted, target, 4).sum(axis=0)), expected)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32])
def test_any_integer_dtype_counts_the_same(pair, dtype):
    """Stored masks are uint8, in which image times classes would overflow."""
    predicted, target = (each.repeat(60, 1, 1) for each in pair)
    assert (count(predicted, target.to(dtype), 4) == count(predicted, target, 4)).all()


def test_four_pixels_by_hand():
    predicted, target = torch.tensor([[[0, 0, 1, 1]]]), torch.tensor([[[0, 1, 1, VOID]]])
    assert count(predicted, target, 2).tolist() == [[[1, 1, 0, 1], [1, 0, 1, 1]]]


def test_what_is_predicted_at_void_pixels_counts_nowhere(pair):
    predicted, target = pair
    other = torch.where(target == VOID, (predicted + 1) % 4, predicted)
    assert (count(predicted, target, 4) == count(other, target, 4)).all()


def test_an_image_of_void_counts_nothing():
    assert not count(torch.zeros(1, 2, 2, dtype=torch.int64), torch.full((1, 2, 2), VOID), 3).any()


def test_a_class_neither_predicted_nor_true_has_no_iou_and_stays_out_of_the_mean():
    counts = count(torch.tensor([[[0, 1]]]), torch.tensor([[[0, 0]]]), 3)
    assert iou(counts[0])[:2].tolist() == [0.5, 0.0]
    assert np.isnan(iou(counts[0])[2])
    assert mean_iou(counts) == 0.25

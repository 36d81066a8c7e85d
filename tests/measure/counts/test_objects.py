"""Object counts against SciPy, torchmetrics' panoptic quality and by hand."""

import itertools

import numpy as np
import pytest
import torch
from scipy.ndimage import find_objects, label

from pipeline.learn.torchvision_schemas import declare_missing_operators
from pipeline.measure.counts.objects import COLUMNS, count_objects
from tests.measure.counts.blobs import VOID, blobs

declare_missing_operators()  # torchmetrics' detection imports torchvision

from torchmetrics.functional.detection import panoptic_quality  # noqa: E402

CLASSES, SHAPE = 3, (47, 61)
EIGHT = np.ones((3, 3), bool)


def masks_of_objects(mask: np.ndarray) -> list[np.ndarray]:
    labels, number = label(mask, EIGHT)
    return [labels == index for index in range(1, number + 1)]


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return np.count_nonzero(one & other) / np.count_nonzero(one | other)


def filled_box(mask: np.ndarray) -> np.ndarray:
    box = np.zeros_like(mask)
    box[find_objects(mask.astype(int))[0]] = True
    return box


@pytest.mark.parametrize("void", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_counts_equal_those_of_every_pair_compared_pixel_by_pixel(seed, void):
    predicted, truth = blobs(seed, SHAPE, CLASSES, void)
    counts = count_objects(predicted, truth, CLASSES)
    for index in range(CLASSES):
        one, other = masks_of_objects((predicted == index) & (truth != VOID)), masks_of_objects(truth == index)
        pairs = [pair for pair in itertools.product(one, other) if iou(*pair) > 0.5]
        assert pairs, "the case would prove nothing"
        expected = [len(one), len(other), len(pairs), sum(iou(*pair) for pair in pairs)]
        expected.append(sum(iou(*map(filled_box, pair)) for pair in pairs))
        np.testing.assert_allclose([counts[name][index] for name in COLUMNS], expected, rtol=1e-12)


def quality(counts: dict[str, np.ndarray]) -> np.ndarray:
    """Panoptic quality of each class (Kirillov et al. 2019, equation 1)."""
    return 2 * counts["matched_iou"] / (counts["objects_predicted"] + counts["objects_true"])


def torchmetrics_quality(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """That of torchmetrics, for which objects are numbered first; void is a category it does not know."""
    pair = []
    for mask in (predicted, truth):
        numbers = sum(label(mask == index, EIGHT)[0] for index in range(CLASSES))
        pair.append(torch.from_numpy(np.stack([mask.astype(int), numbers], axis=-1)[None]))
    return panoptic_quality(*pair, things=set(range(CLASSES)), stuffs=set(), return_per_class=True)[0].numpy()


@pytest.mark.parametrize("seed", range(4))
def test_panoptic_quality_equals_that_of_torchmetrics(seed):
    predicted, truth = blobs(seed, SHAPE, CLASSES)
    np.testing.assert_allclose(
        quality(count_objects(predicted, truth, CLASSES)), torchmetrics_quality(predicted, truth), rtol=1e-6
    )


def test_an_object_mostly_in_void_counts_by_its_valid_part_unlike_in_torchmetrics():
    """It forgives an unmatched object that lies mostly in void; here the rest of it is judged as any other pixels."""
    truth, predicted = np.zeros((5, 12), np.uint8), np.zeros((5, 12), np.uint8)
    truth[1:4, 1:4], truth[:, 7:] = 1, VOID
    predicted[1:4, 1:4], predicted[1:4, 6:10] = 1, 1
    assert quality(count_objects(predicted, truth, 2))[1] == pytest.approx(2 / 3)
    assert torchmetrics_quality(predicted, truth)[1] == pytest.approx(1.0)


def test_three_matches_and_a_miss_by_hand():
    """Class 1: an object met exactly; one of 2 x 4 of which 2 x 3 are found, IoU 3/4 for mask and box; an L whose box
    is met exactly by a mask of 5 of 7 pixels; and one pixel that is not found."""
    truth, predicted = np.zeros((12, 12), np.uint8), np.zeros((12, 12), np.uint8)
    truth[0:2, 0:2] = predicted[0:2, 0:2] = 1
    truth[0:2, 5:9] = predicted[0:2, 5:8] = 1
    truth[4:8, 0] = truth[7, 0:4] = 1
    predicted[4, 0] = predicted[6:8, 0] = predicted[7, 1:4] = predicted[5, 0] = 1
    predicted[5, 0], predicted[6, 1], predicted[6, 0] = 0, 0, 0
    predicted[5, 1] = predicted[6, 1] = 1
    truth[11, 11] = 1
    assert predicted[4:8, 0:4].tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0], [1, 1, 1, 1]]
    counts = {name: each[1] for name, each in count_objects(predicted, truth, 2).items()}
    assert list(counts.values()) == pytest.approx([3, 4, 3, 1 + 3 / 4 + 5 / 9, 1 + 3 / 4 + 1])


def test_an_iou_of_one_half_is_no_match():
    truth, predicted = np.zeros((1, 6), np.uint8), np.zeros((1, 6), np.uint8)
    truth[0, 1:5], predicted[0, 1:3] = 1, 1
    assert count_objects(predicted, truth, 2)["objects_matched"][1] == 0
    predicted[0, 3] = 1
    assert count_objects(predicted, truth, 2)["objects_matched"][1] == 1


def test_pixels_that_touch_at_a_corner_are_one_object_and_objects_of_two_classes_are_two():
    mask = np.array([[1, 0, 2], [0, 1, 2]], np.uint8)
    assert count_objects(mask, mask, 3)["objects_true"].tolist() == [1, 1, 1]


def test_void_cuts_an_object_in_two():
    truth = np.array([[1, 1, VOID, 1, 1]], np.uint8)
    counts = count_objects(np.ones((1, 5), np.uint8), truth, 2)
    assert [each.tolist() for each in counts.values()] == [[0, 2]] * 3 + [[0.0, 2.0]] * 2


@pytest.mark.parametrize("shape", [(5, 6), (1, 6), (1, 1)])
def test_a_class_that_fills_the_image_is_one_object(shape):
    mask = np.ones(shape, np.uint8)
    assert [each.tolist() for each in count_objects(mask, mask, 2).values()] == [[0, 1]] * 5


def test_a_class_in_one_mask_only_has_no_match():
    counts = count_objects(np.array([[0, 1]], np.uint8), np.array([[0, 2]], np.uint8), 4)
    assert [each[1:].tolist() for each in counts.values()] == [[1, 0, 0], [0, 1, 0], *[[0, 0, 0]] * 3]


def test_what_is_predicted_at_void_pixels_changes_nothing():
    predicted, truth = blobs(5, SHAPE, CLASSES, void=True)
    other = np.where(truth == VOID, (predicted + 1) % CLASSES, predicted).astype(np.uint8)
    one, two = (count_objects(mask, truth, CLASSES) for mask in (predicted, other))
    assert all((one[name] == two[name]).all() for name in COLUMNS)


def test_an_image_of_void_counts_nothing():
    counts = count_objects(np.zeros((3, 4), np.uint8), np.full((3, 4), VOID, np.uint8), 2)
    assert [each.tolist() for each in counts.values()] == [[0, 0]] * 5

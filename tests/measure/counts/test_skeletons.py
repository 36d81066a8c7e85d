"""Skeleton counts against scikit-image and MONAI, and by hand."""

import numpy as np
import pytest
import torch
from monai.losses.cldice import SoftclDiceLoss
from skimage.morphology import skeletonize

from pipeline.measure.counts.skeletons import COLUMNS, count_skeletons
from tests.measure.counts.blobs import VOID, blobs

CLASSES = 3


@pytest.mark.parametrize("void", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_skeletons_are_those_of_scikit_image_of_the_whole_mask(seed, void):
    """They are found object by object, which must not change them."""
    predicted, truth = blobs(seed, (47, 61), CLASSES, void)
    counts = count_skeletons(predicted, truth, CLASSES)
    for index in range(CLASSES):
        one, other = (predicted == index) & (truth != VOID), truth == index
        values = [skeletonize(one), skeletonize(one) & other, skeletonize(other), skeletonize(other) & one]
        assert [counts[name][index] for name in COLUMNS] == [np.count_nonzero(value) for value in values]


def test_broken_lines_by_hand():
    """A true line of 12 pixels, of which one line of 7 and one of 2 are predicted, and one of 4 that is invented; a line
    one pixel wide is its own skeleton."""
    truth, predicted = np.zeros((9, 16), np.uint8), np.zeros((9, 16), np.uint8)
    truth[4, 2:14], predicted[4, 2:9], predicted[4, 12:14], predicted[7, 3:7] = 1, 1, 1, 1
    counts = count_skeletons(predicted, truth, 2)
    assert [counts[name][1] for name in COLUMNS] == [13, 9, 12, 9]


def test_a_skeleton_hits_the_whole_of_the_other_mask_not_its_skeleton():
    """The true line lies at the rim of a thick prediction, far from its middle, and counts as found."""
    truth, predicted = np.zeros((9, 16), np.uint8), np.zeros((9, 16), np.uint8)
    truth[2, 2:14], predicted[2:7, 2:14] = 1, 1
    counts = count_skeletons(predicted, truth, 2)
    assert counts["skeleton_true_hit"][1] == counts["skeleton_true"][1] == 12
    assert counts["skeleton_predicted_hit"][1] == 0 < counts["skeleton_predicted"][1]


def test_on_lines_one_pixel_wide_cl_dice_equals_that_of_monai():
    """Only there: MONAI's skeleton is the soft one of the loss, which is another on thick masks."""
    truth, predicted = np.zeros((9, 16), np.uint8), np.zeros((9, 16), np.uint8)
    truth[2, 2:14], predicted[2, 5:14], predicted[6, 3:9] = 1, 1, 1
    counts = {name: count[1] for name, count in count_skeletons(predicted, truth, 2).items()}
    precision = counts["skeleton_predicted_hit"] / counts["skeleton_predicted"]
    sensitivity = counts["skeleton_true_hit"] / counts["skeleton_true"]
    pair = (torch.from_numpy(np.stack([mask == 0, mask == 1])[None]).float() for mask in (predicted, truth))
    loss = SoftclDiceLoss(smooth_nr=1e-9, smooth_dr=1e-9, smooth=1e-9, include_background=False)(*pair)
    assert 2 * precision * sensitivity / (precision + sensitivity) == pytest.approx(1 - loss.item(), abs=1e-6)


@pytest.mark.parametrize(("shape", "pixels"), [((1, 1), 1), ((1, 9), 9), ((9, 1), 9)])
def test_an_image_that_a_thin_class_fills_is_its_skeleton(shape, pixels):
    mask = np.zeros(shape, np.uint8)
    assert [each.tolist() for each in count_skeletons(mask, mask, 1).values()] == [[pixels]] * 4


def test_a_class_in_one_mask_only_has_a_skeleton_there_and_no_hit():
    truth, predicted = np.zeros((5, 9), np.uint8), np.zeros((5, 9), np.uint8)
    truth[2, 2:7], predicted[2, 3] = 1, 2
    counts = count_skeletons(predicted, truth, 4)
    assert [counts[name][1:].tolist() for name in COLUMNS] == [[0, 1, 0], [0, 0, 0], [5, 0, 0], [0, 0, 0]]


def test_what_is_predicted_at_void_pixels_changes_nothing():
    predicted, truth = blobs(5, (47, 61), CLASSES, void=True)
    other = np.where(truth == VOID, (predicted + 1) % CLASSES, predicted).astype(np.uint8)
    one, two = (count_skeletons(mask, truth, CLASSES) for mask in (predicted, other))
    assert all((one[name] == two[name]).all() for name in COLUMNS)


def test_an_image_of_void_counts_nothing():
    counts = count_skeletons(np.zeros((3, 4), np.uint8), np.full((3, 4), VOID, np.uint8), 2)
    assert [each.tolist() for each in counts.values()] == [[0, 0]] * 4

"""Blob Dice: the authors' loop over components in NumPy with SciPy's labels, and dots a reader can count."""

import numpy as np
import pytest
import torch
from scipy.ndimage import label
from scipy.special import softmax
from torch.testing import assert_close

from tests.losses.reference import mean


def reference(loss, logits, target, weights, facts):
    """Kofler et al., of each class as the authors' code has it: the other components masked, the mean over the
    components of an image and over the images with some."""
    p, classes = softmax(logits, axis=1), [c for c in np.unique(target[target != 255]) if weights[c]]
    losses = []
    for c in classes:
        of_images = []
        for image in range(len(target)):
            components, found = label(target[image] == c, np.ones((3, 3)))
            dice = []
            for n in range(1, found + 1):
                domain = (target[image] != 255) & ((components == 0) | (components == n))
                truth, predicted = (components == n)[domain], p[image, c][domain]
                dice.append(1 - 2 * (predicted * truth).sum() / (predicted.sum() + truth.sum()))
            if dice:
                of_images.append(np.mean(dice))
        losses.append(np.mean(of_images))
    return mean(np.array(losses), weights[classes])


def masked(*lines):
    """Target of one image, written as lines of digits; v is void."""
    return torch.tensor([[[int(digit.replace("v", "255")) for digit in line] for line in lines]])


def surely(mask, classes=2):
    return 200 * torch.nn.functional.one_hot(mask, classes).movedim(-1, 1).float()


TRUTH = masked("1100000", "1100001", "1100000")  # one object of 6 pixels and one of 1
LARGE = masked("1100000", "1100000", "1100000")
SMALL = masked("0000000", "0000001", "0000000")


def test_a_missed_object_costs_the_same_whatever_its_size(build):
    """Half of the two objects: for Dice the small one is a trifle, 1 - 12 / 13."""
    loss = build("blob_dice")
    assert loss(surely(LARGE), TRUTH).item() == pytest.approx(1 / 2)
    assert loss(surely(SMALL), TRUTH).item() == pytest.approx(1 / 2)
    assert build("dice")(surely(LARGE), TRUTH).item() == pytest.approx(1 / 13)


def test_other_objects_are_no_false_positives(build):
    """Both are found."""
    assert build("blob_dice")(surely(TRUTH), TRUTH) == pytest.approx(0, abs=1e-6)


def test_a_false_positive_is_charged_to_every_object(build):
    """Two pixels too many: 1 - 12 / 14 of the one and 1 - 2 / 4 of the other."""
    found = masked("1100110", "1100001", "1100000")
    assert build("blob_dice")(surely(found), TRUTH).item() == pytest.approx((2 / 14 + 2 / 4) / 2)


def test_the_price_of_a_false_positive_follows_the_class_weights(build):
    """w_0 / w_1 = 3, since the mean over the foreground alone leaves weights nothing else to weigh."""
    found = masked("1100110", "1100001", "1100000")
    loss = build("blob_dice")(surely(found), TRUTH, torch.tensor([3.0, 1.0]))
    assert loss.item() == pytest.approx((6 / 18 + 6 / 8) / 2)


def test_objects_that_touch_by_a_corner_are_one(build):
    """Of two dots in a diagonal one is found: 1 - 2 / 3, where two objects would cost 1/2."""
    truth, found = masked("100", "010", "000"), masked("100", "000", "000")
    assert build("blob_dice")(surely(found), truth).item() == pytest.approx(1 / 3)


def test_void_pixels_join_nothing(build):
    """Two dots with a void pixel between them are two objects."""
    truth, found = masked("1v1"), masked("100")
    assert build("blob_dice")(surely(found), truth).item() == pytest.approx(1 / 2)


def test_images_with_many_objects_weigh_as_much_as_those_with_one(build):
    """Of four objects all are found, of one none; an image without any has no share."""
    many, one, none = masked("1010101"), masked("1110000"), masked("0000000")
    found = torch.cat([many, none, one])
    assert build("blob_dice")(surely(found), torch.cat([many, one, none])).item() == pytest.approx((0 + 1) / 2)


def test_no_object_at_all_costs_nothing(build):
    """What is wrongly found is left to the term beside it."""
    assert build("blob_dice")(surely(LARGE), torch.zeros_like(LARGE)) == 0


def test_classes_have_objects_of_their_own(build):
    """Of two that touch one is found and the other taken for it: 1 - 4 / 6 and 1, and of the background nothing."""
    truth, found = masked("0112200"), masked("0111100")
    loss = build("blob_dice", background=False)
    assert loss(surely(found, 3), truth).item() == pytest.approx((2 / 6 + 1) / 2)
    assert loss(surely(found, 3), truth, torch.tensor([1.0, 3.0, 1.0])).item() == pytest.approx((3 * 2 / 6 + 1) / 4)


def test_of_single_objects_it_is_dice_by_image_and_class(build):
    """Its limit: one object of each class in each image."""
    target = torch.tensor([[[0, 0, 1, 1, 2, 2]] * 4, [[2, 1, 1, 1, 0, 0]] * 4])
    logits = torch.randn(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    dice = build("dice", over="image_and_class", absent="left_out")
    assert_close(build("blob_dice")(logits, target), dice(logits, target))


def test_gradient_of_a_small_object_is_not_drowned(build):
    """Its pixel is pulled harder than one of the large object, where Dice pulls all alike."""
    logits = torch.zeros(1, 1, 3, 7, requires_grad=True)
    pulls = {}
    for kind in ("blob_dice", "dice"):
        (slope,) = torch.autograd.grad(build(kind)(logits, TRUTH), logits)
        pulls[kind] = (slope[0, 0, 1, 6] / slope[0, 0, 0, 0]).item()
    assert pulls["dice"] == pytest.approx(1)
    assert pulls["blob_dice"] > 1.3

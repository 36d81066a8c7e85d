"""Class share: NumPy in float64, and shares a reader can count."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from tests.losses.reference import mean, valid_pixels


def reference(loss, logits, target, weights, facts):
    """Liu et al.: the L1 distance of the shares of each image, as the authors' code averages it."""
    distances = []
    for image in range(len(target)):
        p, g = valid_pixels(logits[[image]], target[[image]])
        if len(p):
            distances.append(mean(np.abs(p.mean(axis=0) - g.mean(axis=0)), weights))
    return np.mean(distances)


def test_shares_by_hand(build, row, predict_surely):
    """Of eight pixels class 0 has 4 and gets 5, class 1 has 2 and gets 0, class 2 has 2 and gets 3."""
    logits = predict_surely(0, 0, 0, 0, 0, 2, 2, 2, classes=3)
    truth = row(0, 0, 0, 0, 1, 1, 2, 2)
    loss = build("class_share")
    assert loss(logits, truth).item() == pytest.approx((1 / 8 + 2 / 8 + 1 / 8) / 3)
    weights = torch.tensor([1.0, 4.0, 1.0])
    assert loss(logits, truth, weights).item() == pytest.approx((1 / 8 + 4 * 2 / 8 + 1 / 8) / 6)


def test_it_does_not_see_where_a_class_lies(build, row, predict_surely):
    """All pixels wrong and no share: why it is a term and never alone."""
    assert build("class_share")(predict_surely(1, 1, 0, 0, classes=2), row(0, 0, 1, 1)) == 0


def test_images_are_compared_one_by_one(build, predict_surely):
    """What one image has too much does not make up for what another lacks."""
    logits = torch.cat([predict_surely(0, 0, classes=2), predict_surely(1, 1, classes=2)])
    truth = torch.tensor([[[0, 1]], [[0, 1]]])
    assert build("class_share")(logits, truth).item() == pytest.approx(1 / 2)


def test_an_image_counts_whatever_the_number_of_its_valid_pixels(build, predict_surely):
    """Half of one image is wrong, and of the other its single valid pixel."""
    logits = torch.cat([predict_surely(0, 0, 0, 0, classes=2), predict_surely(1, 1, 1, 1, classes=2)])
    truth = torch.tensor([[[0, 0, 1, 1]], [[0, 255, 255, 255]]])
    assert build("class_share")(logits, truth).item() == pytest.approx((1 / 2 + 1) / 2)


def test_an_image_of_void_pixels_is_no_image(build, batch):
    """It has no shares to compare."""
    logits, target = batch[0], batch[1].clone()
    target[1] = 255
    assert_close(build("class_share")(logits, target), build("class_share")(logits[:1], target[:1]))


def test_an_absent_class_pays_for_what_is_given_to_it(build, row, predict):
    """A quarter of each pixel, which the class that is there lacks."""
    loss = build("class_share")(predict([0.75, 0.25], [0.75, 0.25]), row(0, 0))
    assert loss.item() == pytest.approx(1 / 4)


def test_of_one_pixel_it_is_l1(build, predict):
    """Its share is its probability."""
    logits, truth = predict([0.5, 0.3, 0.2]), torch.tensor([[[1]]])
    assert_close(build("class_share")(logits, truth), build("l1")(logits, truth))


def test_one_channel_is_the_authors_binary_form(build, batch):
    """mean over images of |mean sigmoid - mean of the mask|."""
    logits, mask = batch[0][:, :1], (batch[1] == 1).long()
    expected = (logits[:, 0].sigmoid().mean(dim=(1, 2)) - mask.float().mean(dim=(1, 2))).abs().mean()
    assert_close(build("class_share")(logits, mask), expected)


def test_every_pixel_of_a_class_that_is_too_large_is_pushed_alike(build, row):
    """By p (1 - p) over the number of pixels, right or wrong: it moves the size, not the place."""
    logits = torch.full((1, 1, 1, 4), 2.0, requires_grad=True)
    build("class_share")(logits, row(0, 0, 1, 1)).backward()
    p = torch.tensor(2.0).sigmoid()
    assert_close(logits.grad, (p * (1 - p) / 4).expand(1, 1, 1, 4))

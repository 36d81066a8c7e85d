"""SSIM: NumPy with SciPy's Gaussian filter, and values a reader can work out."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.special import softmax
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from tests.losses.reference import mean

C1, C2 = 0.01**2, 0.03**2


def reference(loss, logits, target, weights, facts):
    """Wang et al. for each class and image; windows are normalised over their valid pixels."""
    p, valid = softmax(logits, axis=1), target != 255
    classes = np.unique(target[valid])
    losses = []
    for index in classes:
        maps = [similarity(*each) for each in zip(p[:, index], target == index, valid, strict=True)]
        losses.append(1 - np.concatenate(maps).mean())
    return mean(np.array(losses), weights[classes])


def similarity(p, g, valid):
    """SSIM index at each valid pixel of an image; variances as means of squared differences from the mean."""
    p, g = p[valid], g[valid].astype(float)
    weights = (
        np.stack([window(valid.shape, pixel)[valid] for pixel in np.argwhere(valid)]) if len(p) else np.ones((0, 0))
    )
    weights = weights / weights.sum(axis=1, keepdims=True)
    m_p, m_g = weights @ p, weights @ g
    d_p, d_g = p - m_p[:, None], g - m_g[:, None]
    v_pp, v_gg, v_pg = ((weights * product).sum(axis=1) for product in (d_p * d_p, d_g * d_g, d_p * d_g))
    return (2 * m_p * m_g + C1) / (m_p**2 + m_g**2 + C1) * (2 * v_pg + C2) / (v_pp + v_gg + C2)


def window(shape, pixel):
    """SciPy's Gaussian of sigma 1.5, cut 5 pixels off, around a pixel."""
    impulse = np.zeros(shape)
    impulse[tuple(pixel)] = 1
    return gaussian_filter(impulse, 1.5, mode="constant", truncate=3.5)


def test_one_pixel_by_hand(build, row, predict):
    """No variance: (2 * 0.5 * 1 + C1) / (0.25 + 1 + C1)."""
    loss = build("ssim")(predict([0.5, 0.5]), row(1))
    assert loss.item() == pytest.approx(1 - (1 + C1) / (1.25 + C1))


def test_two_pixels_by_hand(build, row, predict_surely):
    """Taken for each other: the window sees its own pixel with 1 / (1 + exp(-1/4.5)), and prediction against truth."""
    own = 1 / (1 + math.exp(-1 / 4.5))
    variance, other = own * (1 - own), 1 - own
    means = (2 * own * other + C1) / (own**2 + other**2 + C1)
    structure = (-2 * variance + C2) / (2 * variance + C2)
    loss = build("ssim")(predict_surely(1, 0, classes=2), row(0, 1))
    assert loss.item() == pytest.approx(1 - means * structure)


def test_contrast_the_wrong_way_round_costs_more_than_none(build):
    """A checkerboard taken for its negative has a covariance below 0, so SSIM is negative."""
    board = torch.arange(12).view(-1, 1).add(torch.arange(12)).remainder(2)[None]
    surely = 100 * torch.nn.functional.one_hot(1 - board, 2).movedim(-1, 1).float()
    grey = build("ssim")(torch.zeros(1, 2, 12, 12), board)
    assert 0.9 < grey < 1
    assert build("ssim")(surely, board) > 1.9


def test_a_false_hint_of_a_class_costs_half(build, predict):
    """Where the truth has none of a class, probability 0.01 is as large as the constant C1 allows."""
    logits = torch.cat([predict([0.99, 0.01]), predict([0.01, 0.99])])
    loss = build("ssim")(logits, torch.tensor([[[0]], [[1]]]))
    sure = 1 - (2 * 0.99 + C1) / (0.99**2 + 1 + C1)
    assert loss.item() == pytest.approx((0.5 + sure) / 2, rel=1e-4)


def test_same_error_costs_more_in_a_flat_region_than_beside_an_edge(build):
    """Probability 0.7 instead of 1 in a column of pixels: where the truth varies, too, the pattern is less foreign."""
    truth = torch.zeros(1, 24, 24, dtype=torch.long)
    truth[:, :, 12:] = 1
    surely = 100 * torch.nn.functional.one_hot(truth, 2).movedim(-1, 1).float()
    flat, beside = surely.clone(), surely.clone()
    flat[:, 0, :, 5] = beside[:, 0, :, 11] = math.log(0.7 / 0.3)
    assert_close(build("dice")(flat, truth), build("dice")(beside, truth))
    assert build("ssim")(flat, truth) > 4 * build("ssim")(beside, truth)


def test_nearly_perfect_predictions_are_told_apart_in_float32(build, batch):
    """As a difference of nearly equal numbers the loss would drown in rounding, and fall below 0."""
    target, loss = batch[1] % 4, build("ssim")
    logits = torch.nn.functional.one_hot(target, 4).movedim(-1, 1).float()
    for certainty in (8.0, 12.0, 16.0):
        value, exact = loss(certainty * logits, target), loss.in_float64(certainty * logits, target)
        assert value > 0
        assert value.item() == pytest.approx(exact.item(), rel=0.05)


@pytest.mark.parametrize(("distance", "seen"), [(5, True), (6, False)])
def test_window_is_eleven_pixels_wide(build, distance, seen):
    """Two pixels that know nothing of each other cost what they cost alone, by luminance."""
    target = torch.full((1, 1, 20), 255)
    target[0, 0, [3, 3 + distance]] = torch.tensor([0, 1])
    alone = 1 - ((1 + C1) / (1.25 + C1) + C1 / (0.25 + C1)) / 2
    assert (build("ssim")(torch.zeros(1, 2, 1, 20), target).item() != pytest.approx(alone)) == seen


@pytest.mark.parametrize("pixels", [32, 64])
def test_no_product_of_matrices_and_no_convolution(build, pixels):
    """A GPU may round the factors of those to ten bits, under `torch.set_float32_matmul_precision("high")` among others;
    and a product with a window as large as the image would grow faster than the number of pixels."""
    logits = torch.zeros(1, 2, pixels, pixels, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        build("ssim")(logits, torch.arange(pixels**2).view(1, pixels, pixels) % 2).backward()
    assert counter.get_total_flops() == 0


def test_work_grows_with_the_number_of_pixels(build):
    """Numbers that are written, forward and backward, with 16 times the pixels."""
    written = [numbers_written(build("ssim"), pixels) for pixels in (64, 256)]
    assert written[1] < 17 * written[0]


def numbers_written(loss, pixels):
    class Counter(TorchDispatchMode):
        total = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            self.total += result.numel() if torch.is_tensor(result) else 0
            return result

    logits = torch.zeros(1, 2, pixels, pixels, requires_grad=True)
    with Counter() as counter:
        loss(logits, torch.arange(pixels**2).view(1, pixels, pixels) % 2).backward()
    return counter.total


def test_scale_does_not_depend_on_how_many_classes_are_absent(build, batch):
    """As in Dice."""
    logits, target = batch
    more = torch.nn.functional.pad(logits, (0, 0, 0, 0, 0, 5), value=-1e4)  # five classes more, nowhere seen
    assert_close(build("ssim")(more, target), build("ssim")(logits, target))


def test_a_foreground_that_is_absent_costs_what_is_given_to_it(build):
    """In a flat image of p = 0.01 there is no variance: 1 - C1 / (p^2 + C1), a half; of p = 0 nothing."""
    logits, target = torch.zeros(1, 2, 12, 12), torch.zeros(1, 12, 12, dtype=torch.int64)
    logits[:, 1] = math.log(0.01 / 0.99)
    assert build("ssim")(logits, target).item() == pytest.approx(1 / 2, abs=1e-4)
    assert build("ssim")(10 * logits, target).item() == pytest.approx(0, abs=1e-4)


def test_class_weights_of_two_classes_weigh_their_pixels(build, row, predict):
    """The foreground alone is compared, here in images of one pixel: 1 - C1 / (p^2 + C1) where it is not and
    1 - (2 p + C1) / (p^2 + 1 + C1) where it is, with p = 1/2."""
    logits, target = torch.zeros(2, 2, 1, 1), torch.tensor([[[0]], [[1]]])
    costs = 1 - C1 / (0.25 + C1), 1 - (1 + C1) / (1.25 + C1)
    assert build("ssim")(logits, target).item() == pytest.approx(sum(costs) / 2)
    weighted = build("ssim")(logits, target, torch.tensor([1.0, 3.0]))
    assert weighted.item() == pytest.approx((costs[0] + 3 * costs[1]) / 4)

"""Probabilities in bins, and sums of the log-loss and the Brier score: what the calibration metrics are computed from.

A bin holds the pixels whose probability lies in [i / 15, (i + 1) / 15), the last one also those of probability 1, which
torchmetrics keeps in a sixteenth. The edges are those of its `CalibrationError`, up to the rounding of float32.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline.plumbing.labels import IGNORE
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

BINS = 15
IN_A_BIN = ("pixels", "confidence", "hits")
"""Number of pixels, sum of the probabilities of the top label or of the class, and where this is the truth."""

COLUMNS = ("pixels", "nll", "brier")

# Neighbours are counted in tables of their own: adding to the same number twice waits for the first time.
PHASES = 4  # a power of two
BLOCK = 2**18  # probabilities at a time on a CPU: what is made on the way stays in its cache, which is twice as fast


class _Sums(NamedTuple):
    """Sums over pixels, on the device."""

    images: Tensor
    """`3 b` float64, in the order of `COLUMNS`."""
    bins: Tensor
    """`b 1+c bins 3` float64."""


def count_probabilities(logits: Tensor, target: Tensor, classes: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Sums over the valid pixels of each image, from logits `b c h w` and true class indices `b h w`.

    Returns the columns `b` pixels (int64), nll (nats) and brier (squared errors summed over classes, 0 to 2 a pixel),
    and the bins `b 1+c bins 3` float64, the top label first, then each class one versus rest; see `IN_A_BIN`. Of equal
    logits the first class is the top label, as argmax has it. The probabilities are float32, the sums float64.
    """
    b, pixels = len(target), target[0].numel()
    logits, target = logits.reshape(b, classes, pixels), target.reshape(b, pixels)
    images = torch.zeros(len(COLUMNS), b, dtype=torch.float64, device=logits.device)
    bins = torch.zeros(b, 1 + classes, BINS, len(IN_A_BIN), dtype=torch.float64, device=logits.device)
    with torch.inference_mode():
        for some, where in _blocks(logits):
            sums = _sums(logits[some, :, where].float(), target[some, where])
            images[:, some] += sums.images
            bins[some] += sums.bins
    columns = dict(zip(COLUMNS, images.cpu().numpy(), strict=True))
    return columns | {"pixels": columns["pixels"].astype(np.int64)}, bins.cpu().numpy()


def _blocks(logits: Tensor) -> Iterator[tuple[slice, slice]]:
    """Which images and which of their pixels are counted together."""
    b, classes, pixels = logits.shape
    at_once = max(1, BLOCK // classes) if logits.device.type == "cpu" else b * pixels
    some, where = max(1, at_once // pixels), min(at_once, pixels)
    for image in range(0, b, some):
        for pixel in range(0, pixels, where):
            yield slice(image, image + some), slice(pixel, pixel + where)


def _sums(logits: Tensor, target: Tensor) -> _Sums:
    """Of logits `b c n` and targets `b n`."""
    void = target == IGNORE
    truth = (target * ~void).long().unsqueeze(1)
    highest, probabilities = logits.amax(dim=1), logits.softmax(dim=1)
    count, confidence = _histograms(probabilities, truth, _first(logits, highest), void)
    by_class = [count.sum(dim=(2, 3)), confidence.sum(dim=(2, 3)), count[:, :, :, 1].sum(dim=2)]
    of_top = [count[:, :, 1].sum(dim=(1, 2)), confidence[:, :, 1].sum(dim=(1, 2)), count[:, :, 1, 1].sum(dim=1)]

    # The logarithm of the top probability, which is 1 / c at least, is exact where that of the true one is -inf.
    nll = highest - logits.gather(1, truth).squeeze(1) - probabilities.amax(dim=1).log()
    square = (probabilities * probabilities).sum(dim=1)
    nll, square = ((each * ~void).sum(dim=1, dtype=torch.float64) for each in (nll, square))
    pixels, true = of_top[0].sum(dim=1), confidence[:, :, :, 1].sum(dim=(1, 2, 3))
    return _Sums(
        images=torch.stack([pixels, nll, square - 2 * true + pixels]),
        bins=torch.stack([torch.cat([of_top[i].unsqueeze(1), by_class[i]], dim=1) for i in range(3)], dim=-1),
    )


def _first(logits: Tensor, highest: Tensor) -> Tensor:
    """The first class `b 1 n` with the highest logit: argmax, which takes four times as long over this axis."""
    classes = logits.shape[1]
    from_last = torch.arange(classes, 0, -1, dtype=torch.uint8, device=logits.device).view(-1, 1)
    return classes - (logits == highest.unsqueeze(1)).view(torch.uint8).mul_(from_last).amax(dim=1, keepdim=True).long()


def _histograms(probabilities: Tensor, truth: Tensor, top: Tensor, void: Tensor) -> tuple[Tensor, Tensor]:
    """Number of pixels and sum of the probabilities of each class, both `b c 2 2 bins` float64: whether it is the top
    label, and whether it is the truth.

    By one flat index of image, void, phase, class, top, truth, and bin, of which there is one more for probability 1.
    """
    b, classes, n = probabilities.shape
    shape = (b, 2, PHASES, classes, 2, 2, BINS + 1)
    in_image, in_void, in_phase, in_class, in_top, in_truth = (math.prod(shape[axis:]) for axis in range(1, 7))
    image, number, pixel = (torch.arange(size, dtype=torch.int32, device=void.device) for size in (b, classes, n))
    place = void.int().mul_(in_void).add_((pixel & PHASES - 1) * in_phase).add_(image.view(-1, 1) * in_image)
    index = (probabilities * BINS).to(torch.int32).add_(number.view(-1, 1) * in_class).add_(place.unsqueeze(1))
    index.scatter_add_(1, top, pixel.new_full((), in_top).expand_as(top))
    index.scatter_add_(1, truth, pixel.new_full((), in_truth).expand_as(truth))
    found = []
    for weights in (None, probabilities.double().view(-1)):
        sums = torch.bincount(index.view(-1), weights, minlength=math.prod(shape)).view(shape)[:, 0].sum(dim=1).double()
        sums[..., BINS - 1] += sums[..., BINS]
        found.append(sums[..., :BINS])
    return found[0], found[1]

"""Deep supervision: a loss of the outputs of a network at several scales, for a training loop of one's own.

No entry of params.yaml: the models of this project give one map of logits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from pipeline.plumbing.errors import UserError


class DeepSupervision(nn.Module):
    """Weighted mean of a loss over scales (Lee et al., "Deeply-Supervised Nets", AISTATS 2015, with the weights of
    nnU-Net, Isensee et al., Nature Methods 2021).

        L = sum_k 2^-k L_k / sum_k 2^-k

    over the outputs k = 0, 1, ... of a network, the full-sized one first, each compared with the target at its size:

        loss = DeepSupervision(Dice())([logits, half, quarter], target)

    The target is made smaller by the nearest pixel, so its classes and ignored pixels stay what they are, and the
    probabilities of a pixel still sum to 1; a class of few pixels may be gone at a low scale, where its loss is that of
    an absent class.
    Where we differ: nnU-Net gives the smallest of its outputs no weight; leave that out of the list. A loss in pixels,
    such as one by distance, is in pixels of each scale.

    A loss that is an `nn.Module` is a part of this one: it moves, is saved and gives its parameters with it.
    """

    def __init__(self, of: Callable[..., Tensor]) -> None:
        """`of`: a loss of logits `b c h w` and a target, as those of this folder, or a module of one."""
        super().__init__()
        self.of = of

    def forward(self, outputs: Sequence[Tensor], target: Tensor, **known: Any) -> Tensor:
        """Loss of a batch.

        Args:
            outputs: list or tuple of logits `b c h w` at each scale, largest first, the first as large as the target.
            target: `b h w` or `b 1 h w`, class indices of any integer dtype, or probabilities `b c h w`, as the loss
                takes them.
            known: what the loss takes besides, such as `progress`; it is the same at each scale.

        Raises UserError for outputs that are not such a list, and whatever the loss itself raises.
        """
        needs = "Deep supervision needs the outputs of all scales in a list, the largest first and none larger than "
        if not isinstance(outputs, list | tuple) or not all(isinstance(each, Tensor) for each in (*outputs, target)):
            told = [type(each).__name__ for each in (outputs, target)]
            raise UserError(f"{needs}the target, all of them tensors, not {told[0]} and a target of type {told[1]}.")
        sizes = [tuple(logits.shape[2:]) for logits in outputs]
        whole = tuple(target.shape[-2:])
        if target.dim() not in (3, 4) or not _shrink([whole, *sizes]):
            raise UserError(f"{needs}the target; they are of {sizes} pixels, and the target is of {whole}.")
        losses = [self.of(logits, _at(size, target), **known) for logits, size in zip(outputs, sizes, strict=True)]
        weights = [0.5**k for k in range(len(losses))]
        return sum(weight * loss for weight, loss in zip(weights, losses, strict=True)) / sum(weights)


def _shrink(sizes: list[tuple[int, ...]]) -> bool:
    """Whether these are heights and widths, at least two, of which none is larger than that before."""
    if len(sizes) < 2 or any(len(size) != 2 for size in sizes):
        return False
    return all(h <= most_h and w <= most_w for (most_h, most_w), (h, w) in pairwise(sizes))


def _at(size: tuple[int, ...], target: Tensor) -> Tensor:
    """The target at this size, by the pixel nearest to the centre of each new one."""
    if size == tuple(target.shape[-2:]):
        return target
    numbers = target.double()  # which holds every class index exactly
    numbers = numbers.unsqueeze(1) if target.dim() == 3 else numbers
    smaller = nn.functional.interpolate(numbers, size, mode="nearest-exact")
    return smaller.reshape(*target.shape[:-2], *size).to(target.dtype)

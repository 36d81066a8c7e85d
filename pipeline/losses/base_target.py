"""What a target must be, said in one sentence to whoever gives another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.labels import IGNORE
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.losses.base import Batch


def check_target(target: Tensor, batch: Batch) -> None:
    """Raises UserError if `target`, as it was given, is none for the logits of `batch`.

    Its values are looked at in every call. On a GPU the host does not wait for what is found: there wrong values stop
    the device, as they do in torch's cross-entropy.
    """
    b, c, h, w = batch.logits.shape
    sentence = (
        f"The target of logits {[b, c, h, w]} must be of shape {[b, h, w]} and an integer type, with classes from 0 to "
        f"{c - 1}, and {IGNORE} where a pixel is to be ignored"
    )
    if target.shape != (b, h, w) or target.is_floating_point():
        raise UserError(f"{sentence}; this one is of shape {list(target.shape)} and {target.dtype}.")
    if not target.numel():
        return
    least, most = target.aminmax()
    if target.is_cuda or most == IGNORE:  # seldom, so that without it there is but one look
        least, most = batch.true_class.aminmax()
    if target.is_cuda:
        torch._assert_async((least >= 0) & (most < c), f"{sentence}.")
    elif least < 0 or most >= c:
        raise UserError(f"{sentence}; this one has classes from {least} to {most}.")

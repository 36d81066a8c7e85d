"""What a loss and its target must be for a batch, said in one sentence to whoever gives others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.labels import IGNORE
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.losses.base import Batch, Loss


def check_fits(loss: Loss, batch: Batch) -> None:
    """Raises UserError if the loss cannot score as many classes, or is not told what it needs besides."""
    name, classes = type(loss).__name__, batch.logits.shape[1]
    if reason := loss.refuses_classes(classes):
        raise UserError(f"{name} cannot score {classes} classes: {reason}")
    needed = [*sorted(loss.needs_statistics()), *(["distances"] if loss.needs_distances() else [])]
    if missing := [each for each in needed if getattr(batch.facts, each) is None]:
        raise UserError(f"{name} needs {' and '.join(missing)} among its facts; `{name}.module` takes or makes them.")


def check_target(target: Tensor, batch: Batch, ignore_index: int = IGNORE) -> None:
    """Raises UserError if `target` is none for the logits of `batch`.

    Its values are looked at in every call. On a GPU the host does not wait for what is found: there wrong values stop
    the device, as they do in torch's cross-entropy.
    """
    b, c, h, w = batch.logits.shape
    sentence = (
        f"The target of logits {[b, c, h, w]} must be of shape {[b, h, w]} and an integer type, with classes from 0 to "
        f"{c - 1}, and {ignore_index} where a pixel is to be ignored"
    )
    if target.shape != (b, h, w) or target.is_floating_point():
        raise UserError(f"{sentence}; this one is of shape {list(target.shape)} and {target.dtype}.")
    if not target.numel():
        return
    least, most = target.aminmax()
    classes = target.long()  # a negative number is never an unsigned one
    if target.is_cuda or most == ignore_index or least == ignore_index:  # seldom; else there is but one look
        least, most = classes.where(classes != ignore_index, 0).aminmax()
    if target.is_cuda:
        torch._assert_async((least >= 0) & (most < c), f"{sentence}.")
    elif least < 0 or most >= c:
        raise UserError(f"{sentence}; this one has classes from {least} to {most}.")

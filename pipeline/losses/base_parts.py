"""Losses of many classes, computed a few classes or a few rows of pixels at a time.

The results are those of computing all at once. What a loss keeps is the errors and their slopes, whatever it computes
in between, and what it computes stays in the cache of a core.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pipeline.losses.base import Batch
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

AT_ONCE = 2**18  # numbers of a part


def errors(batch: Batch) -> Tensor:
    """`b c h w`: |p - g|, exact where p is close to g, and p - g with soft labels; 0 at ignored pixels."""
    if batch.soft:
        return batch.p - batch.g
    from pipeline.losses.base_autograd import Errors  # only now, since it needs torch to be imported

    return Errors.apply(batch.logits, batch.true_class, batch.valid.to(batch.logits.dtype))


def truth(batch: Batch, classes: Tensor) -> Tensor:
    """`b k h w`: truth of the k classes, 0 at ignored pixels."""
    if batch.soft:
        return batch.g[:, classes]
    return (batch.target.unsqueeze(1) == classes.view(1, -1, 1, 1)).to(batch.logits.dtype)


def signed(error: Tensor, g: Tensor) -> Tensor:
    """p - g, from |p - g|."""
    return error * (1 - 2 * g)


def signed_errors(batch: Batch, error: Tensor, g: Tensor) -> Tensor:
    """p - g of some classes, from their `errors` and `truth`."""
    return error if batch.soft else signed(error, g)


def diagonal(batch: Batch) -> Tensor:
    """`b 1 1 1`: diagonal in pixels of the rows and columns of an image that hold a valid pixel, at least 1."""
    rows, columns = (batch.valid.any(dim=axis).sum(dim=1).to(batch.logits.dtype) for axis in (2, 1))
    return torch.hypot(rows, columns).clamp(min=1).view(-1, 1, 1, 1)


def class_by_class(maps: Tensor, cost: Callable[[Tensor, Tensor], Tensor], among: Tensor | None = None) -> Tensor:
    """`c`: what each class costs, 0 for those that are not `among` the classes asked for (`c`, 0 or 1).

    Args:
        maps: `b c h w`, a map of each class.
        cost: from the maps `b k h w` of k classes and their indices `k`, what these cost, `k`. What a class costs may
            depend on its own map alone.
        among: all classes by default.
    """
    from pipeline.losses.base_autograd import in_parts

    b, c, h, w = maps.shape
    asked = maps.new_ones(c) if among is None else among
    parts = asked.nonzero().flatten().split(max(1, AT_ONCE // max(1, b * h * w))) if asked.any() else ()

    def values(part: Tensor, classes: Tensor) -> Tensor:
        return cost(part, classes).view(1, -1, 1, 1)

    return in_parts(maps, values, 1, parts, (1, c, 1, 1)).flatten()


def row_by_row(batch: Batch, cost: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """`b h w`: what each pixel costs.

    Args:
        cost: from the logits `b c k w` of k rows and their indices `k`, what their pixels cost, `b 1 k w`. What a
            pixel costs may depend on its own logits alone.
    """
    from pipeline.losses.base_autograd import in_parts

    b, c, h, w = batch.logits.shape
    rows = torch.arange(h, device=batch.logits.device)
    parts = rows.split(max(1, AT_ONCE // max(1, b * c * w)))
    return in_parts(batch.logits, cost, 2, parts, (b, 1, h, w)).squeeze(1)

"""Lovász-softmax: the Jaccard index of the mistakes, made continuous by sorting them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.losses.base import Batch, Loss
from pipeline.losses.base_parts import class_by_class, errors
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class LovaszSoftmax(Loss):
    """Lovász-softmax loss (Berman, Rannen Triki, Blaschko, "The Lovász-Softmax loss", CVPR 2018, algorithm 1 and the
    average over classes of section 3).

        L = mean_c  sum_k e_(k) (J_c(M_k) - J_c(M_(k-1))),  e_i = |g_i,c - p_i,c|
        J_c(M) = |M| / |T_c or M|

    over classes c and all valid pixels of the batch, with softmax probability p and one-hot truth g. e_(k) is the k-th
    largest error of class c and M_k the pixels of the k largest; J_c(M) is the Jaccard loss of getting just the pixels
    M wrong, T_c the true pixels of the class. With class weights the mean over classes is weighted.

    Range 0 (perfect) to 1. Absent class: left out of the mean, the authors' "present classes".
    Limits: for hard predictions exactly 1 minus the Jaccard index, as `jaccard`; between them it is the tightest convex
    function of the errors that is so.
    Where we differ: in nothing. The increments of J are written as the fractions they are, not as differences of
    neighbouring values, which float32 cannot tell apart in large batches.

    Use: where IoU is what counts, usually after or beside `cross_entropy`: alone it starts slowly. For each class that
    is present it sorts the pixels whose error is no smaller than the least of a true pixel, at worst all: a few times
    the time of `cross_entropy` early in training, about fifteen times where every class has a pixel without error.
    Family: overlap.
    """

    def refuses_soft_targets(self) -> str:
        return "it sorts mistakes about a set of true pixels, and with soft labels there is none"

    def formula(self, batch: Batch) -> Tensor:
        all_errors = errors(batch)
        # Two classes have the same errors, so they are sorted once.
        shared = _ascending(all_errors[:, 0].flatten()) if all_errors.shape[1] == 2 else None

        def cost(error: Tensor, classes: Tensor) -> Tensor:
            g = batch.target.unsqueeze(1) == classes.view(1, -1, 1, 1)
            of_classes = zip(*(maps.movedim(1, 0).flatten(1) for maps in (error, g)), strict=True)
            return torch.stack([(e * _increments(e.detach(), true, shared)).sum() for e, true in of_classes])

        return batch.mean_over_classes(class_by_class(all_errors, cost, among=batch.present), among=batch.present)


def _increments(errors: Tensor, true: Tensor, order: Tensor | None) -> Tensor:
    """`n`: by how much each pixel, got wrong after all that have a larger error, adds to the Jaccard loss of a class.

    Ignored pixels have an error of 0 and sort below all others, whose increments do not depend on what is below.
    """
    if order is None:
        # With an error below that of every true pixel, a pixel adds nothing: all true ones are got wrong before.
        counted = (errors >= errors.masked_fill(~true, 1).min()).nonzero().flatten()
        order = counted[_ascending(errors[counted])]
    true = true.take(order)
    right = true.cumsum(dim=0, dtype=torch.int32) - true.int()  # true pixels with a smaller error
    wrong = torch.arange(len(order), 0, -1, dtype=torch.int32, device=errors.device)  # pixels with at least this error
    union = (right + wrong).to(errors.dtype)
    increments = torch.where(true, 1 / union, right / (union * (union - 1)))
    return torch.zeros_like(errors).scatter_(0, order, increments)


def _ascending(errors: Tensor) -> Tensor:
    """The order from the smallest error to the largest."""
    bits = errors.detach().view({torch.float32: torch.int32, torch.float64: torch.int64}[errors.dtype])
    return bits.sort().indices  # floats from 0 on have the order of their bits; integers sort faster

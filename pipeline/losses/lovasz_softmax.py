"""Lovász-softmax: the Jaccard index of the mistakes, made continuous by sorting them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.losses.base import Batch, Loss
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

    Use: where IoU is what counts, usually after or beside `cross_entropy`: alone it starts slowly. It sorts all
    pixels once per class, so it is among the slower losses.
    Family: overlap.
    """

    def formula(self, batch: Batch) -> Tensor:
        errors = (batch.g - batch.p).abs().movedim(1, 0).flatten(1)
        with torch.no_grad():  # L is linear in the errors while their order stays
            increments = _increments(errors.detach(), batch.target.flatten().byte(), batch.present.tolist())
        return batch.mean_over_classes((errors * increments).sum(dim=1), among=batch.present)


def _increments(errors: Tensor, target: Tensor, present: list[float]) -> Tensor:
    """`c n`: by how much each pixel, got wrong after all that have a larger error, adds to the Jaccard loss of a class.

    Ignored pixels have an error of 0 and sort below all others, whose increments do not depend on what is below.
    """
    bits = errors.view({torch.float32: torch.int32, torch.float64: torch.int64}[errors.dtype])
    increments = torch.zeros_like(errors)
    wrong = torch.arange(len(target), 0, -1, dtype=torch.int32, device=errors.device)  # pixels with at least this error
    order = None
    for c in range(len(errors)):
        if not present[c]:
            continue
        if order is None or len(errors) > 2:  # two classes have the same errors
            order = bits[c].sort().indices  # floats from 0 on have the order of their bits, and integers sort faster
        true = (target == c).take(order)
        right = true.cumsum(dim=0, dtype=torch.int32) - true.int()  # true pixels with a smaller error
        union = (right + wrong).to(errors.dtype)
        increments[c].scatter_(0, order, torch.where(true, 1 / union, right / (union * (union - 1))))
    return increments

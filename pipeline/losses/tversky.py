"""Tversky: Dice with separate prices for false positives and false negatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base import TINY, Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


class Tversky(Loss):
    """Tversky loss (Salehi, Erdogmus, Gholipour, MLMI 2017, equation 3).

        L = mean_c  1 - TP_c / (TP_c + alpha FP_c + beta FN_c)
        TP = sum_i p g,  FP = sum_i p (1 - g),  FN = sum_i (1 - p) g

    over classes c and all valid pixels i of the batch, with softmax probability p and one-hot truth g.

    Range 0 (perfect) to 1. Absent class: left out of the mean, as in `dice`.
    Limits: alpha = beta = 0.5 is `dice` (plain); alpha = beta = 1 is the Jaccard loss.
    Where we differ: the paper is binary; we average over classes. In softmax every false positive of one class is
    a false negative of another, so alpha and beta shift the balance between small and large classes.

    Use: where a missed pixel of a small class is worse than a false alarm, as for lesions or cracks. The price is
    precision: what it finds tends to be larger than the truth.
    Family: overlap.
    """

    alpha: float = Field(default=0.3, ge=0.0, le=10.0)
    """Price of false positives."""
    beta: float = Field(default=0.7, gt=0.0, le=10.0)
    """Price of false negatives; above alpha it favours recall. Must not be 0: nothing found would then cost nothing."""

    def formula(self, batch: Batch) -> Tensor:
        tp, fp, fn = batch.overlap
        index = tp / (tp + self.alpha * fp + self.beta * fn).clamp(min=TINY)
        return batch.mean_over_classes(1 - index, among=batch.present)

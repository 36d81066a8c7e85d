"""Tversky: Dice with separate prices for false positives and false negatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base_math import TINY
from pipeline.losses.base_overlap import Counts, OverlapLoss

if TYPE_CHECKING:
    from torch import Tensor


class Tversky(OverlapLoss):
    """Tversky loss (Salehi, Erdogmus, Gholipour, MLMI 2017, equation 3).

        L = mean_c  1 - TP_c / (TP_c + alpha FP_c + beta FN_c)
        TP = sum_i p g,  FP = sum_i p (1 - g),  FN = sum_i (1 - p) g

    over classes c and all valid pixels i of the batch, with softmax probability p and one-hot truth g. With class
    weights the mean over classes is weighted.

    Range 0 (perfect) to 1. Absent class: by the option `absent`. With two classes, as in the paper, the loss is that of
    the foreground.
    Limits: alpha = beta = 0.5 is `dice` (plain); alpha = beta = 1 is the Jaccard loss.
    Where we differ: of more than two classes we take the mean. In softmax every false positive of one class is a false
    negative of another, so there alpha and beta shift the balance between small and large classes, and with classes of
    equal size they cancel; so they do in the mean over both of two classes, with `background`.

    Use: where a missed pixel of a small class is worse than a false alarm, as for lesions or cracks. The price is
    precision: what it finds tends to be larger than the truth.
    Family: overlap.
    """

    alpha: float = Field(default=0.3, ge=0.0, le=10.0)
    """Price of false positives."""
    beta: float = Field(default=0.7, gt=0.0, le=10.0)
    """Price of false negatives; above alpha it favours recall. Must not be 0: nothing found would then cost nothing."""

    def refuses_soft_targets(self) -> None:
        return None

    def of_each_class(self, n: Counts) -> Tensor:
        return 1 - n.tp / (n.tp + self.alpha * n.fp + self.beta * n.fn).clamp(min=TINY)

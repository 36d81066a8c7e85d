"""F-beta: the weighted harmonic mean of precision and recall."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base_math import TINY
from pipeline.losses.base_overlap import Counts, OverlapLoss

if TYPE_CHECKING:
    from torch import Tensor


class FBeta(OverlapLoss):
    """Soft F-beta loss (Hashemi et al., "Asymmetric Loss Functions and Deep Densely-Connected Networks for
    Highly-Imbalanced Medical Image Segmentation", IEEE Access 2019, the asymmetric similarity loss).

        L = mean_c  1 - (1 + beta^2) TP_c / ((1 + beta^2) TP_c + beta^2 FN_c + FP_c)
        TP = sum_i p g,  FP = sum_i p (1 - g),  FN = sum_i (1 - p) g

    over classes c and all valid pixels i of the batch, with softmax probability p and one-hot truth g. With class
    weights the mean over classes is weighted.

    Range 0 (perfect) to 1. Absent class: by the option `absent`. With two classes, as in the paper, the loss is that of
    the foreground.
    Limits: beta = 1 is `dice` (plain). It is `tversky` with alpha = 1 / (1 + beta^2) and beta = beta^2 / (1 + beta^2),
    which sum to 1: one option says how precision and recall are traded, as in the score of that name.
    Where we differ: of more than two classes we take the mean. There a false positive of one class is a false negative
    of another, and the trade is between small and large classes, as in `tversky`.

    Use: as `tversky`, where results are judged by an F-beta score.
    Family: overlap.
    """

    beta: float = Field(default=2.0, gt=0.0, le=10.0)
    """How many times as important recall of a class is as its precision. Must not be 0: nothing found would then be
    undefined."""

    def refuses_soft_targets(self) -> None:
        return None

    def of_each_class(self, n: Counts) -> Tensor:
        recall_weight = self.beta**2
        found = (1 + recall_weight) * n.tp
        return 1 - found / (found + recall_weight * n.fn + n.fp).clamp(min=TINY)

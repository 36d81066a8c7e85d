"""F-beta: the weighted harmonic mean of precision and recall."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base import TINY, Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


class FBeta(Loss):
    """Soft F-beta loss (Hashemi et al., "Asymmetric Loss Functions and Deep Densely-Connected Networks for
    Highly-Imbalanced Medical Image Segmentation", IEEE Access 2019, the asymmetric similarity loss).

        L = mean_c  1 - (1 + beta^2) TP_c / ((1 + beta^2) TP_c + beta^2 FN_c + FP_c)
        TP = sum_i p g,  FP = sum_i p (1 - g),  FN = sum_i (1 - p) g

    over classes c and all valid pixels i of the batch, with softmax probability p and one-hot truth g. With class
    weights the mean over classes is weighted.

    Range 0 (perfect) to 1. Absent class: left out of the mean, as in `dice`.
    Limits: beta = 1 is `dice` (plain). It is `tversky` with alpha = 1 / (1 + beta^2) and beta = beta^2 / (1 + beta^2),
    which sum to 1: one option says how precision and recall are traded, as in the score of that name.
    Where we differ: the paper is binary; we average over classes.

    Use: as `tversky`, where results are judged by an F-beta score.
    Family: overlap.
    """

    beta: float = Field(default=2.0, gt=0.0, le=10.0)
    """How many times as important recall is as precision. Must not be 0: nothing found would then be undefined."""

    def formula(self, batch: Batch) -> Tensor:
        tp, fp, fn = batch.overlap
        recall_weight = self.beta**2
        found = (1 + recall_weight) * tp
        score = found / (found + recall_weight * fn + fp).clamp(min=TINY)
        return batch.mean_over_classes(1 - score, among=batch.present)

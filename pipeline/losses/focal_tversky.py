"""Focal Tversky: Tversky under a root, which is the steeper the better a class is found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base_math import fraction, root
from pipeline.losses.base_overlap import Counts, OverlapLoss

if TYPE_CHECKING:
    from torch import Tensor


class FocalTversky(OverlapLoss):
    """Focal Tversky loss (Abraham, Khan, "A Novel Focal Tversky loss function with improved Attention U-Net for lesion
    segmentation", ISBI 2019, FTL in section 2).

        L = mean_c  (1 - TI_c)^(1 / gamma),  TI_c = TP_c / (TP_c + alpha FP_c + beta FN_c)
        TP = sum_i p g,  FP = sum_i p (1 - g),  FN = sum_i (1 - p) g

    over classes c and all valid pixels i of the batch, with softmax probability p and one-hot truth g. The power is
    taken of each class, before the mean. With class weights the mean over classes is weighted.

    Range 0 (perfect) to 1. Absent class: by the option `absent`. With two classes, as in the authors' code, the loss is
    that of the foreground.
    Limits: gamma = 1 is `tversky`. At TI = 1 the slope of the power is infinite; there it is set to 0.
    Where we differ: in the paper alpha prices false negatives (0.7) and beta false positives (0.3); here alpha prices
    false positives and beta false negatives, as in `tversky` and the paper of that. The paper sums over classes; we
    average. There alpha and beta shift the balance between small and large classes, as in `tversky`.

    Use: as `tversky`, for small regions. Its exponent is below 1, so its slope grows as a class gets better: it goes on
    improving what is nearly right, and does not favour the classes that are found badly.
    Family: overlap.
    """

    alpha: float = Field(default=0.3, ge=0.0, le=10.0)
    """Price of false positives."""
    beta: float = Field(default=0.7, gt=0.0, le=10.0)
    """Price of false negatives; above alpha it favours recall. Must not be 0: nothing found would then cost nothing."""
    gamma: float = Field(default=4 / 3, ge=1.0, le=3.0)
    """The larger, the more the last mistakes of a class cost compared with the first; the range is the paper's."""

    def refuses_soft_targets(self) -> None:
        return None

    def of_each_class(self, n: Counts) -> Tensor:
        mistakes = self.alpha * n.fp + self.beta * n.fn
        return root(fraction(mistakes, n.tp), 1 / self.gamma)  # 1 - TI, without the cancellation where TI is near 1

"""MCC: Matthews correlation of prediction and truth, which counts true negatives too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.losses.base_math import TINY
from pipeline.losses.base_overlap import Counts, OverlapLoss

if TYPE_CHECKING:
    from torch import Tensor


class MCC(OverlapLoss):
    """Matthews correlation coefficient loss (Abhishek, Hamarneh, "Matthews Correlation Coefficient Loss for Deep
    Convolutional Networks: Application to Skin Lesion Segmentation", ISBI 2021, equations 3 to 5).

        L = mean_c  1 - (TP TN - FP FN) / sqrt((TP + FP) (TP + FN) (TN + FP) (TN + FN))
        TP = sum_i p g,  FP = sum_i p (1 - g),  FN = sum_i (1 - p) g,  TN = sum_i (1 - p) (1 - g)

    over classes c, each against the rest, and all valid pixels i of the batch, with softmax probability p and one-hot
    truth g. With class weights the mean over classes is weighted.

    Range 0 (perfect) to 1 (no relation) to 2 (always wrong). Absent class: by the option `absent`. A class that fills
    the batch is left out, since what does not vary has no correlation: where no other is charged, a batch of one class
    costs 0 and teaches nothing.
    Limits: both of two classes have the same correlation, so the loss is the binary one, with and without `background`.
    A prediction that is the same everywhere has a numerator of 0 and costs 1.
    Where we differ: the paper is binary; of more classes we take each against the rest. No constant is added to the
    counts.

    Use: in place of `dice` where the background matters as well: Dice does not reward it for being right. Unfit for
    batches that often hold one class only.
    Family: overlap.
    """

    def refuses_soft_targets(self) -> str:
        return "the correlation in its counts is not 1 where the prediction is the soft label itself"

    def of_each_class(self, n: Counts) -> Tensor:
        pixels = (n.pixels + n.others).clamp(min=1)
        tp, fp, fn, tn = (count / pixels for count in n[:4])  # shares, whatever the size
        spread = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
        correlation = (tp * tn - fp * fn) / spread.clamp(min=TINY**2).sqrt()
        return 1 - correlation.clamp(max=1)  # rounding may go beyond

    def counted(self, n: Counts) -> Tensor:
        return super().counted(n) * (n.others > 0)

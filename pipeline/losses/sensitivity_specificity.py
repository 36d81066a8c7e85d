"""Sensitivity-specificity: squared errors of true and of other pixels, each over their own number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base_math import TINY
from pipeline.losses.base_overlap import Counts, OverlapLoss

if TYPE_CHECKING:
    from torch import Tensor


class SensitivitySpecificity(OverlapLoss):
    """Sensitivity-specificity loss (Brosch et al., "Deep Convolutional Encoder Networks for Multiple Sclerosis Lesion
    Segmentation", MICCAI 2015, the objective function of section 2).

        L = mean_c  w sum_i (g - p)^2 g / sum_i g  +  (1 - w) sum_i (g - p)^2 (1 - g) / sum_i (1 - g)

    over classes c and all valid pixels i of the batch, with softmax probability p, one-hot truth g and w the option
    `weight`. With class weights the mean over classes is weighted.

    Range 0 (perfect) to 1, with equal class weights. Absent class: by the option `absent`; charged, it costs its second
    term. A class that fills the batch has no other pixels, and its second term is 0. With two classes, as in the paper,
    the loss is that of the foreground, and class weights multiply its second term by w_0 / w_1.
    Limits: for hard predictions, w (1 - sensitivity) + (1 - w) (1 - specificity).
    Where we differ: the paper sums over one volume; we sum over what `over` says, and average over classes where there
    are more than two. In the mean over both of two classes, with `background`, one mirrors the other and `weight`
    cancels.

    Use: for small lesions, where the pixels around outnumber them. As true pixels and the others each have their own
    mean, `weight` and not their numbers decides what a mistake costs: at its default, half of the true pixels missed
    cost as much as false alarms in 2.6 % of the others.
    Family: overlap.
    """

    weight: float = Field(default=0.05, gt=0.0, lt=1.0)
    """Weight of sensitivity, the paper's r. The larger, the more is found, with more false alarms; from 0.01 to 0.1 the
    paper sees little difference."""

    def refuses_soft_targets(self) -> str:
        return "its means are over pixels that are of a class and over those that are not"

    def squared(self) -> bool:
        return True

    def of_each_class(self, n: Counts) -> Tensor:
        of_true, of_others = n.fn / n.pixels.clamp(min=TINY), n.fp / n.others.clamp(min=1)
        return self.weight * of_true + (1 - self.weight) * of_others

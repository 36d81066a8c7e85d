"""Sensitivity-specificity: squared errors of true and of other pixels, each over their own number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


class SensitivitySpecificity(Loss):
    """Sensitivity-specificity loss (Brosch et al., "Deep Convolutional Encoder Networks for Multiple Sclerosis Lesion
    Segmentation", MICCAI 2015, the objective function of section 2).

        L = mean_c  w sum_i (g - p)^2 g / sum_i g  +  (1 - w) sum_i (g - p)^2 (1 - g) / sum_i (1 - g)

    over classes c and all valid pixels i of the batch, with softmax probability p, one-hot truth g and w the option
    `weight`. With class weights the mean over classes is weighted.

    Range 0 (perfect) to 1. Absent class: left out of the mean, as in `dice`. A class that fills the batch has no other
    pixels, and its second term is 0.
    Limits: for hard predictions, w (1 - sensitivity) + (1 - w) (1 - specificity).
    Where we differ: the paper is binary and sums over one volume; we average over classes and sum over the batch.

    Use: for small lesions, where the pixels around outnumber them. As true pixels and the others each have their own
    mean, `weight` and not their numbers decides what a mistake costs.
    Family: overlap.
    """

    weight: float = Field(default=0.05, gt=0.0, lt=1.0)
    """Weight of sensitivity, the paper's r. The larger, the more is found, with more false alarms; from 0.01 to 0.1 the
    paper sees little difference."""

    def formula(self, batch: Batch) -> Tensor:
        squared = (batch.g - batch.p) ** 2
        missed = (squared * batch.g).sum(dim=(0, 2, 3))
        false_alarms = squared.sum(dim=(0, 2, 3)) - missed
        others = batch.class_pixels.sum() - batch.class_pixels
        of_true, of_others = missed / batch.class_pixels.clamp(min=1), false_alarms / others.clamp(min=1)
        return batch.mean_over_classes(self.weight * of_true + (1 - self.weight) * of_others, among=batch.present)

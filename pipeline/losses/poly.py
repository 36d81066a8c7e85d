"""Poly: cross-entropy with another price for the first order of an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


class Poly(Loss):
    """Poly-1 loss (Leng et al., "PolyLoss: A Polynomial Expansion Perspective of Classification Loss Functions", ICLR
    2022, Poly-1 form of cross-entropy).

        L = sum_i w_t(i) * (-log p_i,t(i) + epsilon (1 - p_i,t(i)))  /  sum_i w_t(i)

    over valid pixels i with true class t(i), softmax probability p and class weight w. Since -log p is the series
    (1 - p) + (1 - p)^2 / 2 + ..., this changes the coefficient of its first term from 1 to 1 + epsilon.

    Absent class: adds no pixel and so nothing. Limits: epsilon = 0 is `cross_entropy`; the second term alone is `l1`,
    apart from a factor.

    Use: as a small change to cross-entropy, where that leaves too much or too little certainty. Which sign helps
    differs between data sets: the paper takes 2 for ImageNet and -1 for objects in COCO.
    Family: per pixel.
    """

    epsilon: float = Field(default=1.0, ge=-1.0, le=10.0)
    """Above 0 it pushes every pixel towards certainty, also those that are nearly right. Below 0 it looks away from
    these, as `focal` does; at -1, the lowest, the first order is gone and the slope in p vanishes as p nears 1."""

    def refuses_soft_targets(self) -> str:
        return "its series is in the probability of the one true class"

    def formula(self, batch: Batch) -> Tensor:
        return batch.mean_over_pixels(batch.cross_entropy + self.epsilon * batch.wrong)

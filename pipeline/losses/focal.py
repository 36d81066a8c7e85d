"""Focal: cross-entropy that looks away from what is already right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base import TINY, Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


class Focal(Loss):
    """Focal loss in its softmax form (Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equation 4).

        L = sum_i w_t(i) * (1 - p_i,t(i))^gamma * -log p_i,t(i)  /  sum_i w_t(i)

    over valid pixels i with true class t(i), softmax probability p and class weight w; w takes the place of alpha.

    Absent class: adds no pixel and so nothing. Limits: gamma = 0 is `cross_entropy`.
    Where we differ: the paper sums one sigmoid per class and divides by the number of anchors assigned to an
    object; we take the softmax over exclusive classes and the mean over valid pixels, so that gamma = 0 is exactly
    cross-entropy.
    """

    gamma: float = Field(default=2.0, ge=0.0, le=10.0)
    """How fast easy pixels lose their say: at p = 0.9 and gamma = 2 a pixel counts a hundredth of its cross-entropy."""

    def formula(self, batch: Batch) -> Tensor:
        wrong = -(-batch.cross_entropy).expm1()  # 1 - p, without the cancellation where p is near 1
        factor = wrong.clamp(min=TINY) ** self.gamma  # the slope of 0^gamma is infinite for gamma < 1
        return batch.mean_over_pixels(factor * batch.cross_entropy)

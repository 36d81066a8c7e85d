"""Cross-entropy: the negative log-likelihood of the true class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base import Batch, Loss
from pipeline.losses.base_math import ratio
from pipeline.plumbing.labels import IGNORE
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class CrossEntropy(Loss):
    """Cross-entropy, the control of every comparison.

        L = sum_i w_t(i) * -log p_i,t(i)  /  sum_i w_t(i)

    over valid pixels i with true class t(i), softmax probability p and class weight w (1 without weights).
    Computed by `torch.nn.functional.cross_entropy` from logits, so it neither overflows nor takes the log of 0.

    Absent class: adds no pixel and so nothing. Empty mask: background pixels count as any class.
    Limits: `focal` with gamma = 0; 0 for a certain, correct prediction (without smoothing).
    Where we differ: torch gives NaN for a batch without a valid pixel, we give 0; and with smoothing torch weighs each
    term of the target by its own class, we weigh a pixel by its true class.

    Use: first, on any data, as the yardstick for the rest. Its mean over pixels lets frequent classes lead: a class
    with few pixels has little say without class weights, sampling or an overlap term beside it.
    Family: per pixel.
    """

    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of the target spread evenly over all classes (Szegedy et al., "Rethinking the Inception Architecture",
    CVPR 2016, section 7). Above 0 it punishes certainty."""

    def refuses_soft_targets(self) -> None:
        return None

    def formula(self, batch: Batch) -> Tensor:
        if self.label_smoothing or batch.soft:
            return batch.mean_over_pixels(self._smoothed(batch))
        weights = batch.class_weights
        total = torch.nn.functional.cross_entropy(
            batch.logits, batch.target, weights, ignore_index=IGNORE, reduction="sum"
        )
        total_weight = batch.valid.sum() if weights is None else (weights * batch.class_pixels).sum()
        return ratio(total, total_weight.to(total.dtype))

    def _smoothed(self, batch: Batch) -> Tensor:
        """`b h w`: cross-entropy of each pixel with the smoothed target."""
        over_all_classes = -batch.logits.log_softmax(dim=1).mean(dim=1)
        return (1 - self.label_smoothing) * batch.cross_entropy + self.label_smoothing * over_all_classes

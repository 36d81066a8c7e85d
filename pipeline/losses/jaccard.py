"""Jaccard: intersection over union of prediction and truth, also of soft labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base import TINY, Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


class Jaccard(Loss):
    """Soft Jaccard (IoU) loss that is a metric on probabilities (Wang, Ning, Blaschko, "Jaccard Metric Losses:
    Optimizing the Jaccard Index with Soft Labels", NeurIPS 2023, the first of their two forms).

        L = mean_c  1 - (|p_c| + |g_c| - |p_c - g_c|) / (|p_c| + |g_c| + |p_c - g_c|),  |x| = sum_i |x_i|

    over classes c and all valid pixels i of the batch, with softmax probability p and truth g. The fraction is
    intersection over union: p + g - |p - g| is twice the minimum of p and g, p + g + |p - g| twice the maximum. With
    the product p g in place of the minimum, p = g would not be the best answer to a soft label g. With class weights
    the mean over classes is weighted.

    Range 0 (prediction equal to the labels) to 1. Absent class: one without a true pixel is left out of the mean, as in
    `dice`, also where smoothing gives it a share of every label.
    Limits: without smoothing p g is the minimum, and this is `tversky` with alpha = beta = 1.
    Where we differ: the paper's soft labels are those of a teacher, or smoothed near boundaries only, and a threshold
    says which classes count as present.

    Use: where IoU is what counts, usually in a sum with `cross_entropy`. Compared with `dice` it is flatter for a
    class hardly found and steeper for one nearly right.
    Family: overlap.
    """

    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of each label spread evenly over all classes. Above 0 the least loss is at probabilities short of
    certainty."""

    def formula(self, batch: Batch) -> Tensor:
        sizes, distance = self._smoothed(batch) if self.label_smoothing else _exact(batch)
        return batch.mean_over_classes(2 * distance / (sizes + distance).clamp(min=TINY), among=batch.present)

    def _smoothed(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """`c` each: |p| + |g| and |p - g| for smoothed labels."""
        p, s = batch.p, self.label_smoothing
        g = (1 - s) * batch.g + s / p.shape[1] * batch.valid.unsqueeze(1)
        return (p + g).sum(dim=(0, 2, 3)), (p - g).abs().sum(dim=(0, 2, 3))


def _exact(batch: Batch) -> tuple[Tensor, Tensor]:
    """The same for one-hot truth, where |p - g| is what is wrong."""
    tp, fp, fn = batch.overlap
    return 2 * tp + fp + fn, fp + fn

"""Jaccard: intersection over union of prediction and truth, also of soft labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base import Batch, Overlap
from pipeline.losses.base_math import fraction
from pipeline.losses.base_overlap import Counts, OverlapLoss

if TYPE_CHECKING:
    from torch import Tensor


class Jaccard(OverlapLoss):
    """Soft Jaccard (IoU) loss that is a metric on probabilities (Wang, Ning, Blaschko, "Jaccard Metric Losses:
    Optimizing the Jaccard Index with Soft Labels", NeurIPS 2023, the first of their two forms).

        L = mean_c  1 - (|p_c| + |g_c| - |p_c - g_c|) / (|p_c| + |g_c| + |p_c - g_c|),  |x| = sum_i |x_i|

    over classes c and all valid pixels i of the batch, with softmax probability p and truth g. The fraction is
    intersection over union: p + g - |p - g| is twice the minimum of p and g, p + g + |p - g| twice the maximum. With
    the product p g in place of the minimum, p = g would not be the best answer to a soft label g. With class weights
    the mean over classes is weighted.

    Range 0 (prediction equal to the labels) to 1. Absent class: by the option `absent`, as one without a true pixel
    also where smoothing gives it a share of every label. With two classes the loss is that of the foreground, as the
    authors' of one channel is.
    Limits: without smoothing p g is the minimum, and this is `tversky` with alpha = beta = 1.
    Where we differ: in the paper a threshold says which classes of soft labels count as present. Here those do that
    are the likeliest of a pixel, whatever smoothing adds.

    Use: where IoU is what counts, usually in a sum with `cross_entropy`. Compared with `dice` it is flatter for a
    class hardly found and steeper for one nearly right.
    Family: overlap.
    """

    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Share of each label spread evenly over all classes. Above 0 the least loss is at probabilities short of
    certainty."""

    def refuses_soft_targets(self) -> None:
        return None

    def of_each_class(self, n: Counts) -> Tensor:
        return fraction(n.fp + n.fn, n.tp)  # |p - g| is FP + FN, and |p| + |g| is 2 TP + FP + FN

    def overlap(self, batch: Batch) -> Overlap:
        """Of smoothed labels, if they are to be."""
        if not self.label_smoothing:
            return super().overlap(batch)
        from pipeline.losses.base_counts import overlap_with_labels  # only now, since it needs torch to be imported

        even = self.label_smoothing / batch.logits.shape[1] * batch.valid.unsqueeze(1)
        g = (1 - self.label_smoothing) * batch.g + even
        return overlap_with_labels(batch.p, g, per_image=self.over != "batch")

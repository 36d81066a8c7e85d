"""Balanced cross-entropy: every class of a batch has the same say, however few its pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.losses.base import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


class BalancedCrossEntropy(Loss):
    """Cross-entropy balanced by the batch itself (Xie, Tu, "Holistically-Nested Edge Detection", ICCV 2015, the
    class-balanced cross-entropy).

        L = mean_c  (1/n_c) sum_i:t(i)=c -log p_i,c

    over the classes c that have true pixels in the batch, n_c of them, with true class t(i) and softmax probability p.
    With class weights the mean over classes is weighted.

    Absent class: left out of the mean, so that the scale does not depend on how many classes a batch holds.
    Limits: `cross_entropy` if every class has as many pixels; always `cross_entropy` with the class weights 1 / n_c.
    Where we differ: HED is binary and takes b sum_+ -log p + (1 - b) sum_- -log p over an image, b = n_- / n being the
    share of its negative pixels. With b = (n_+ n_- / n) / n_+ and 1 - b = (n_+ n_- / n) / n_- that is 2 n_+ n_- / n
    times the loss above. We leave this factor out: it differs from batch to batch, and is 0 where one is absent.

    Use: where a rare class must be found at almost any price. The weights follow each batch, so a class with three
    pixels there weighs as much as the background: it is noisier than class weights of the whole train split, and tends
    to find too much.
    Family: imbalance.
    """

    def refuses_soft_targets(self) -> None:
        return None

    def formula(self, batch: Batch) -> Tensor:
        balanced = batch.weighted_by(batch.present / batch.class_pixels.clamp(min=1))
        return balanced.mean_over_pixels(batch.cross_entropy)

"""Generalized Dice: one Dice over all classes, each weighted by how rare it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.losses.base import TINY, Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


class GeneralizedDice(Loss):
    """Generalized Dice loss (Sudre et al., "Generalised Dice overlap as a deep learning loss function for highly
    unbalanced segmentations", DLMIA 2017, GDL in section 2.1).

        L = 1 - 2 sum_c r_c sum_i p_i,c g_i,c  /  sum_c r_c sum_i (p_i,c + g_i,c)
        r_c = v_c / (sum_i g_i,c)^2

    over classes c and all valid pixels i of the batch, with softmax probability p, one-hot truth g and class weight v
    (1 without weights), which multiplies the weight r that the class has for being rare in the batch.

    Range 0 (perfect) to 1. Absent class: left out of both sums; 1 / 0^2 would give it all the weight, so that
    nothing but its false positives counted.
    Limits: where one class is present it is `dice` (plain); where all classes have equally many pixels r cancels, and
    it is the mean over pixels of 1 - p of the true class.
    Where we differ: the paper has two classes and one volume; we take all classes, over the batch.

    Use: for classes of very unequal size. The rarest class in the batch outweighs the others by far, so the
    loss is noisy where objects of few pixels come and go; `dice` gives each class the same say.
    Family: overlap.
    """

    def formula(self, batch: Batch) -> Tensor:
        share = batch.class_pixels / batch.class_pixels.sum().clamp(min=1)  # only ratios of weights matter
        rarity = batch.present / share.clamp(min=TINY) ** 2
        if batch.class_weights is not None:
            rarity = rarity * batch.class_weights
        tp, fp, fn = batch.overlap
        mistakes, sizes = fp + fn, 2 * tp + fp + fn  # 1 - 2 TP / sizes is mistakes / sizes, and 0 without any pixel
        return (rarity * mistakes).sum() / (rarity * sizes).sum().clamp(min=TINY)

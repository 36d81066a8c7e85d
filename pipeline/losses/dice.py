"""Dice: overlap of prediction and truth relative to their sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pipeline.losses.base import TINY, Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


class Dice(Loss):
    """Soft Dice loss.

        L = mean_c  1 - 2 sum_i p_i,c g_i,c / (sum_i p_i,c^k + sum_i g_i,c^k)

    over classes c and all valid pixels i of the batch, with softmax probability p and one-hot truth g; k = 1 or 2,
    the option `denominator`. With class weights the mean over classes is weighted.

    Range 0 (perfect) to 1. Absent class: left out of the mean (see `Batch.present`); every other class
    has a true pixel, so no smoothing constant is needed. Background is a class as any other.
    Limits: `tversky` with alpha = beta = 0.5 is the plain form. For hard predictions both forms are 1 - Dice.
    Where we differ: V-Net (equation of section 3) is binary and sums over one volume; we sum over the batch and average
    over classes.
    """

    denominator: Literal["plain", "squared"] = "plain"
    """`plain` sums probabilities (Drozdzal et al., "The Importance of Skip Connections", DLMIA 2016, equation 2);
    `squared` sums their squares (Milletari, Navab, Ahmadi, "V-Net", 3DV 2016, section 3), which also pulls each pixel
    towards certainty."""

    def formula(self, batch: Batch) -> Tensor:
        k = {"plain": 1, "squared": 2}[self.denominator]
        intersection = batch.overlap.tp
        sizes = (batch.p**k).sum(dim=(0, 2, 3)) + batch.class_pixels  # g is 0 or 1, so g^k = g
        return batch.mean_over_classes(1 - 2 * intersection / sizes.clamp(min=TINY), among=batch.present)

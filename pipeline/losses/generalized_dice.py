"""Generalized Dice: one Dice over all classes, each weighted by how rare it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pipeline.losses.base import Batch
from pipeline.losses.base_math import TINY, fraction, ratio
from pipeline.losses.base_overlap import OverlapLoss

if TYPE_CHECKING:
    from torch import Tensor


class GeneralizedDice(OverlapLoss):
    """Generalized Dice loss (Sudre et al., "Generalised Dice overlap as a deep learning loss function for highly
    unbalanced segmentations", DLMIA 2017, GDL in section 2.1).

        L = 1 - 2 sum_c r_c sum_i p_i,c g_i,c  /  sum_c r_c sum_i (p_i,c + g_i,c)
        r_c = v_c / (sum_i g_i,c)^2

    over classes c and all valid pixels i of the batch, with softmax probability p, one-hot truth g and class weight v
    (1 without weights), which multiplies the weight r that the class has for being rare in the batch.

    Range 0 (perfect) to 1. Absent class: by the option `absent`. 1 / 0^2 would give it all the weight, so that nothing
    but its false positives counted; charged, it has the weight of a class of a hundredth of the pixels.
    Limits: where one class is in the sums it is `dice` (plain); where all classes have equally many pixels r cancels,
    and it is the mean over pixels of 1 - p of the true class.
    Where we differ: the paper has two classes and one volume; we take all classes, over what `over` says.

    Use: for classes of very unequal size. The rarest class in the batch outweighs the others by far, so the
    loss is noisy where objects of few pixels come and go; `dice` gives each class the same say.
    Family: overlap.
    """

    background: bool = True
    """Whether class 0 has a share in both sums. The paper's sums are over background and lesion."""
    over: Literal["batch", "image"] = "batch"
    """`batch` sums over all images; `image` is the mean of the losses of single images. There is no loss of a single
    class, to be averaged over images."""

    def refuses_soft_targets(self) -> None:
        return None

    def formula(self, batch: Batch) -> Tensor:
        n = self.counts(batch)
        counted = self.without_background(self.counted(n))
        all_pixels = (n.pixels + n.others).amin(dim=-1, keepdim=True)
        share = n.pixels / all_pixels.clamp(min=1)  # only ratios of weights matter
        rarity = counted / share.clamp(min=TINY) ** 2
        if batch.class_weights is not None:
            rarity = rarity * batch.class_weights
        rarity = ratio(rarity, rarity.amax(dim=-1, keepdim=True))
        mistakes, found = (rarity * (n.fp + n.fn)).sum(dim=-1), (rarity * 2 * n.tp).sum(dim=-1)
        return self.mean_over_images(fraction(mistakes, found), counted)

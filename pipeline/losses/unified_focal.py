"""Unified focal: focal and focal Tversky under three shared options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from pipeline.losses.base import Batch, Loss
from pipeline.losses.base_math import fraction, root
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class UnifiedFocal(Loss):
    """Unified focal loss (Yeung et al., "Unified Focal loss: Generalising Dice and cross entropy-based losses to handle
    class imbalanced medical image segmentation", Computerized Medical Imaging and Graphics 2022, both variants).

        L = weight F + (1 - weight) T
        F = sum_i w_t(i) d_t(i) (1 - p_i,t(i))^(gamma s_t(i)) * -log p_i,t(i)  /  sum_i w_t(i)
        T = mean_c  (1 - TI_c)^(1 - gamma e_c),  TI_c = TP_c / (TP_c + delta FN_c + (1 - delta) FP_c)

                    asymmetric          symmetric
        class is    rare      common    rare      common
        d           delta     1-delta   delta     1-delta     price of a pixel
        s           0         1         1         1           whether easy pixels are suppressed
        e           1         0         1         1           whether the class is enhanced

    over valid pixels i with true class t(i), classes c, softmax probability p and class weight w (1 without weights),
    which also weighs the mean over classes; TP, FN and FP as in `tversky`. Rare are the classes with fewer pixels in
    the train split than an equal share, 1 / c; of two classes this is the smaller, the paper's foreground. Where all
    have an equal share, rare are all but class 0, the background by custom.

    Absent class: adds no pixel to F and is left out of the mean T. Range: 0 (perfect) upwards.
    Limits: gamma = 0 and delta = 0.5 is weight / 2 `cross_entropy` + (1 - weight) `dice`. weight = 0, gamma = 0 is
    `tversky` with alpha = 1 - delta and beta = delta; in symmetric form with gamma above 0, `focal_tversky` with the
    reciprocal of 1 - gamma as its gamma. weight = 1, delta = 0.5 in symmetric form is half `focal`.
    Where we differ: the paper has one rare class; here every class is rare or common, and of two classes the equations
    are the paper's, with T averaged over classes, not summed, as in the authors' code. As in that code gamma = 0 is
    unfocused in both variants; the paper's symmetric one exchanges gamma and 1 - gamma, which is the same at 0.5.

    Use: for strong imbalance, with three options instead of the six of its parts. Asymmetric it keeps the full
    cross-entropy of rare classes, which plain `focal` would suppress with the background.
    Family: imbalance.
    """

    form: Literal["asymmetric", "symmetric"] = "asymmetric"
    """Whether suppression acts on common classes only and enhancement on rare ones only, or both on all."""
    weight: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of the focal loss, the paper's lambda; the rest is focal Tversky."""
    delta: float = Field(default=0.6, gt=0.0, lt=1.0)
    """Above 0.5, pixels of rare classes and false negatives cost more than other pixels and false positives."""
    gamma: float = Field(default=0.5, ge=0.0, lt=1.0)
    """How much easy pixels are suppressed and nearly perfect classes are enhanced; the paper tries 0.1 to 0.9."""

    def needs_statistics(self) -> frozenset[str]:
        return frozenset({"train_pixels"})

    def refuses_soft_targets(self) -> str:
        return "its factor (1 - p)^gamma is of the one true class"

    def formula(self, batch: Batch) -> Tensor:
        rare = _rare(batch.prior).to(batch.logits.dtype)
        common, asymmetric = 1 - rare, self.form == "asymmetric"
        suppressed, enhanced = 1 - asymmetric * rare, 1 - asymmetric * common
        focal = batch.focal(self.gamma).where(suppressed[batch.true_class] == 1, batch.cross_entropy)
        price = self.delta * rare + (1 - self.delta) * common
        focal = batch.mean_over_pixels(price[batch.true_class] * focal)

        tp, fp, fn = batch.overlap
        mistakes = self.delta * fn + (1 - self.delta) * fp
        short_of_1 = fraction(mistakes, tp)  # 1 - TI
        focal_tversky = batch.mean_over_classes(root(short_of_1, 1 - self.gamma * enhanced), among=batch.present)
        return self.weight * focal + (1 - self.weight) * focal_tversky


def _rare(prior: Tensor) -> Tensor:
    """`c` bool: the classes below an equal share, or all but the first if none is."""
    below = prior < 1 / len(prior)
    return below if below.any() else torch.arange(len(prior), device=prior.device) > 0

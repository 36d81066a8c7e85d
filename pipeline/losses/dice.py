"""Dice: overlap of prediction and truth relative to their sizes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pipeline.losses.base_math import TINY
from pipeline.losses.base_overlap import Counts, OverlapLoss
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

SMALLEST = 1e-30  # least Dice in a logarithm; its slope, 1e30, leaves room in float32 for a loss that is scaled up


class Dice(OverlapLoss):
    """Soft Dice loss.

        L = mean_c f(D_c),  D_c = 2 sum_i p_i,c g_i,c / (sum_i p_i,c^k + sum_i g_i,c^k)

    over classes c and all valid pixels i of the batch, with softmax probability p and one-hot truth g; k = 1 or 2,
    the option `denominator`, and f(D) = 1 - D, -log D or log cosh(1 - D), the option `form`. f is taken of each class,
    before the mean. With class weights the mean over classes is weighted.

    Range 0 (perfect) to 1, to 69 with `log` and to 0.434 with `log_cosh`.
    Absent class: by the option `absent`. Every other class has a true pixel, so it needs no smoothing constant. With
    two classes, as in V-Net, the loss is that of the foreground.
    Limits: `tversky` with alpha = beta = 0.5 is the plain form. For hard predictions both denominators give 1 - Dice.
    Near a perfect prediction `log` is the linear form, and `log_cosh` half its square.
    Where we differ: V-Net (equation of section 3) sums over one volume; we sum over what `over` says, and average over
    classes where there are more than two.

    Use: for small or rare classes, and where Dice or IoU is what counts, since each class has the same say however few
    its pixels. Where all is wrong its gradient is small, save that of `log`, and its probabilities tend to be too
    certain; the sum with `cross_entropy` is the usual remedy.
    Family: overlap.
    """

    denominator: Literal["plain", "squared"] = "plain"
    """`plain` sums probabilities (Drozdzal et al., "The Importance of Skip Connections", DLMIA 2016, equation 2);
    `squared` sums their squares (Milletari, Navab, Ahmadi, "V-Net", 3DV 2016, section 3), which also pulls each pixel
    towards certainty."""
    form: Literal["linear", "log", "log_cosh"] = "linear"
    """`log` keeps pulling at a class that is hardly found, where the linear form is flat (Wong et al., "3D Segmentation
    with Exponential Logarithmic Loss", MICCAI 2018, the Dice term with exponent 1); a class found nowhere costs 69.
    `log_cosh` slows down as a class is found, its slope being tanh(1 - D) (Jadon, "A survey of loss functions for
    semantic segmentation", CIBCB 2020, log-cosh Dice)."""

    def refuses_soft_targets(self) -> None:
        return None

    def squared(self) -> bool:
        return self.denominator == "squared"

    def of_each_class(self, n: Counts) -> Tensor:
        sizes = n.tp + n.fp + n.tp + n.fn  # also of squares: sum_i p^2 + g^2 = 2 sum_i p g + sum_i (p - g)^2
        dice = 2 * n.tp / sizes.clamp(min=TINY)
        if self.form == "log":
            return -dice.clamp(min=SMALLEST).log()
        return 1 - dice if self.form == "linear" else torch.cosh(1 - dice).log()

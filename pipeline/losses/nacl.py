"""NACL: cross-entropy that holds logits close to how the classes are mixed around a pixel, for calibration."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from pipeline.losses.base import Batch, Loss
from pipeline.losses.base_math import TINY
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class NACL(Loss):
    """Neighbor-aware calibration loss (Murugesan et al., "Trust your neighbours: Penalty-based constraints for model
    calibration", MICCAI 2023, the penalty by L1).

        L = sum_i w_t(i) * (-log p_i,t(i) + penalty * (1/C) sum_c |tau_i,c - l_i,c|)  /  sum_i w_t(i)

    over valid pixels i with true class t(i), classes c of C, logit l, softmax probability p and class weight w; tau is
    the share of class c among the valid pixels of a square of `size` x `size` pixels around pixel i, itself included.

    Absent class: adds no pixel; its logits are drawn to 0 wherever there is none of it around.
    Limits: penalty = 0 is `cross_entropy`. With the penalty certainty costs: the least loss has logits of a few units.
    It is the one loss here that changes when a constant is added to all logits of a pixel. One logit channel is the
    logit of the foreground beside 0, which is then held close to its share.
    Where we differ: the formula of the paper sums over classes; we take the mean over classes and pixels as its code
    does, for which the default of the penalty is. At the edge of the image that code counts what lies beyond as class
    0, and MONAI's as no class; we count the pixels that there are. Neither has void pixels or class weights.

    Use: in place of `cross_entropy`, where probabilities must mean what they say, as for thresholds or for a reader of
    maps. The penalty keeps logits small inside regions as well as along borders; whether that is what the data ask for,
    calibration on the validation split says. It takes about five times as long as `cross_entropy`.
    Family: per pixel.
    """

    penalty: float = Field(default=0.1, ge=0.0, le=10.0)
    """Price of the distance between logits and shares; larger, logits are smaller. The default is the authors'."""
    size: Literal[3, 5, 7] = 3
    """Side of the square in pixels. Larger, more pixels are near a border. The default is the authors'."""

    def formula(self, batch: Batch) -> Tensor:
        distance = (self._shares(batch) - batch.logits).abs().mean(dim=1)
        return batch.mean_over_pixels(batch.cross_entropy + self.penalty * distance)

    def _shares(self, batch: Batch) -> Tensor:
        """`b c h w`: share of each class among the valid pixels around each pixel."""
        of_class, of_any = (
            torch.nn.functional.avg_pool2d(mask, self.size, stride=1, padding=self.size // 2)
            for mask in (batch.g, batch.valid.unsqueeze(1).to(batch.g.dtype))
        )
        return of_class / of_any.clamp(min=TINY)

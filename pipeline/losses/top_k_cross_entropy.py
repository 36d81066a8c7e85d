"""Top-k cross-entropy: the mean over the hardest pixels only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base import Batch, Loss
from pipeline.losses.base_math import TINY
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class TopKCrossEntropy(Loss):
    """Cross-entropy of the hardest pixels: online bootstrapping (Wu, Shen, van den Hengel, "Bridging Category-level and
    Instance-level Semantic Image Segmentation", 2016), or hard example mining by pixel (Shrivastava, Gupta, Girshick,
    "Training Region-based Object Detectors with Online Hard Example Mining", CVPR 2016).

        L = sum_i w_t(i) k_i * -log p_i,t(i)  /  sum_i w_t(i) k_i

    over valid pixels i with true class t(i), softmax probability p and class weight w. k_i is 1 for the K pixels of the
    batch whose p of the true class is lowest and 0 for the others; pixels that tie for the last places share them. K is
    `share` of the valid pixels, at least one, or as many as lie below `threshold` if these are more. Class weights
    weigh the pixels that are kept, they do not choose them.

    Absent class: adds no pixel and so nothing. Limits: share = 1 is `cross_entropy`.
    Where we differ: both papers keep a fixed number, OHEM of image regions; such a number would have to follow the size
    of the images, so we keep a share.

    Use: where most pixels are easy and the errors are few, and labels can be trusted: wrong labels are the hardest
    pixels of all. From random weights every pixel is hard and most of them are left out, so it is slow to start.
    Family: per pixel.
    """

    share: float = Field(default=0.1, gt=0.0, le=1.0)
    """Share of the valid pixels that is kept, the hardest; the gradient of the others is 0."""
    threshold: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Every pixel whose true class has a probability below this is kept too; 0 turns it off."""

    def refuses_soft_targets(self) -> str:
        return "the hardest pixels would be those whose labels are least certain"

    def formula(self, batch: Batch) -> Tensor:
        kept = self._kept(batch)
        kept_share = batch.mean_over_pixels(kept).clamp(min=TINY)
        return batch.mean_over_pixels(kept * batch.cross_entropy) / kept_share

    def _kept(self, batch: Batch) -> Tensor:
        """`b h w` from 0 to 1: whether a pixel is among the hardest, without gradient."""
        number = int(batch.valid.sum())
        if not number:
            return torch.zeros_like(batch.cross_entropy)
        hardness = batch.cross_entropy.detach().masked_fill(~batch.valid, -1.0)  # void pixels come after all others
        places = max(1, round(self.share * number), self._below_threshold(batch))
        least = hardness.flatten().topk(places, sorted=False).values.min()
        harder, tied = hardness > least, hardness == least
        # Which of the tied pixels came last would depend on their order.
        return torch.where(tied, (places - harder.sum()) / tied.sum(), harder.to(hardness.dtype))

    def _below_threshold(self, batch: Batch) -> int:
        """Valid pixels whose true class has a probability below the threshold."""
        if not self.threshold:
            return 0
        p_true = batch.p.detach().gather(1, batch.true_class.unsqueeze(1)).squeeze(1)
        return int((batch.valid & (p_true < self.threshold)).sum())

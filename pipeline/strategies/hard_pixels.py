"""Hard pixels: the loss gets only the pixels whose true class the network finds least probable."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from pipeline.plumbing.labels import IGNORE
from pipeline.plumbing.lazy import torch
from pipeline.strategies.base import Aspect, Strategy

if TYPE_CHECKING:
    from torch import Tensor


class HardPixels(Strategy):
    """Online hard example mining by pixel (Shrivastava, Gupta, Girshick, "Training Region-based Object Detectors with
    Online Hard Example Mining", CVPR 2016; by pixel Wu, Shen, van den Hengel, "Bridging Category-level and
    Instance-level Semantic Image Segmentation", 2016).

    Of each image the K labelled pixels whose true class has the lowest probability are kept, and the loss is told to
    ignore the others. K is `share` of the labelled pixels, rounded up, or the number of those whose probability lies
    below `threshold` if that is more. Pixels that tie for the last place are all kept. Void pixels are never kept and
    never counted.

    Every loss can ignore pixels, so this meets every loss: under cross-entropy it is the mean over the hardest pixels,
    under Dice the overlap among them. Losses that look at the neighbours of a pixel, such as `cl_dice` and `ssim`, get
    images full of holes and mean little then.

    Where we differ: both papers keep a fixed number of regions or pixels, which would have to follow the image size.

    Use: where most pixels are easy and labels can be trusted: wrong labels are the hardest pixels of all. From random
    weights every pixel is hard; as the second of two phases (`two_phase`) it starts when that is over.

    Calibration: easy pixels have no say, so the network is less sure of them than it could be. Which classes gain
    follows from what is hard, not from how rare they are; the report states the share of each class that was kept.

    Family: hard pixels.
    """

    acts_on: ClassVar[tuple[Aspect, ...]] = ("pixels",)

    share: float = Field(default=0.25, gt=0.0, lt=1.0)
    """Least share of the labelled pixels of each image that is kept."""
    threshold: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Every pixel whose true class has a lower probability is kept too; 0 turns it off."""

    def kept_pixels(self, logits: Tensor, target: Tensor) -> Tensor:
        valid = target != IGNORE
        p = logits.softmax(dim=1).gather(1, target.where(valid, 0).unsqueeze(1)).squeeze(1)
        p = p.masked_fill(~valid, 2.0).flatten(start_dim=1)  # above every probability: void pixels come last
        counted = (self.share * valid.flatten(start_dim=1).sum(dim=1)).ceil()
        places = torch.maximum(counted, (p < self.threshold).sum(dim=1)).long().clamp(min=1)
        last = p.sort(dim=1).values.gather(1, places.unsqueeze(1) - 1)
        return (p <= last).view_as(valid) & valid

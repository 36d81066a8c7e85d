"""clDice: Dice between the skeleton of one mask and the other mask, for structures that must stay connected."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base import Batch, Loss
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class ClDice(Loss):
    """Soft centre-line Dice loss (Shit et al., "clDice", CVPR 2021, soft-clDice and soft skeleton).

        L = mean_c  1 - 2 TP TS / (TP + TS)
        TP = (sum_i S(p) g + 1) / (sum_i S(p) + 1)      topology precision
        TS = (sum_i S(g) p + 1) / (sum_i S(g) + 1)      topology sensitivity

    over classes c and all valid pixels i of the batch, with softmax probability p and one-hot truth g. The soft
    skeleton S(x) joins what an opening removes from x and from x eroded once, twice, ... `iterations` times; erosion
    is the minimum over a cross of 3 x 3 pixels, and opening an erosion and then the maximum over a square of 3 x 3.
    Void pixels and the edge of the image neither erode nor dilate. With class weights the mean over classes is
    weighted.

    Range 0 (perfect) to 1.
    Absent class: left out of the mean, as in `dice`. A class too thick to have a skeleton after so many erosions has
    TS = 1; it costs what the skeleton of its prediction has outside of it.
    Limits: the width of a structure is not seen: a thinner or thicker prediction with the same centre line is perfect.
    Where we differ: the paper has one foreground class; we average over classes. The 1 is not in its equations but in
    the authors' code: without it the gradient has no bound where a skeleton vanishes.

    Use: as a term beside `dice`, never alone, for vessels, roads, cracks and membranes, where a broken line is worse
    than a thick one. For compact objects it means little. Each iteration costs three poolings of every class, in
    time and in memory.
    Family: boundary and shape.
    """

    iterations: int = Field(default=3, ge=1, le=20)
    """Erosions before the skeleton is complete: at least half the width in pixels of the thickest structure that must
    stay connected. The default is the authors'."""

    def formula(self, batch: Batch) -> Tensor:
        precision = _share(self._skeleton(batch.p, batch), batch.g)
        sensitivity = _share(self._skeleton(batch.g, batch), batch.p)
        loss = 1 - 2 * precision * sensitivity / (precision + sensitivity)
        return batch.mean_over_classes(loss, among=batch.present)

    def _skeleton(self, x: Tensor, batch: Batch) -> Tensor:
        """Soft skeleton of each map (`b c h w`, 0 to 1), 0 at ignored pixels."""
        valid = batch.valid.unsqueeze(1)
        skeleton = torch.zeros_like(x)
        for _ in range(self.iterations + 1):
            eroded = _minimum_over_cross(x.where(valid, 1)).where(valid, 0)
            removed = (x - torch.nn.functional.max_pool2d(eroded, 3, stride=1, padding=1)).relu()
            skeleton = skeleton + (1 - skeleton) * removed
            x = eroded
        return skeleton


def _share(skeleton: Tensor, mask: Tensor) -> Tensor:
    """`c`: how much of each skeleton lies in the mask; 1 where there is no skeleton."""
    return ((skeleton * mask).sum(dim=(0, 2, 3)) + 1) / (skeleton.sum(dim=(0, 2, 3)) + 1)


def _minimum_over_cross(x: Tensor) -> Tensor:
    """Minimum of each pixel and its four neighbours; the pooling ignores what is beyond the image."""
    pool = torch.nn.functional.max_pool2d
    column, row = pool(-x, (3, 1), stride=1, padding=(1, 0)), pool(-x, (1, 3), stride=1, padding=(0, 1))
    return -torch.maximum(column, row)

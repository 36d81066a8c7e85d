"""clDice: Dice between the skeleton of one mask and the other mask, for structures that must stay connected."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base import Batch
from pipeline.losses.base_classes import LossPerClass
from pipeline.losses.base_parts import class_by_class, errors, signed, truth
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

ROW, COLUMN = ((0, -1), (0, 1)), ((-1, 0), (1, 0))  # neighbours of a pixel; first along rows, then columns: a square
CROSS = ROW + COLUMN


class ClDice(LossPerClass):
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
    Absent class: left out of the mean, but not the foreground of two classes, whose loss this is, as in the paper.
    A class too thick to have a skeleton after so many erosions has TS = 1; it costs what the skeleton of its
    prediction has outside of it.
    Limits: the width of a structure is not seen: a thinner or thicker prediction with the same centre line is perfect.
    Where we differ: of more than two classes we take the mean. The 1 is not in its equations but in
    the authors' code: without it the gradient has no bound where a skeleton vanishes. Of equal pixels the slope goes to
    the first; max pooling, as in that code, has rules of its own for them.

    Use: as a term beside `dice`, never alone, for vessels, roads, cracks and membranes, where a broken line is worse
    than a thick one. For compact objects it means little. It is the dearest of all losses: each iteration costs about
    ten times `cross_entropy`, and the default eleven of them. Classes are skeletonised one after another, so it holds
    a few copies of the logits, and besides some fifty maps of the class at hand, which are many copies of the logits
    where classes are few.
    Family: boundary and shape.
    """

    iterations: int = Field(default=10, ge=1, le=50)
    """Erosions before the skeleton is complete: at least half the width in pixels of the thickest structure that must
    stay connected; the price is in proportion. With 3 a gap in a vessel of 10 pixels costs nothing at all, so the
    default is that of the authors' PyTorch code, 10, which sees it; their Keras code takes 50."""

    def refuses_soft_targets(self) -> str:
        return "the share of a skeleton that lies in a soft mask is not 1 where prediction and label agree"

    def formula(self, batch: Batch) -> Tensor:
        valid, weights = batch.valid.unsqueeze(1).to(batch.logits.dtype), self.pixel_weights(batch)

        def cost(error: Tensor, classes: Tensor) -> Tensor:
            g = truth(batch, classes)
            p = g + signed(error, g)
            precision = _share(self._skeleton(p, valid) * weights, g)
            sensitivity = _share(self._skeleton(g, valid), p)
            return 1 - 2 * precision * sensitivity / (precision + sensitivity)

        among = self.among(batch)
        return batch.mean_over_classes(class_by_class(errors(batch), cost, among), among)

    def _skeleton(self, x: Tensor, valid: Tensor) -> Tensor:
        """Soft skeleton of each map (`b k h w`, 0 to 1), 0 at ignored pixels."""
        skeleton, void = torch.zeros_like(x), 1 - valid
        for _ in range(self.iterations + 1):
            eroded = _extreme(x + void, torch.minimum, CROSS) * valid
            opened = _extreme(_extreme(eroded, torch.maximum, COLUMN), torch.maximum, ROW)
            skeleton = torch.addcmul(skeleton, 1 - skeleton, (x - opened).relu())
            x = eroded
        return skeleton


def _extreme(x: Tensor, of: Callable[..., Tensor], offsets: tuple[tuple[int, int], ...]) -> Tensor:
    """The maximum or minimum of each pixel and its neighbours at these offsets."""
    from pipeline.losses.base_autograd import Extreme  # only now, since it needs torch to be imported

    return Extreme.apply(x, of, offsets)


def _share(skeleton: Tensor, mask: Tensor) -> Tensor:
    """`k`: how much of each skeleton lies in the mask; 1 where there is no skeleton."""
    return ((skeleton * mask).sum(dim=(0, 2, 3)) + 1) / (skeleton.sum(dim=(0, 2, 3)) + 1)

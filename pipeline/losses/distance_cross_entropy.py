"""Distance-penalised cross-entropy: pixels near a boundary weigh up to twice as much as those far from one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.losses.base import Batch, Loss
from pipeline.losses.base_math import TINY

if TYPE_CHECKING:
    from torch import Tensor


class DistanceCrossEntropy(Loss):
    """Cross-entropy penalised by a distance map (Caliva et al., "Distance Map Loss Penalty Term for Semantic
    Segmentation", MIDL 2019).

        L = sum_i w_t(i) * (1 + Phi_i) * -log p_i,t(i)  /  sum_i w_t(i),    Phi_i = 1 - d_i / max_j d_j

    over valid pixels i with true class t(i), softmax probability p and class weight w. d_i is the distance in pixels to
    the boundary of the pixel's own class, 0 along the boundary; the maximum is over the pixels j of the same image. So
    the penalty Phi is 1 along a boundary and 0 where it is farthest. The 1 beside it keeps the gradient of pixels far
    from any boundary.

    Absent class: adds no pixel and so nothing. An image of one class has no boundary: Phi is 0 everywhere.
    Limits: between `cross_entropy` and twice `cross_entropy`; `cross_entropy` if no image has a boundary.
    Where we differ: the paper reverts the distance maps of bones in a volume and states no scale for Phi. We take the
    classes of an image, and scale Phi to at most 1, so that its weight depends neither on resolution nor on image size.

    Use: where the errors lie along boundaries and labels are exact there. Where annotators disagree about the
    boundary, it follows their noise. The distance maps cost time in the loader workers.
    Family: boundary and shape.
    """

    def refuses_soft_targets(self) -> str:
        return "its distances are from the boundary of a set of true pixels"

    def needs_distances(self) -> bool:
        return True

    def formula(self, batch: Batch) -> Tensor:
        return batch.mean_over_pixels((1 + _penalty(batch)) * batch.cross_entropy)


def _penalty(batch: Batch) -> Tensor:
    """`b h w`: Phi."""
    distances = batch.facts.distances
    assert distances is not None, "a training gives distance maps to a loss that needs them"
    distances = distances.to(batch.logits.dtype)
    inward = -distances.gather(1, batch.true_class.unsqueeze(1)).squeeze(1) * batch.valid
    farthest = inward.amax(dim=(1, 2), keepdim=True)
    has_boundary = (distances > 0).any(dim=1).flatten(1).any(dim=1)  # outside a class the distance is at least 1
    return (1 - inward / farthest.clamp(min=TINY)) * has_boundary.view(-1, 1, 1)

"""Gradient: agreement of the edges of prediction and truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.losses.base import TINY, Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


class Gradient(Loss):
    """Gradient loss: squared difference of the spatial derivatives (the L2 form of the gradient difference loss of
    Mathieu, Couprie, LeCun, "Deep multi-scale video prediction beyond mean square error", ICLR 2016, equation 6).

        L = sum_c w_c * (1/N) sum_(i,j) ((p_j,c - p_i,c) - (g_j,c - g_i,c))^2  /  sum_c w_c

    over the N pairs (i, j) of vertical or horizontal neighbours that are both valid, with softmax probability p,
    one-hot truth g and class weight w.

    Range 0 (perfect) to 4. It sees edges only: adding a constant to p changes nothing, so alone it cannot tell which
    side of an edge is which class of region; use it as a term beside cross-entropy or Dice.
    Absent class: stays in the mean, since an edge where the truth has none is an error.
    Where we differ: the paper takes the difference of absolute derivatives, which forgets the direction of an edge.

    Use: as a term, never alone, for thin structures and sharp borders whose labels are exact to the pixel.
    Family: boundary and shape.
    """

    def formula(self, batch: Batch) -> Tensor:
        error, valid = batch.p - batch.g, batch.valid.unsqueeze(1)
        total, pairs = 0.0, 0.0
        for axis in (2, 3):
            both = valid.narrow(axis, 1, valid.shape[axis] - 1) & valid.narrow(axis, 0, valid.shape[axis] - 1)
            total = total + (error.diff(dim=axis) ** 2 * both).sum(dim=(0, 2, 3))
            pairs = pairs + both.sum()
        return batch.mean_over_classes(total / pairs.clamp(min=TINY))

"""Gradient: agreement of the edges of prediction and truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.losses.base import Batch
from pipeline.losses.base_classes import LossPerClass
from pipeline.losses.base_parts import class_by_class, errors, signed_errors, truth

if TYPE_CHECKING:
    from torch import Tensor


class Gradient(LossPerClass):
    """Gradient loss: squared difference of the spatial derivatives (the L2 form of the gradient difference loss of
    Mathieu, Couprie, LeCun, "Deep multi-scale video prediction beyond mean square error", ICLR 2016, equation 6).

        L = sum_c w_c * (1/N) sum_(i,j) ((p_j,c - p_i,c) - (g_j,c - g_i,c))^2  /  sum_c w_c

    over the N pairs (i, j) of vertical or horizontal neighbours that are both valid, with softmax probability p,
    one-hot truth g and class weight w.

    Range 0 (perfect) to 4. It sees edges only: adding a constant to p changes nothing, so alone it cannot tell which
    side of an edge is which class of region; use it as a term beside cross-entropy or Dice.
    Absent class: stays in the mean, since an edge where the truth has none is an error.
    Limits: both of two classes have the same edges, so there class weights change nothing.
    Where we differ: the paper takes the difference of absolute derivatives, which forgets the direction of an edge.

    Use: as a term, never alone, for thin structures and sharp borders whose labels are exact to the pixel.
    Family: boundary and shape.
    """

    background: bool = True
    """Whether class 0 has a share in the mean over classes. Of two classes it changes nothing."""

    def refuses_soft_targets(self) -> None:
        return None

    def formula(self, batch: Batch) -> Tensor:
        valid = batch.valid.unsqueeze(1)
        pairs = {2: valid[:, :, 1:] & valid[:, :, :-1], 3: valid[..., 1:] & valid[..., :-1]}  # by axis
        pairs = {axis: both.to(batch.logits.dtype) for axis, both in pairs.items()}
        number = sum(both.sum() for both in pairs.values()).clamp(min=1)

        def cost(error: Tensor, classes: Tensor) -> Tensor:
            error = signed_errors(batch, error, truth(batch, classes))
            squares = ((error.diff(dim=axis) ** 2 * both).sum(dim=(0, 2, 3)) for axis, both in pairs.items())
            return sum(squares) / number

        among = self.without_background(batch.logits.new_ones(batch.logits.shape[1]))
        return batch.mean_over_classes(class_by_class(errors(batch), cost, among), among)

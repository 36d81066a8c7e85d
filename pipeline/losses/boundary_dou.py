"""Boundary DoU: difference over union, with more of the interior left out the larger an object is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.losses.base import TINY, Batch, Loss
from pipeline.losses.base_parts import class_by_class, errors, truth
from pipeline.plumbing.labels import IGNORE
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class BoundaryDoU(Loss):
    """Boundary difference over union loss (Sun, Luo, Li, "Boundary Difference over Union Loss for Medical Image
    Segmentation", MICCAI 2023).

        L = mean_c  (U_c - I_c) / (U_c - alpha_c I_c)
        I = sum_i p g,  U = sum_i p^2 + sum_i g^2 - I,  alpha = 1 - 2 C / S, limited to 0 ... 0.8

    over classes c and all valid pixels i of the batch, with softmax probability p and one-hot truth g: the difference
    of prediction and truth over their union, of which the share alpha of the intersection is left out. S counts the
    true pixels of the class and C those of them on its boundary: with a neighbour, of four, that is of another class,
    void or beyond the image. So the boundary of a large object has its say beside the easy interior. With class
    weights the mean over classes is weighted.

    Range 0 (perfect) to 1.
    Absent class: left out of the mean, as in `dice`.
    Limits: alpha is 0 where at least half of a class is boundary, and there this is the Jaccard loss in squared form.
    Where we differ: the authors' code adds 1e-5 to both sides of each ratio, lets alpha become negative for thin
    objects, which the paper does not, and charges an absent class with its false positives.

    Use: alone, in place of `dice`, for compact objects whose outline must be exact.
    Family: boundary and shape.
    """

    def formula(self, batch: Batch) -> Tensor:
        alpha = (1 - 2 * _boundary_pixels(batch) / batch.class_pixels.clamp(min=1)).clamp(0, 0.8)

        def cost(error: Tensor, classes: Tensor) -> Tensor:
            difference = (error**2).sum(dim=(0, 2, 3))  # U - I, as the sum of squares that it is
            intersection = (truth(batch, classes) * (1 - error)).sum(dim=(0, 2, 3))
            return difference / (difference + (1 - alpha[classes]) * intersection).clamp(min=TINY)

        return batch.mean_over_classes(class_by_class(errors(batch), cost, among=batch.present), among=batch.present)


def _boundary_pixels(batch: Batch) -> Tensor:
    """`c`: pixels of each class with a neighbour that is not of it: of another class, void, or beyond the image."""
    target = batch.target
    around = torch.nn.functional.pad(target, (1, 1, 1, 1), value=IGNORE)
    neighbours = around[:, :-2, 1:-1], around[:, 2:, 1:-1], around[:, 1:-1, :-2], around[:, 1:-1, 2:]
    interior = torch.stack([neighbour == target for neighbour in neighbours]).all(dim=0)
    counts = torch.bincount(target.where(interior, IGNORE).flatten(), minlength=IGNORE + 1)
    return batch.class_pixels - counts[: batch.logits.shape[1]]

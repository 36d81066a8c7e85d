"""Boundary DoU: difference over union, with more of the interior left out the larger an object is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.losses.base import Batch
from pipeline.losses.base_math import TINY, fraction
from pipeline.losses.base_overlap import OverlapLoss
from pipeline.plumbing.labels import IGNORE
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class BoundaryDoU(OverlapLoss):
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
    Absent class: by the option `absent`; charged, it counts as boundary altogether. With two classes both are in the
    mean, as in the authors' code, unless `background` says otherwise.
    Limits: alpha is 0 where at least half of a class is boundary, and there this is the Jaccard loss in squared form.
    Where we differ: the authors' code adds 1e-5 to both sides of each ratio, lets alpha become negative for thin
    objects, which the paper does not, and charges an absent class with its false positives.

    Use: alone, in place of `dice`, for compact objects whose outline must be exact.
    Family: boundary and shape.
    """

    background: bool = True
    """Whether class 0 has a share in the mean over classes, as in the authors' code."""

    def refuses_soft_targets(self) -> str:
        return "the boundary of a class is that of a set of true pixels"

    def squared(self) -> bool:
        return True

    def formula(self, batch: Batch) -> Tensor:
        n = self.counts(batch)
        alpha = (1 - 2 * (n.pixels - self._interior_pixels(batch)) / n.pixels.clamp(min=TINY)).clamp(0, 0.8)
        mistakes = n.fp + n.fn  # of squares: U - I = sum_i (p - g)^2, as p^2 + g^2 = (p - g)^2 + 2 p g
        loss = fraction(mistakes, (1 - alpha) * n.tp)
        return self.mean(loss, self.without_background(self.counted(n)), batch)

    def _interior_pixels(self, batch: Batch) -> Tensor:
        """`c` or `b c`: pixels of each class that are not on its boundary: all four neighbours are of it, too."""
        target = batch.target
        around = torch.nn.functional.pad(target, (1, 1, 1, 1), value=IGNORE)
        neighbours = around[:, :-2, 1:-1], around[:, 2:, 1:-1], around[:, 1:-1, :-2], around[:, 1:-1, 2:]
        interior = torch.stack([neighbour == target for neighbour in neighbours]).all(dim=0)
        inner = replace(batch, target=target.where(interior, IGNORE))
        return inner.class_pixels if self.over == "batch" else inner.class_pixels_of_images

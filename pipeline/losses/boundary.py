"""Boundary: probability on the wrong side of a boundary, by its distance from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pipeline.losses.base import Batch
from pipeline.losses.base_classes import LossPerClass
from pipeline.losses.base_parts import class_by_class, diagonal, errors, signed, truth

if TYPE_CHECKING:
    from torch import Tensor


class Boundary(LossPerClass):
    """Boundary loss (Kervadec et al., "Boundary Loss for Highly Unbalanced Segmentation", MIDL 2019).

        L = mean_c (1/N) sum_i phi_i,c (p_i,c - g_i,c)

    over classes c and the N valid pixels i of the batch, with softmax probability p, one-hot truth g and the signed
    distance phi to the boundary of the class in its image: above 0 outside the class, 0 along its inner rim, below 0
    further in. It approximates the distance between the true and the predicted boundary, integrated along them. With
    class weights the mean over classes is weighted.

    Range 0 (perfect) to the diagonal of the image, in units of the diagonal to 1: in pixels the same relative mistake
    costs twice as much in an image twice as large.
    Absent class: left out of the mean, but not the foreground of two classes, whose loss this is, as in the paper.
    A class that one image lacks, or that fills it, has no boundary there and phi = 0.
    Limits: the inner rim of a class costs it nothing; the class that takes it pays, unless the image lacks that one.
    Where we differ: the paper drops sum phi g, which has no gradient; with it the loss is never negative. It is written
    for one foreground class; we average over classes, background included
    where there are more than two.

    Use: as a term, never alone, for small objects and those whose outline matters. Alone it may end in an empty
    prediction, since a small object has hardly any depth to lose. The paper gives it a small weight beside a region
    loss and lets it grow, which is a ramp in `compound`. Its distance maps cost the loader workers time.
    Family: boundary and shape.
    """

    unit: Literal["pixel", "diagonal"] = "pixel"
    """In what distances are measured. In units of the diagonal of what is valid of an image, the value and its weight
    in a sum mean the same at every resolution; the default is the paper's pixels, in which they grow with the image."""

    def refuses_soft_targets(self) -> str:
        return "its distances are from the boundary of a set of true pixels"

    def needs_distances(self) -> bool:
        return True

    def formula(self, batch: Batch) -> Tensor:
        distances = batch.facts.distances
        scale = 1 if self.unit == "pixel" else 1 / diagonal(batch)

        def cost(error: Tensor, classes: Tensor) -> Tensor:
            distance = distances[:, classes] * scale
            return self.mean_over_pixels(distance * signed(error, truth(batch, classes)), batch)

        among = self.among(batch)
        return batch.mean_over_classes(class_by_class(errors(batch), cost, among), among)

"""Hausdorff: squared error by the distance from the boundary, so that far mistakes count most."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from pipeline.losses.base import Batch
from pipeline.losses.base_classes import LossPerClass
from pipeline.losses.base_parts import class_by_class, diagonal, errors

if TYPE_CHECKING:
    from torch import Tensor


class Hausdorff(LossPerClass):
    """Hausdorff distance loss by distance transforms, one-sided (Karimi, Salcudean, "Reducing the Hausdorff Distance in
    Medical Image Segmentation", IEEE TMI 2020, section on distance transforms, the variant OS).

        L = mean_c (1/N) sum_i (p_i,c - g_i,c)^2 d_i,c^alpha

    over classes c and the N valid pixels i of the batch, with softmax probability p, one-hot truth g and the distance
    d >= 0 to the boundary of the class in its image. A mistake costs more the further it lies from the true boundary,
    as the Hausdorff distance is set by the furthest one. With class weights the mean over classes is weighted.

    Range 0 (perfect) to the diagonal of the image to the power of alpha, in units of the diagonal to 1.
    Absent class: left out of the mean, but not the foreground of two classes, whose loss this is, as in the paper.
    A class that one image lacks, or that fills it, has no boundary there and d = 0.
    Limits: alpha = 0 is the Brier score of the classes that are present. The inner rim of a class has d = 0, as in
    `boundary`.
    Where we differ: the two-sided form adds the distance to the predicted boundary, d^alpha + d_p^alpha. It needs a
    distance transform of every prediction, on the thread that trains, which takes longer than the rest of the step; the
    paper gives the one-sided form for this reason. Of more than two
    classes we take the mean, background included.

    Use: as a term beside `dice` or `cross_entropy`, against isolated false alarms far from an object. It hardly sees
    errors of a pixel or two. In pixels its value is large in large images: mind the weight, or choose the other unit.
    Family: boundary and shape.
    """

    alpha: float = Field(default=2.0, ge=0.0, le=4.0)
    """How much dearer far mistakes are: at 2 one that lies 10 pixels off costs a hundred times one that lies 1 pixel
    off; at 0 all cost alike."""
    unit: Literal["pixel", "diagonal"] = "pixel"
    """In what distances are measured. In units of the diagonal of what is valid of an image, the value and its weight
    in a sum mean the same at every resolution; the default is the paper's pixels, in which they grow with the image."""

    def refuses_soft_targets(self) -> str:
        return "its distances are from the boundary of a set of true pixels"

    def needs_distances(self) -> bool:
        return True

    def formula(self, batch: Batch) -> Tensor:
        distances = batch.facts.distances  # signed, below 0 inside the class
        scale = 1 if self.unit == "pixel" else 1 / diagonal(batch)

        def cost(error: Tensor, classes: Tensor) -> Tensor:
            distance = distances[:, classes].abs() * scale
            return self.mean_over_pixels(error**2 * distance**self.alpha, batch)

        among = self.among(batch)
        return batch.mean_over_classes(class_by_class(errors(batch), cost, among), among)

"""Copy-paste: objects of rare classes are copied from one train image into another."""

from typing import ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from pipeline.strategies.base import NONE, Aspect, ClassStatistics, Draws, Paste, Strategy, Treatment


class CopyPaste(Strategy):
    """Simple copy-paste (Ghiasi et al., "Simple Copy-Paste is a Strong Data Augmentation Method for Instance
    Segmentation", CVPR 2021), for rare classes.

    With `probability`, an image gets one more object: a rare class is drawn evenly, a train image that holds it, and
    one of its pixels there. The connected component around that pixel is resized and pasted at a random place, before
    the common augmentation. What it covers takes its class, void pixels too; around it its old surroundings fade
    out by a Gaussian. Rare is every class with fewer pixels than an equal share.

    Where we differ: the paper pastes a random subset of the instances of an image; semantic masks have no instances,
    so components stand for them, large ones more often, and one is pasted, of a rare class. Classes that are no
    objects, such as a pavement, are pasted too where they are rare.

    Use: for objects that can be anywhere. A cyclist in the sky teaches that the context of an object does not matter.

    Calibration: rare classes have more pixels in training than in the data, so their probabilities come out too high.

    Family: augmentation.
    """

    acts_on: ClassVar[tuple[Aspect, ...]] = ("pasting",)

    probability: float = Field(default=0.5, gt=0.0, le=1.0)
    """That an object is pasted into an image."""
    smallest_scale: float = Field(default=0.5, ge=0.1, le=4.0)
    """Least size of the object as a multiple of the original."""
    largest_scale: float = Field(default=1.5, ge=0.1, le=4.0)
    """Greatest size; an object that does not fit into the image is made smaller."""
    blend: float = Field(default=1.0, ge=0.0, le=10.0)
    """Standard deviation in pixels of the Gaussian by which its surroundings fade out; 0 makes a hard edge."""

    @model_validator(mode="after")
    def _scales_are_in_order(self) -> Self:
        if self.smallest_scale > self.largest_scale:
            raise ValueError(
                f"'smallest_scale' ({self.smallest_scale:g}) must not exceed 'largest_scale' ({self.largest_scale:g})."
            )
        return self

    def draws(self, common: Draws, statistics: ClassStatistics, batch_size: int, random: np.random.Generator) -> Draws:
        rare = statistics.rare_classes
        if not len(rare):
            return common
        pasted = np.where(
            random.random(len(common.images)) < self.probability, random.choice(rare, len(common.images)), NONE
        )
        donors = np.full_like(pasted, NONE)
        for index in rare:
            wanted = pasted == index
            donors[wanted] = random.choice(np.flatnonzero(statistics.pixels[:, index]), size=wanted.sum())
        return common._replace(donors=donors, pasted=pasted)

    def treatment(self, statistics: ClassStatistics) -> Treatment:
        return Treatment(paste=Paste(self.smallest_scale, self.largest_scale, self.blend))

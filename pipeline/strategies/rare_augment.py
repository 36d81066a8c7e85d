"""Rare augment: images that hold rare classes are varied more, and cropped around them."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from pipeline.strategies.base import NONE, Aspect, ClassStatistics, Crop, Draws, Strategy, Treatment, chosen_in_each_row


class RareAugment(Strategy):
    """Stronger augmentation, and crops around a rare class, for the images that hold one.

    Rare is every class with fewer pixels than an equal share. A crop draws one rare class of the image evenly, then
    one of its pixels, and enlarges a window around it to the full size: rare classes get more pixels, at more scales.
    Images without a rare class get the common augmentation. Our own combination of usual means; no paper is followed.

    Use: where there are few images of a rare class and they are learnt by heart. Where it acts on most images, the
    network sees little that looks like a test image.

    Calibration: crops make rare classes more frequent in training than in the data, so their probabilities come out too
    high; stronger augmentation alone does not.

    Family: augmentation.
    """

    acts_on: ClassVar[tuple[Aspect, ...]] = ("crops", "augmentation")

    crop_probability: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of those images that are cropped."""
    smallest_crop: float = Field(default=0.5, ge=0.1, le=1.0)
    """Side of the smallest window as a share of the image's; 1 crops nothing away."""
    strength: Literal["light", "strong"] = "strong"
    """Strength of the augmentation of those images, after the crop."""

    def draws(self, common: Draws, statistics: ClassStatistics, batch_size: int, random: np.random.Generator) -> Draws:
        rare = np.isin(np.arange(statistics.pixels.shape[1]), statistics.rare_classes)
        focus = chosen_in_each_row((statistics.pixels[common.images] > 0) & rare, random)
        return common._replace(focus=np.where(random.random(len(focus)) < self.crop_probability, focus, NONE))

    def treatment(self, statistics: ClassStatistics) -> Treatment:
        rare = tuple(int(index) for index in statistics.rare_classes)
        return Treatment(crop=Crop(self.smallest_crop, 1.0), rare_classes=rare, strength=self.strength)

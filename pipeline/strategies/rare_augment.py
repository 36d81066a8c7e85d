"""Rare augment: images that hold rare classes are varied more, and cropped around them."""

from typing import Literal

from pydantic import Field

from pipeline.strategies.base import ClassStatistics, RareClassAugmentation, Strategy


class RareAugment(Strategy):
    """Stronger augmentation, and crops around a rare class, for the images that hold one.

    Rare is every class with fewer pixels than an equal share. A crop picks one rare class of the image at random,
    then one of its pixels, and enlarges a window around it to the full size: rare classes get more pixels, at more
    scales. Images without a rare class get the common augmentation.
    """

    crop_probability: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of those images that are cropped."""
    smallest_crop: float = Field(default=0.5, ge=0.1, le=1.0)
    """Side of the smallest window as a share of the image's; 1 crops nothing away."""
    strength: Literal["light", "strong"] = "strong"
    """Of the augmentation after the crop."""

    def augmentation(self, statistics: ClassStatistics) -> RareClassAugmentation:
        return RareClassAugmentation(
            classes=[int(index) for index in statistics.rare_classes],
            crop_probability=self.crop_probability,
            smallest_crop=self.smallest_crop,
            strength=self.strength,
        )

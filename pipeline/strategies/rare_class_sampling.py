"""Rare-class sampling: a class is drawn first, then an image that holds it, then a crop around it."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from pipeline.strategies.base import Aspect, ClassStatistics, Crop, Draws, Strategy, Treatment


class RareClassSampling(Strategy):
    """Rare class sampling (Hoyer, Dai, Van Gool, "DAFormer", CVPR 2022, where it is one of the training strategies).

        P(c) = exp((1 - f_c) / T) / sum_k exp((1 - f_k) / T)

    with f_c the share of class c among all train pixels, over the classes that occur. Then an image is drawn evenly
    from those of which c covers at least `least` (from all that hold c if there is none). Up to ten windows are tried
    around pixels of c until one holds half of them; that one, or the one that holds most, is enlarged to the full size.

    Where we differ: the paper crops images larger than its network's input, and asks for 3000 pixels of the class in
    the image and half as many in the crop. Images here have the size of the input, so a window is enlarged, `least` is
    a share, and the window is to hold half of what its image holds.

    Use: where rare classes are both in few images and small. At a low temperature common classes are seen only beside
    rare ones.

    Calibration: as `oversample`, and more so, since it also enlarges what is rare.

    Family: sampling.
    """

    acts_on: ClassVar[tuple[Aspect, ...]] = ("images", "crops")

    temperature: float = Field(default=0.1, ge=0.005, le=10.0)
    """T: low draws the rarest classes nearly always, high draws all alike. The paper has 0.01, for 19 classes."""
    least: float = Field(default=0.005, gt=0.0, lt=1.0)
    """Share of the labelled pixels of an image that the class must cover for the image to be drawn for it."""
    smallest_crop: float = Field(default=0.5, ge=0.1, le=1.0)
    """Side of the smallest window as a share of the image's; 1 crops nothing away."""

    def draws(self, common: Draws, statistics: ClassStatistics, batch_size: int, random: np.random.Generator) -> Draws:
        occurring = statistics.occurring
        focus = random.choice(occurring, size=len(common.images), p=self.class_probabilities(statistics))
        images = np.empty_like(focus)
        for index in occurring:
            wanted = focus == index
            images[wanted] = random.choice(self.images_for(index, statistics), size=wanted.sum())
        return Draws.of(images)._replace(focus=focus)

    def treatment(self, statistics: ClassStatistics) -> Treatment:
        return Treatment(crop=Crop(self.smallest_crop, 1.0, holds=0.5))

    def class_probabilities(self, statistics: ClassStatistics) -> np.ndarray:
        """P of each class that occurs."""
        score = (1 - statistics.pixel_frequency[statistics.occurring]) / self.temperature
        odds = np.exp(score - score.max())
        return odds / odds.sum()

    def images_for(self, index: int, statistics: ClassStatistics) -> np.ndarray:
        """Indices of the images that are drawn for a class that occurs."""
        pixels = statistics.pixels[:, index]
        enough = pixels >= self.least * statistics.pixels.sum(axis=1)
        return np.flatnonzero(enough & (pixels > 0) if (enough & (pixels > 0)).any() else pixels > 0)

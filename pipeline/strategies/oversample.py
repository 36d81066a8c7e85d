"""Oversample: images that hold rare classes are drawn more often."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from pipeline.strategies.base import Aspect, ClassStatistics, Draws, Strategy


class Oversample(Strategy):
    """Draws train images with replacement, in proportion to the rarest class each one holds.

        weight of image I = max over classes c in I of (1 / f_c)^power

    with f_c the share of train images that hold class c. The largest, not the sum: one rare class is reason enough to
    show an image, and crowded images are not favoured for being crowded. An image without a labelled pixel is drawn as
    seldom as one of the commonest class alone. The number of iterations is unchanged, so common images are seen less
    often. Random oversampling, as old as the problem (see Zhou, Liu, "Training Cost-Sensitive Neural Networks with
    Methods Addressing the Class Imbalance Problem", TKDE 2006), of whole images, since pixels cannot be drawn alone.

    Use: where a class is missing from most images. Where every image holds every class, it does nothing but draw with
    replacement. The few images of a rare class are seen again and again, so it needs augmentation.

    Calibration: the prior that training sees is not that of the data, so probabilities of rare classes come out too
    high. The share of each class that training really saw stands in the report.

    Family: sampling.
    """

    acts_on: ClassVar[tuple[Aspect, ...]] = ("images",)

    power: float = Field(default=1.0, gt=0.0, le=2.0)
    """At 1 the images of each rare class are drawn about equally often, however few they are; 0.5 is milder."""

    def draws(self, common: Draws, statistics: ClassStatistics, batch_size: int, random: np.random.Generator) -> Draws:
        weights = self.image_weights(statistics)
        return Draws.of(random.choice(len(weights), size=len(common.images), p=weights))

    def image_weights(self, statistics: ClassStatistics) -> np.ndarray:
        """`n`: probability that a draw is this image."""
        frequency = statistics.images_with / len(statistics.pixels)
        rarity = np.where(frequency > 0, frequency, 1.0) ** -self.power
        per_image = np.where(statistics.pixels > 0, rarity, 0.0).max(axis=1)
        weights = np.where(per_image > 0, per_image, rarity.min())
        return weights / weights.sum()

"""Undersample: images that hold background alone are drawn less often."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from pipeline.strategies.base import Aspect, ClassStatistics, Draws, Strategy, passes


class Undersample(Strategy):
    """Leaves most images of nothing but background out of each pass.

    Background is the class with most train pixels. An image that holds no other class occurs in a shuffled pass with
    probability `keep`, drawn anew in each pass, so that in the end all are seen; every other image occurs once. An
    image without a labelled pixel counts as background. The number of iterations is unchanged, so images with something
    in them are seen more often. Random undersampling (see Zhou, Liu, "Training Cost-Sensitive Neural Networks with
    Methods Addressing the Class Imbalance Problem", TKDE 2006), of whole images.

    Use: for aerial, medical or industrial images cut into tiles, most of them empty. Where every image holds
    something, it is the control with the images in another order.

    Calibration: background is rarer in training than in the data, so probabilities of all other classes come out too
    high, on empty images most of all.

    Family: sampling.
    """

    acts_on: ClassVar[tuple[Aspect, ...]] = ("images",)

    keep: float = Field(default=0.25, ge=0.01, lt=1.0)
    """Share of the images of background alone that occur in a pass."""

    def draws(self, common: Draws, statistics: ClassStatistics, batch_size: int, random: np.random.Generator) -> Draws:
        return Draws.of(passes(self.shows(statistics), len(common.images), random))

    def shows(self, statistics: ClassStatistics) -> np.ndarray:
        """`n`: how often each image occurs in a pass on average, `keep` or 1."""
        others = np.delete(statistics.pixels, statistics.pixels.sum(axis=0).argmax(), axis=1)
        return np.where(others.any(axis=1), 1.0, self.keep)

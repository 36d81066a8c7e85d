"""Oversample: images that hold rare classes are drawn more often."""

import numpy as np
from pydantic import Field

from pipeline.strategies.base import ClassStatistics, Strategy


class Oversample(Strategy):
    """Draws train images with replacement, in proportion to the rarest class each one holds.

        weight of image I = max over classes c in I of (1 / f_c)^power

    with f_c the share of train images that hold class c. The largest, not the sum: one rare class is reason enough to
    show an image, and crowded images are not favoured for being crowded. An image without a labelled pixel counts as
    the commonest one. The number of iterations is unchanged, so common images are seen less often.
    """

    power: float = Field(default=1.0, gt=0.0, le=2.0)
    """1 shows rare classes about as often as common ones; 0.5 is the square root of repeat-factor sampling
    (Gupta, Dollar, Girshick, "LVIS", CVPR 2019, section 4.2)."""

    def image_weights(self, statistics: ClassStatistics) -> np.ndarray:
        frequency = statistics.images_with / len(statistics.pixels)
        rarity = np.where(frequency > 0, frequency, 1.0) ** -self.power
        per_image = np.where(statistics.pixels > 0, rarity, 0.0).max(axis=1)
        weights = np.where(per_image > 0, per_image, rarity.min())
        return weights / weights.sum()

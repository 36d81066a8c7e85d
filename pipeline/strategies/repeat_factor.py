"""Repeat factor: images that hold rare classes occur several times in each pass."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from pipeline.strategies.base import Aspect, ClassStatistics, Draws, Strategy, passes


class RepeatFactor(Strategy):
    """Repeat-factor sampling (Gupta, Dollar, Girshick, "LVIS: A Dataset for Large Vocabulary Instance Segmentation",
    CVPR 2019; appendix B.2 of arXiv:1908.03195, from version 2 on).

        r_c = max(1, sqrt(t / f_c)),    r_I = max over classes c in I of r_c

    with f_c the share of train images that hold class c and t the threshold. Image I occurs r_I times in each shuffled
    pass on average: fractions are rounded at random, anew in each pass. The number of iterations is unchanged, so there
    are fewer passes, each of them longer. An image without a labelled pixel occurs once.

    Use: as `oversample`, but milder, and no image is ever left out of a pass. Classes that most images hold have
    r_c = 1, as nearly all of CamVid's have, however small they are: it counts images, not pixels.

    Calibration: as `oversample`.

    Family: sampling.
    """

    acts_on: ClassVar[tuple[Aspect, ...]] = ("images",)

    threshold: float = Field(default=0.5, gt=0.0, le=1.0)
    """Classes in a smaller share of the images are repeated. The paper has 0.001, for more than a thousand classes."""

    def draws(self, common: Draws, statistics: ClassStatistics, batch_size: int, random: np.random.Generator) -> Draws:
        return Draws.of(passes(self.repeat_factors(statistics), len(common.images), random))

    def repeat_factors(self, statistics: ClassStatistics) -> np.ndarray:
        """`n`: how often each image occurs in a pass, 1 or more."""
        frequency = statistics.images_with / len(statistics.pixels)
        per_class = np.sqrt(np.maximum(1.0, self.threshold / np.where(frequency > 0, frequency, 1.0)))
        return np.where(statistics.pixels > 0, per_class, 1.0).max(axis=1)

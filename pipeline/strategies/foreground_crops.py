"""Foreground crops: a share of each batch is cropped around the less common classes."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from pipeline.strategies.base import (
    NONE,
    Aspect,
    ClassStatistics,
    Crop,
    Draws,
    Strategy,
    Treatment,
    chosen_in_each_row,
)


class ForegroundCrops(Strategy):
    """Crops part of each batch around a class: foreground oversampling (Isensee et al., "nnU-Net", Nature Methods 2021,
    and `oversample_foreground_percent` in its code).

    In the last places of each batch, `share` of it and at least one, a class is drawn evenly from those that the
    image holds, the commonest of the train split left out, then one of its pixels; a window centred there, as far as
    the image reaches, is enlarged to the full image. Small classes are seen larger and cover more of the batch. An
    image of the commonest class alone stays whole.

    Where we differ: nnU-Net cuts all patches of a batch from larger volumes and has a fixed background class; here the
    other images of the batch stay whole, and background is the commonest class.

    Use: where the rare class is small in many images. Crops show objects larger than they are in test images, so
    `share` should stay well below 1.

    Calibration: as `oversample`, but only in the share that is cropped.

    Family: sampling.
    """

    acts_on: ClassVar[tuple[Aspect, ...]] = ("crops",)

    share: float = Field(default=0.33, gt=0.0, le=1.0)
    """Share of each batch that is cropped."""
    side: float = Field(default=0.5, ge=0.1, lt=1.0)
    """Side of the window as a share of the image's."""

    def draws(self, common: Draws, statistics: ClassStatistics, batch_size: int, random: np.random.Generator) -> Draws:
        present = statistics.pixels > 0
        present[:, statistics.pixels.sum(axis=0).argmax()] = False
        focus = chosen_in_each_row(present[common.images], random)
        cropped = max(1, round(self.share * batch_size))
        place = np.arange(len(focus)) % batch_size
        return common._replace(focus=np.where(place >= batch_size - cropped, focus, NONE))

    def treatment(self, statistics: ClassStatistics) -> Treatment:
        return Treatment(crop=Crop(self.side, self.side))

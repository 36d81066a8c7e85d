"""Class weights: pixels of rare classes count more in the loss."""

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from pipeline.strategies.base import ClassStatistics, Strategy


class ClassWeights(Strategy):
    """A weight per class from how often it occurs in the train split.

    Normalised so that the weights of the classes that occur have mean 1. Losses divide by the sum of weights, so only
    ratios matter and the weights are no hidden learning rate. A class without a train pixel gets weight 0: there is
    nothing of it to weigh.
    """

    scheme: Literal["inverse", "median_frequency", "effective_number"] = "inverse"
    """`inverse`: w_c = f_c^-power with f_c the share of pixels. `median_frequency` (Eigen and Fergus, ICCV 2015,
    section 6.3): w_c = median(f) / f_c with f_c the share among pixels of the images that hold c; the normalisation
    above then replaces the median's. `effective_number`
    (Cui et al., CVPR 2019, equation 3): w_c = (1 - beta) / (1 - beta^n_c) with n_c the number of images that hold c,
    since pixels number in millions, where the formula is flat."""
    power: float = Field(default=0.5, gt=0.0, le=1.0)
    """Exponent of `inverse`; 1 balances the classes fully, which with a rare class makes training unsteady."""
    beta: float = Field(default=0.99, ge=0.0, lt=1.0)
    """Of `effective_number`: 0 gives equal weights, towards 1 it gives the inverse number of images."""

    @model_validator(mode="after")
    def _no_option_is_ignored(self) -> Self:
        self.acts_only_with("power", "scheme", "inverse")
        self.acts_only_with("beta", "scheme", "effective_number")
        return self

    def class_weights(self, statistics: ClassStatistics) -> np.ndarray:
        occurs = statistics.images_with > 0
        weights = np.zeros(len(occurs))
        weights[occurs] = self._raw(ClassStatistics(statistics.pixels[:, occurs]))
        return weights / weights[occurs].mean()

    def _raw(self, statistics: ClassStatistics) -> np.ndarray:
        """Weights before normalisation, for statistics in which every class occurs."""
        if self.scheme == "inverse":
            return statistics.pixel_frequency**-self.power
        if self.scheme == "median_frequency":
            per_image, holds = statistics.pixels, statistics.pixels > 0
            frequency = per_image.sum(axis=0) / (per_image.sum(axis=1, keepdims=True) * holds).sum(axis=0)
            return np.median(frequency) / frequency
        return (1 - self.beta) / (1 - self.beta**statistics.images_with)

"""Class weights: pixels of rare classes count more in the loss."""

from typing import ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from pipeline.strategies.base import Aspect, ClassStatistics, Strategy


class ClassWeights(Strategy):
    """A weight per class from how often it occurs in the train split.

        inverse:             w_c = f_c^-power                        f_c share of all pixels
        median_frequency:    w_c = median(f) / f_c                   f_c share of the pixels of images that hold c
        enet:                w_c = 1 / ln(1.02 + f_c)                f_c share of all pixels
        effective_number:    w_c = (1 - beta) / (1 - beta^n_c)       n_c number of images that hold c, or of components

    Normalised so that the weights of the classes that occur have mean 1. Losses divide by the sum of weights, so only
    ratios matter and the weights are no hidden learning rate. A class without a train pixel gets weight 0: there is
    nothing of it to weigh.

    Sources: `median_frequency` Eigen and Fergus, "Predicting Depth, Surface Normals and Semantic Labels with a Common
    Multi-Scale Convolutional Architecture", ICCV 2015; `enet` Paszke et al., "ENet", 2016; `effective_number` Cui et
    al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019.

    Where we differ: the papers scale their weights otherwise or not at all. Cui et al. count samples, each of one
    class; ours are pixels, which number in millions: there beta^n_c is 0 and all weights are equal, so images or
    connected components are counted.

    Use: the usual remedy, for any loss that takes class weights. With full inverse weights (power 1) a pixel of a class
    of one in a thousand counts a thousand times, which makes training unsteady and buys recall with precision; the
    square root is milder, and with `enet` no weight is more than 35.5 times another.

    Calibration: probabilities of rare classes come out too high. Under cross-entropy the odds between two classes are
    multiplied by the ratio of their weights, and dividing by it brings those of the data back.

    Family: weighting.
    """

    acts_on: ClassVar[tuple[Aspect, ...]] = ("class weights",)

    scheme: Literal["inverse", "median_frequency", "enet", "effective_number"] = "inverse"
    """Which of the four formulas."""
    power: float = Field(default=0.5, gt=0.0, le=1.0)
    """Exponent of `inverse`; 1 gives every class the same say, towards 0 all weights are equal."""
    beta: float = Field(default=0.99, ge=0.0, lt=1.0)
    """Of `effective_number`: 0 gives equal weights, towards 1 it gives the inverse number."""
    count: Literal["images", "components"] = "images"
    """What `effective_number` counts: images that hold the class, or its connected components."""

    @model_validator(mode="after")
    def _no_option_is_ignored(self) -> Self:
        self.acts_only_with("power", "scheme", "inverse")
        self.acts_only_with("beta", "scheme", "effective_number")
        self.acts_only_with("count", "scheme", "effective_number")
        return self

    def class_weights(self, statistics: ClassStatistics) -> np.ndarray:
        occurring = statistics.occurring
        weights = np.zeros(statistics.pixels.shape[1])
        weights[occurring] = self._raw(
            ClassStatistics(statistics.pixels[:, occurring], statistics.components[:, occurring])
        )
        return weights / weights[occurring].mean()

    def _raw(self, statistics: ClassStatistics) -> np.ndarray:
        """Weights before normalisation, for statistics in which every class occurs."""
        match self.scheme:
            case "inverse":
                return statistics.pixel_frequency**-self.power
            case "median_frequency":
                holds = statistics.pixels > 0
                beside = (statistics.pixels.sum(axis=1, keepdims=True) * holds).sum(axis=0)
                frequency = statistics.pixels.sum(axis=0) / beside
                return np.median(frequency) / frequency
            case "enet":
                return 1 / np.log(1.02 + statistics.pixel_frequency)
            case "effective_number":
                number = statistics.images_with if self.count == "images" else statistics.components.sum(axis=0)
                return (1 - self.beta) / (1 - self.beta**number)

"""The contract of a strategy: what may be done about class imbalance, whatever the loss."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.plumbing.plugins import Plugin


@dataclass(frozen=True)
class ClassStatistics:
    """How often each class occurs in the TRAIN split; void pixels are not counted."""

    pixels: np.ndarray
    """`n c` int64: pixels of each class in each train image."""

    @property
    def pixel_frequency(self) -> np.ndarray:
        """`c`: share of all pixels."""
        return self.pixels.sum(axis=0) / max(self.pixels.sum(), 1)

    @property
    def images_with(self) -> np.ndarray:
        """`c` int64: number of images that hold the class."""
        return (self.pixels > 0).sum(axis=0)

    @property
    def rare_classes(self) -> np.ndarray:
        """Indices of the classes that have fewer pixels than an equal share, and at least one."""
        frequency = self.pixel_frequency
        return np.flatnonzero((frequency > 0) & (frequency < 1 / len(frequency)))


class RareClassAugmentation(NamedTuple):
    """Augmentation for train images that hold one of `classes`; other images keep the common one."""

    classes: list[int]
    crop_probability: float
    smallest_crop: float
    """Side of the smallest crop as a share of the image's side."""
    strength: str
    """A strength of `pipeline.learn.augmentation`."""


class Strategy(Plugin):
    """One treatment of class imbalance. Override any of the hooks; each has a neutral default.

    Hooks see the statistics of the train split and nothing else, and none can change the number of iterations: what a
    strategy gives to one class it takes from another. The loss never appears here, so every strategy meets every loss.
    """

    def makes_class_weights(self) -> bool:
        """Whether `class_weights` returns weights: lets `check` refuse losses that take none before training."""
        return type(self).class_weights is not Strategy.class_weights

    def class_weights(self, statistics: ClassStatistics) -> np.ndarray | None:
        """`c` non-negative weights for the loss, or None for equal ones."""
        return None

    def image_weights(self, statistics: ClassStatistics) -> np.ndarray | None:
        """`n` non-negative weights by which train images are drawn, with replacement; None for shuffled passes."""
        return None

    def augmentation(self, statistics: ClassStatistics) -> RareClassAugmentation | None:
        """What is done to images that hold rare classes, or None for the common augmentation."""
        return None

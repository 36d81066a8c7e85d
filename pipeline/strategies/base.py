"""The contract of a strategy: what may be done about class imbalance, whatever the loss.

Legend of shapes in this folder: n train images, c classes, b images of a batch, h rows, w columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple, Self

import numpy as np

from pipeline.plumbing.arrays import open_array
from pipeline.plumbing.plugins import Plugin

if TYPE_CHECKING:
    from torch import Tensor

NONE = -1  # in `Draws`: no class, no image

Aspect = Literal["class weights", "images", "crops", "pasting", "augmentation", "pixels", "logits", "decisions"]


@dataclass(frozen=True)
class ClassStatistics:
    """How often each class occurs in the TRAIN split; void pixels are not counted."""

    pixels: np.ndarray
    """`n c` int64: pixels of each class in each train image."""
    components: np.ndarray
    """`n c` int64: connected components of each class in each train image."""

    @classmethod
    def read(cls, prepared: Path) -> Self:
        """Those that `prepare` has written."""
        files = (prepared / f"train_class_{what}.npy" for what in ("pixels", "components"))
        return cls(*(np.array(open_array(file)) for file in files))

    @property
    def pixel_frequency(self) -> np.ndarray:
        """`c`: share of all pixels."""
        return self.pixels.sum(axis=0) / max(self.pixels.sum(), 1)

    @property
    def images_with(self) -> np.ndarray:
        """`c` int64: number of images that hold the class."""
        return (self.pixels > 0).sum(axis=0)

    @property
    def occurring(self) -> np.ndarray:
        """Indices of the classes that have a pixel."""
        return np.flatnonzero(self.images_with)

    @property
    def rare_classes(self) -> np.ndarray:
        """Indices of the classes that have fewer pixels than an equal share, and at least one."""
        frequency = self.pixel_frequency
        return np.flatnonzero((frequency > 0) & (frequency < 1 / len(frequency)))

    @property
    def log_prior(self) -> np.ndarray:
        """`c`: log of the share of pixels; a class without a pixel is taken to have one."""
        return np.log(np.maximum(self.pixels.sum(axis=0), 1) / max(self.pixels.sum(), 1))


class Draws(NamedTuple):
    """Which train images a training shows, in order; int64 arrays with an entry per draw."""

    images: np.ndarray
    """Index of the train image."""
    focus: np.ndarray
    """Class that the image is cropped around; NONE leaves it whole."""
    donors: np.ndarray
    """Index of the train image that an object is copied from; NONE pastes nothing."""
    pasted: np.ndarray
    """Class of that object."""

    @classmethod
    def of(cls, images: np.ndarray) -> Self:
        """The images as they are."""
        nothing = np.full(len(images), NONE)
        return cls(images, nothing, nothing, nothing)


class Crop(NamedTuple):
    """How an image is cropped around the class in focus: a window centred on one of its pixels is enlarged."""

    smallest: float
    largest: float
    """Side of the window as a share of the image's side, drawn evenly between the two."""
    holds: float = 0.0
    """Share of the image's pixels of the class that the window is to hold, if one of a few tries does."""


class Paste(NamedTuple):
    """How an object is pasted: at a random place."""

    smallest_scale: float
    largest_scale: float
    """Its size as a multiple of the original, drawn evenly on the logarithm between the two."""
    blend: float
    """Standard deviation in pixels of the Gaussian by which its surroundings fade out; 0 makes a hard edge."""


class Treatment(NamedTuple):
    """What is done to drawn images before, or instead of, the common augmentation."""

    crop: Crop | None = None
    paste: Paste | None = None
    rare_classes: tuple[int, ...] = ()
    """Images that hold one of these get `strength`."""
    strength: str | None = None
    """A strength of `pipeline.learn.augmentation`; None for the common one."""


class Strategy(Plugin):
    """One treatment of class imbalance. Override any of the hooks; each has a neutral default.

    `acts_on` names what the hooks change: a `chain` refuses two strategies that act on the same. Hooks see the
    statistics of the train split and nothing else, but for `decision`, which asks for scores on the validation split.
    None can change the number of iterations: what a strategy gives to one class it takes from another. The loss never
    appears here, so every strategy meets every loss.

    Its docstring says `Use:` when it helps and at what price, `Calibration:` what becomes of the probabilities, and
    `Family:` one of those in `pipeline/docs.py`, each in a paragraph of its own. docs/strategies.md is made of it.
    """

    acts_on: ClassVar[tuple[Aspect, ...]] = ()

    @property
    def aspects(self) -> tuple[Aspect, ...]:
        """All that it acts on, its parts included."""
        return self.acts_on

    def phases(self) -> tuple[tuple[float, Strategy], ...]:
        """What acts from which share of the iterations on, the first from 0."""
        return ((0.0, self),)

    def stretches(self, iterations: int) -> list[tuple[range, Strategy]]:
        """The iterations of each phase, counted from 0, and what acts in them."""
        starts = [round(share * iterations) for share, _ in self.phases()]
        ends = [*starts[1:], iterations]
        return [
            (range(start, end), strategy) for start, end, (_, strategy) in zip(starts, ends, self.phases(), strict=True)
        ]

    def class_weights(self, statistics: ClassStatistics) -> np.ndarray | None:
        """`c` non-negative weights for the loss, or None for equal ones."""
        return None

    def draws(self, common: Draws, statistics: ClassStatistics, batch_size: int, random: np.random.Generator) -> Draws:
        """As many draws as the `common` ones, which are shuffled passes over all images."""
        return common

    def treatment(self, statistics: ClassStatistics) -> Treatment:
        """How drawn images are cropped, pasted into and augmented."""
        return Treatment()

    def kept_pixels(self, logits: Tensor, target: Tensor) -> Tensor | None:
        """`b h w` bool: the pixels that the loss gets; it is told to ignore the others. None for all.

        Of logits `b c h w` (float32) and target `b h w` (int64, IGNORE where void); called without gradient.
        """
        return None

    def logit_shift(self, statistics: ClassStatistics) -> np.ndarray | None:
        """`c` numbers that are added to the logits before the loss, in training alone; or None."""
        return None

    def decision(self, statistics: ClassStatistics, score: Callable[[np.ndarray], float]) -> np.ndarray | None:
        """`c` numbers that are added to the logits of a trained model before the largest is taken; or None.

        `score` gives the mean IoU on the validation split under such numbers.
        """
        return None


def passes(shows: np.ndarray, draws: int, random: np.random.Generator) -> np.ndarray:
    """Shuffled passes, cut at `draws`, in which image i occurs `shows[i]` times on average.

    A fraction is rounded up or down at random, anew in each pass: stochastic rounding. At least one of `shows` must
    be above 0.
    """
    images = np.arange(len(shows))
    drawn, count = [images[:0]], 0
    while count < draws:
        times = np.floor(shows) + (random.random(len(shows)) < shows % 1)
        drawn.append(random.permutation(np.repeat(images, times.astype(int))))
        count += len(drawn[-1])
    return np.concatenate(drawn)[:draws]


def chosen_in_each_row(allowed: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Of each row of `allowed` (bool) one column where it is true, evenly at random; NONE where there is no such."""
    lots = np.where(allowed, random.random(allowed.shape), -1.0)
    return np.where(allowed.any(axis=1), lots.argmax(axis=1), NONE)

"""Handwritten digits on photographs: real pixels, exact masks, and a long tail with two dials. Needs no network."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from pipeline.datasets.base import SPLITS, Dataset
from pipeline.datasets.base_digits import SIDES, Scene, Source, crop, cut, draw, mask_pixels, paste
from pipeline.datasets.base_splits import split_in_three
from pipeline.plumbing.random_streams import stream

VAL_SHARE, TEST_SHARE = 0.15, 0.35  # of the handwritten digits and of the tiles
MEAN_DIGITS = 2  # in an image
IMAGES_PER_RARE_DIGIT = {"train": 60, "val": 8, "test": 8}  # a class has at least one digit for so many images
SMALLEST_SIDE = 5  # pixels; a smaller digit is no digit
FITTED = np.geomspace(0.75, 1.33, 59)  # times the scale that area alone asks for: digits differ in their ink


class Digits(Dataset):
    """Handwritten digits pasted into two photographs, for a whole benchmark in minutes on one CPU core.

    The digits are the 1797 of 8 x 8 pixels that scikit-learn ships, the photographs its sample images `china.jpg` and
    `flower.jpg`. An image is a square of `image_size`, a crop of a photograph with one to four digits, two on average,
    in its quadrants. A digit is a quarter to two fifths of the side high, turned by up to 10 degrees and blended in
    with a random colour and opacity. A pixel belongs to a digit where the ink covers at least half of what it covers
    in full strokes, so the masks are exact by construction, and none is ignored.

    Classes: 0 background, then `digits` from the most common to the rarest. Of the k-th of K digits n_k are pasted,
    n_k = n_1 * imbalance^(-(k-1)/(K-1)), as in the long-tailed CIFAR of Cui, Jia, Lin, Song, Belongie, "Class-balanced
    loss based on effective number of samples", CVPR 2019. Every split follows this profile, but has at least
    one digit of each class for every 8 images in val and test, so that the rare classes can be judged, and
    for every 60 images in train. Two dials, `rarest_images` and `rarest_pixels`, move the rarest class alone.

    Splits: `train_images`, `val_images` and `test_images`. No handwritten digit and no part of a photograph is in two
    splits. Everything follows from `data_seed`, bit for bit.

    With `folds`, these splits are drawn as ever, then their images are pooled and divided, so that each part has its
    share of the images that hold a rare digit. What is said of train above holds for these images in the pool, no
    longer for the train split of a fold. Handwriting and photographs recur in several parts, so scores are higher than
    those on new handwriting: on this set, cross-validation is there to be tried out.

    By hand: nothing to fetch, scikit-learn holds the source.
    """

    license: ClassVar[str] = "digits: CC BY 4.0 (UCI); photographs: CC BY 2.0"
    citation: ClassVar[str] = (
        "Alpaydin, Kaynak: Optical recognition of handwritten digits, UCI Machine Learning Repository, 1998; "
        "Pedregosa et al.: Scikit-learn: Machine learning in Python, JMLR 12, 2011"
    )

    image_size: int = Field(default=64, ge=32, le=256)
    """Side of the square images in pixels; digits and photographs scale with it."""
    digits: list[int] = [0, 1, 2, 4]
    """Which digits are classes, from the most common to the rarest; others do not occur."""
    imbalance: float = Field(default=10.0, ge=1, le=1000)
    """How many times as often the first of `digits` is pasted as the last."""
    rarest_images: float | None = Field(default=None, gt=0, le=1)
    """Share of the train images that hold the last of `digits`, one each; without it, as `imbalance` says. All else in
    the train images stays where only this share changes, and a smaller share is a subset; val and test never change,
    unless `rarest_pixels` must be reached, too."""
    rarest_pixels: float | None = Field(default=None, ge=0.001, le=0.5)
    """Pixels of the last of `digits` for each pixel of the first, in train. It is reached by the size of the pasted
    digits of the last class, in all splits alike: what is small in train is small where it is judged. The number that
    is pasted limits it, since sides go from 5 pixels to half of the image."""
    train_images: int = Field(default=240, ge=10)
    """Number of images to train on."""
    val_images: int = Field(default=60, ge=10)
    """Number of images to choose learning rates and checkpoints by."""
    test_images: int = Field(default=120, ge=10)
    """Number of images that judge."""
    data_seed: int = Field(default=0, ge=0)
    """Another seed makes other scenes, of other digits in each split."""

    @field_validator("digits")
    @classmethod
    def _digits_are_distinct(cls, digits: list[int]) -> list[int]:
        if len(digits) < 2 or len(set(digits)) < len(digits) or not set(digits) <= set(range(10)):
            raise ValueError(f"must be two or more different digits from 0 to 9, not {digits}.")
        return digits

    @model_validator(mode="after")
    def _some_image_holds_the_rarest(self) -> Self:
        if self.pasted("train")[-1] == 0:
            raise ValueError(
                f"rarest_images: {self.rarest_images} of {self.train_images} train images is less than one; give at "
                f"least {1 / self.train_images:.2g}, or raise train_images."
            )
        return self

    @model_validator(mode="after")
    def _rarest_pixels_can_be_reached(self) -> Self:
        if self.rarest_pixels is None:
            return self
        first, *_, rarest = self.pasted("train")
        smallest = SMALLEST_SIDE / (SIDES[0] * self.image_size)
        if not 0.99 * smallest <= self._scale_by_area <= 1.01:  # the ends as printed are inside
            lowest, highest = (rarest / first * scale**2 for scale in (smallest, 1))
            side = np.mean(SIDES) * self.image_size
            change = "lower rarest_images, or raise imbalance or image_size"
            if self._scale_by_area > 1:
                change = "raise rarest_images, or lower imbalance"
            raise ValueError(
                f"rarest_pixels: {self.rarest_pixels} with {rarest} of the rarest digit in train for {first} of the "
                f"first needs a mean side of {self._scale_by_area * side:.1f} pixels, allowed are "
                f"{smallest * side:.1f} to {side:.1f}; {change}, or give {lowest:.3g} to {highest:.3g}."
            )
        return self

    @property
    def classes(self) -> list[str]:
        return ["background", *(f"digit {digit}" for digit in self.digits)]

    def download(self, raw: Path, archives: Path) -> None:
        """Copy what scikit-learn ships."""
        from sklearn.datasets import load_digits, load_sample_images

        digits = load_digits()
        photographs = np.stack(load_sample_images().images)
        raw.mkdir(parents=True)
        np.savez(raw / "source.npz", pixels=digits.images / 16, labels=digits.target, photographs=photographs)

    def samples(self, raw: Path) -> dict[str, list[Any]]:
        with np.load(raw / "source.npz") as stored:
            tiles = [tile for photograph in stored["photographs"] for tile in cut(photograph)]
            source = Source(stored["pixels"].astype(np.float32), stored["labels"], tiles)
        instances = split_in_three(source.labels.tolist(), VAL_SHARE, TEST_SHARE, self.data_seed)
        places = split_in_three([0] * len(tiles), VAL_SHARE, TEST_SHARE, self.data_seed)

        def scenes(split: str, scale: float) -> list[Scene]:
            return self._scenes(split, source, np.array(instances[split]), places[split], scale)

        scale = 1.0 if self.rarest_pixels is None else self._fitted_scale(scenes("train", 1.0))
        return {split: scenes(split, scale) for split in SPLITS}

    def strata(self, samples: Sequence[Scene]) -> list[int]:
        """The rarest digit in each scene."""
        return [max(digit.index for digit in scene.digits) for scene in samples]

    def load(self, sample: Scene) -> tuple[np.ndarray, np.ndarray]:
        """Draw a scene."""
        return draw(sample, self.image_size)

    def pasted(self, split: str) -> list[int]:
        """How many of each of `digits` are pasted in a split: the long tail, but no less than the minimum."""
        images = self._images(split)
        profile = self.imbalance ** -np.linspace(0, 1, len(self.digits))
        counts = np.round(MEAN_DIGITS * images * profile / profile.sum())
        counts = np.maximum(counts, np.ceil(images / IMAGES_PER_RARE_DIGIT[split])).astype(int).tolist()
        if self._rarest_share(split) is not None:
            counts[-1] = round(self._rarest_share(split) * images)
        return counts

    def _rarest_share(self, split: str) -> float | None:
        """`rarest_images`, where it acts."""
        return self.rarest_images if split == "train" else None

    def _images(self, split: str) -> int:
        return {"train": self.train_images, "val": self.val_images, "test": self.test_images}[split]

    @property
    def _scale_by_area(self) -> float:
        """Side of the rarest digits in that of the others for `rarest_pixels`, if all digits had the same shape."""
        first, *_, rarest = self.pasted("train")
        return math.sqrt(self.rarest_pixels * first / rarest)

    def _fitted_scale(self, train: list[Scene]) -> float:
        """Side of the rarest digits in that of the others for `rarest_pixels`, from the scenes where they are equal."""
        digits = [digit for scene in train for digit in scene.digits]
        wanted = self.rarest_pixels * sum(mask_pixels(digit, self.image_size) for digit in digits if digit.index == 1)
        rarest = [digit for digit in digits if digit.index == len(self.digits)]
        scales = self._scale_by_area * FITTED

        def reached(scale: float) -> int:
            return sum(mask_pixels(digit, self.image_size, scale) for digit in rarest)

        return scales[bisect_left(scales, wanted, hi=len(scales) - 1, key=reached)]

    def _scenes(
        self, split: str, source: Source, instances: np.ndarray, places: list[int], scale: float
    ) -> list[Scene]:
        """The scenes of a split, from the handwritten digits and the tiles that belong to it; `scale` of the rarest."""
        rng = stream(self.data_seed, f"scenes of {split}")
        images = self._images(split)
        counts, spread, room = self.pasted(split), {}, 3
        if self._rarest_share(split) is not None:  # then the fourth quadrant is left for the rarest digit
            spread, counts[-1], room = self._spread_rarest(source, instances, counts[-1]), 0, 2
        kinds = rng.permutation(np.repeat(np.arange(len(self.digits)), counts))
        # The first digits go one to each image, the others to random ones of the quadrants left in each.
        others = rng.permutation(np.repeat(np.arange(images), room))[: len(kinds) - images]
        homes = np.concatenate([np.arange(images), others])
        supply = [cycle(rng.permutation(instances[source.labels[instances] == digit])) for digit in self.digits]
        scales = [*[1.0] * (len(self.digits) - 1), scale]
        scenes = []
        for image in range(images):
            tile = int(rng.choice(places))
            background = crop(source.tiles[tile], rng)
            quadrants = rng.permutation(4)
            pasted = zip(kinds[homes == image], quadrants, strict=False)
            digits = [
                paste(source, kind + 1, next(supply[kind]), quadrant, rng, scales[kind]) for kind, quadrant in pasted
            ]
            if image in spread:
                own = stream(self.data_seed, "rarest digit", image)
                digits.append(paste(source, len(self.digits), spread[image], quadrants[-1], own, scale))
            scenes.append(Scene(f"{split}_{image:04}", tile, background, digits))
        return scenes

    def _spread_rarest(self, source: Source, instances: np.ndarray, count: int) -> dict[int, int]:
        """Under `rarest_images`: train image and instance of each rarest digit, the same first ones at any count."""
        rng = stream(self.data_seed, "images of the rarest digit")
        images = rng.permutation(self.train_images)[:count].tolist()
        own = rng.permutation(instances[source.labels[instances] == self.digits[-1]]).tolist()
        return dict(zip(images, cycle(own), strict=False))

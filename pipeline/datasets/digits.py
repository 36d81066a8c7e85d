"""Handwritten digits on photographs: real pixels, exact masks, and a long tail with a dial. Needs no network."""

from itertools import cycle
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from pydantic import Field, field_validator

from pipeline.datasets.base import SPLITS, Dataset, split_in_three
from pipeline.plumbing.random_streams import stream

TILE = 106  # pixels: a photograph of 427 x 640 is cut into 4 x 6 such squares
SMALLEST_CROP = 64  # pixels of a tile behind a scene; a larger crop shows more at a lower resolution
VAL_SHARE, TEST_SHARE = 0.15, 0.35  # of the handwritten digits and of the tiles
MEAN_DIGITS = 2  # in an image
IMAGES_PER_RARE_DIGIT = {"train": 60, "val": 8, "test": 8}  # a class has at least one digit for so many images
SIDES = (0.34, 0.5)  # of a pasted digit with its margin, in sides of the image
STEEPEST = 10  # degrees
OPACITIES = (0.85, 1.0)
INK = (0.2, 0.5)  # strength of a stroke where it begins to show, and from where on it covers fully
CONTRAST = 70  # levels of a channel from white, on dark ground, or from black, on bright ground, at most


class Source(NamedTuple):
    """What scikit-learn ships: pixels in 0..1 and labels of the handwritten digits, and tiles of the photographs."""

    pixels: np.ndarray
    labels: np.ndarray
    tiles: list[np.ndarray]


class Digit(NamedTuple):
    """A handwritten digit and how it is pasted; lengths in sides of the image."""

    index: int  # of its class
    instance: int  # which of the 1797
    pixels: np.ndarray
    top: float
    left: float
    side: float
    angle: float
    tint: np.ndarray
    opacity: float


class Scene(NamedTuple):
    """All that is random about an image."""

    name: str
    tile: int
    background: np.ndarray
    digits: list[Digit]

    def __str__(self) -> str:
        return self.name


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
    for every 60 images in train.

    Splits: `train_images`, `val_images` and `test_images`. No handwritten digit and no part of a photograph is in two
    splits. Everything follows from `data_seed`, bit for bit.

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
            tiles = [tile for photograph in stored["photographs"] for tile in _tiles(photograph)]
            source = Source(stored["pixels"].astype(np.float32), stored["labels"], tiles)
        instances = split_in_three(source.labels.tolist(), VAL_SHARE, TEST_SHARE, self.data_seed)
        places = split_in_three([0] * len(tiles), VAL_SHARE, TEST_SHARE, self.data_seed)
        return {split: self._scenes(split, source, np.array(instances[split]), places[split]) for split in SPLITS}

    def load(self, sample: Scene) -> tuple[np.ndarray, np.ndarray]:
        """Draw a scene."""
        image = _resized(sample.background, self.image_size)
        mask = np.zeros(image.shape[:2], np.uint8)
        for digit in sample.digits:
            ink = _ink(digit, self.image_size)
            top, left = (round(share * self.image_size) for share in (digit.top, digit.left))
            place = np.s_[top : top + len(ink), left : left + len(ink)]
            colour = CONTRAST * digit.tint if image[place].mean() > 127 else 255 - CONTRAST * digit.tint
            opacity = digit.opacity * ink[..., None]
            image[place] = (1 - opacity) * image[place] + opacity * colour
            mask[place][ink >= 0.5] = digit.index
        return image.round().astype(np.uint8), mask

    def pasted(self, split: str) -> list[int]:
        """How many of each of `digits` are pasted in a split: the long tail, but no less than the minimum."""
        images = self._images(split)
        profile = self.imbalance ** -np.linspace(0, 1, len(self.digits))
        counts = np.round(MEAN_DIGITS * images * profile / profile.sum())
        return np.maximum(counts, np.ceil(images / IMAGES_PER_RARE_DIGIT[split])).astype(int).tolist()

    def _images(self, split: str) -> int:
        return {"train": self.train_images, "val": self.val_images, "test": self.test_images}[split]

    def _scenes(self, split: str, source: Source, instances: np.ndarray, places: list[int]) -> list[Scene]:
        """The scenes of a split, from the handwritten digits and the tiles that belong to it."""
        rng = stream(self.data_seed, f"scenes of {split}")
        images = self._images(split)
        kinds = rng.permutation(np.repeat(np.arange(len(self.digits)), self.pasted(split)))
        # The first digits go one to each image, the others to random ones of the three quadrants left in each.
        others = rng.permutation(np.repeat(np.arange(images), 3))[: len(kinds) - images]
        homes = np.concatenate([np.arange(images), others])
        supply = [cycle(rng.permutation(instances[source.labels[instances] == digit])) for digit in self.digits]
        scenes = []
        for image in range(images):
            tile = int(rng.choice(places))
            background = _crop(source.tiles[tile], rng)
            pasted = zip(kinds[homes == image], rng.permutation(4), strict=False)
            digits = [_paste(source, kind + 1, next(supply[kind]), quadrant, rng) for kind, quadrant in pasted]
            scenes.append(Scene(f"{split}_{image:04}", tile, background, digits))
        return scenes


def _tiles(photograph: np.ndarray) -> list[np.ndarray]:
    rows, columns = (range(0, length - TILE + 1, TILE) for length in photograph.shape[:2])
    return [photograph[top : top + TILE, left : left + TILE] for top in rows for left in columns]


def _crop(tile: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random square of a tile, in half of the cases mirrored."""
    side = rng.integers(SMALLEST_CROP, TILE + 1)
    top, left = rng.integers(TILE - side + 1, size=2)
    return tile[top : top + side, left : left + side][:, :: rng.choice([-1, 1])]


def _paste(source: Source, index: int, instance: int, quadrant: int, rng: np.random.Generator) -> Digit:
    """Random size, place, angle, colour and opacity of a digit; inside its quadrant it can meet no other."""
    side = rng.uniform(*SIDES)
    top, left = np.array(divmod(quadrant, 2)) / 2 + rng.uniform(0, 0.5 - side, size=2)
    angle, tint, opacity = rng.uniform(-STEEPEST, STEEPEST), rng.uniform(size=3), rng.uniform(*OPACITIES)
    return Digit(index, int(instance), source.pixels[instance], top, left, side, angle, tint, opacity)


def _resized(background: np.ndarray, side: int) -> np.ndarray:
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(background))
    return np.array(image.resize((side, side), Image.Resampling.BILINEAR), np.float32)


def _ink(digit: Digit, image_size: int) -> np.ndarray:
    """How much the strokes cover of each pixel of the square that they are pasted into, 0 to 1."""
    from PIL import Image

    side = int(digit.side * image_size)
    strokes = Image.fromarray(np.pad(digit.pixels, 1)).resize((side, side), Image.Resampling.BICUBIC)
    strokes = np.asarray(strokes.rotate(digit.angle, Image.Resampling.BICUBIC))
    return np.clip((strokes - INK[0]) / (INK[1] - INK[0]), 0, 1)

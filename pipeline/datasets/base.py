"""What a dataset must say, and what all datasets share."""

import math
import struct
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from pipeline.plumbing.archive import Archive
from pipeline.plumbing.errors import UserError, did_you_mean
from pipeline.plumbing.plugins import Plugin
from pipeline.plumbing.random_streams import stream
from pipeline.plumbing.transfer import fetch
from pipeline.plumbing.unpack import unpack

SPLITS = ("train", "val", "test")


class Dataset(Plugin):
    """A source of images with class-index masks, split into train, val and test.

    You must write `samples` and `load`, state `license` and `citation`, and have `classes`, the names of the classes
    in the order of their index in the masks, as a property or as an option. A dataset that is not made of archives
    also overrides `download` and, if what it downloads can change, `source`. `prepare` does the rest: it resizes
    to `image_size` (bilinear for images, nearest neighbour for masks), thins the train split as `keep` says, measures
    class frequencies on it and stores plain arrays, so training and evaluation never know which dataset they work on.
    """

    license: ClassVar[str]
    citation: ClassVar[str]
    official_archives: ClassVar[list[Archive]] = []

    image_size: int | list[int] = 256
    """Height and width in pixels after `prepare`: one number for a square, or `[height, width]`."""
    archives: list[Archive] = []
    """Where to fetch the archives instead of their official addresses: a `url` and `checksum` each, in their order."""
    keep: dict[str, Annotated[float, Field(gt=0, le=1)]] = {}
    """Share of the train images holding a class that is kept, above 0 to 1, by class: `{bicyclist: 0.1}`. Val and test
    stay whole. An image goes if any of the classes gives it up; the images of a smaller share are among those of a
    larger one, and one image is kept of each class, unless another class gives it up."""

    @field_validator("image_size")
    @classmethod
    def _sizes_are_sensible(cls, size: int | list[int]) -> int | list[int]:
        sides = [size, size] if isinstance(size, int) else size
        if len(sides) != 2 or not all(16 <= side <= 4096 for side in sides):
            raise ValueError(f"must be a side or [height, width], each from 16 to 4096 pixels, not {size}.")
        return size

    @field_validator("archives")
    @classmethod
    def _archives_replace_the_official_ones(cls, archives: list[Archive]) -> list[Archive]:
        official = len(cls.official_archives)
        if archives and not official:
            raise ValueError("this dataset is not made of archives; remove the key.")
        if len(archives) not in (0, official):
            raise ValueError(f"{official} archives make this dataset, not {len(archives)}.")
        if any(archive.checksum is None for archive in archives):
            raise ValueError("each needs a checksum: without one, an older file of that name would be taken for it.")
        return archives

    @model_validator(mode="after")
    def _kept_classes_exist(self) -> Self:
        for name in self.keep:
            if name not in self.classes:
                raise ValueError(f"keep: no class '{name}'. {did_you_mean(name, self.classes)}")
        return self

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels of the prepared images."""
        return (self.image_size, self.image_size) if isinstance(self.image_size, int) else tuple(self.image_size)

    def source(self) -> dict[str, Any]:
        """What `download` depends on, JSON-serialisable: an edit of anything else must not download again."""
        return {"archives": [archive.model_dump() for archive in self.archives or self.official_archives]}

    def download(self, raw: Path, archives: Path) -> None:
        """Fill the new directory `raw` with the unpacked source. `archives` keeps verified archives between runs."""
        raw.mkdir(parents=True)
        for archive in self.archives or self.official_archives:
            unpack(fetch(archive, archives), raw)

    def samples(self, raw: Path) -> dict[str, list[Any]]:
        """For each of `SPLITS` its samples, in a fixed order: any objects whose `str` is a unique, readable name.

        Raises UserError if the directory `raw` does not hold what this dataset promises.
        """
        raise NotImplementedError

    def load(self, sample: Any) -> tuple[np.ndarray, np.ndarray]:
        """One sample at its original size: RGB image `h w 3` and mask `h w` of class indices or IGNORE, both uint8.

        Raises OSError or ValueError, with the reason, if a file cannot be read or does not fit; `prepare` collects
        these from all samples and reports them in one error.
        """
        raise NotImplementedError

    def kept(self, class_pixels: np.ndarray) -> np.ndarray:
        """Indices of the train images that `keep` leaves, ascending; `class_pixels` is `n classes`."""
        stays = np.ones(len(class_pixels), bool)
        for name, share in self.keep.items():
            holders = np.flatnonzero(class_pixels[:, self.classes.index(name)])
            count = math.ceil(round(share * len(holders), 6))  # 0.07 * 100 is 7.000000000000001
            stays[stream(0, f"keep {name}").permutation(holders)[count:]] = False
        return np.flatnonzero(stays)


class Pair(NamedTuple):
    """A sample made of two files."""

    name: str
    image: Path
    mask: Path

    def __str__(self) -> str:
        return self.name


def read_image(path: Path) -> np.ndarray:
    """An image file of any 8-bit format as RGB `h w 3`; the content decides about the format, not the name.

    Transparency is dropped. The EXIF orientation is not applied: masks are drawn on the pixels as stored.
    """
    with _opened(path) as image:
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"{path}: {image.mode} pixels have more than 8 bits; convert the image to 8 bits first.")
        # Pillow wants the palette resolved before the transparency is dropped.
        image = image.convert("RGBA") if image.has_transparency_data else image
        return np.asarray(image.convert("RGB"))


def read_mask(path: Path, codes: Mapping[int, int]) -> np.ndarray:
    """A mask file `h w` with each stored value replaced as `codes` says: {value in the file: class index or IGNORE}.

    Of a palette image the values are the indices. Raises ValueError if the file holds a value that is no code.
    """
    with _opened(path) as image:
        stored = np.asarray(image)
        if stored.ndim != 2 or stored.dtype.kind not in "bui":
            raise ValueError(f"{path}: a mask has one channel of class indices, this file is {image.mode}.")
    if unknown := sorted(set(np.unique(stored).tolist()) - set(codes)):
        raise ValueError(f"{path}: holds the values {listed(unknown, 12)}; allowed are {listed(sorted(codes), 12)}.")
    classes = np.zeros(max(codes) + 1, np.uint8)
    classes[list(codes)] = list(codes.values())
    return classes[stored.astype(np.intp)]


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The Pillow image in a file, decoded. Raises ValueError, whatever Pillow raises for a damaged file."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            image.load()
            yield image
    except UnidentifiedImageError:
        raise ValueError(f"{path}: not an image, or damaged from its first bytes.") from None
    except (OSError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: {getattr(error, 'strerror', None) or error}.") from error


def listed(items: Iterable[Any], most: int = 50, separator: str = ", ") -> str:
    """`a, b, c, and 7 more`: names for a message, as many as a person reads."""
    items = list(items)
    rest = [f"and {len(items) - most} more"] if len(items) > most else []
    return separator.join([*map(str, items[:most]), *rest])


def split_off(strata: Sequence[Hashable], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Split indices 0..n-1 at random into (rest, part), so that `share` of each stratum goes to the part.

    Two indices are enough: a stratum of a single one, and the smallest strata where one side has fewer indices than
    there are strata, join the largest one. Both results are sorted and never empty.
    """
    from sklearn.model_selection import train_test_split

    n = len(strata)
    if n < 2:
        raise UserError(f"{n} samples cannot be split in two. Add samples, or make the other splits smaller.")
    count = min(max(round(n * share), 1), n - 1)
    sizes = Counter(strata).most_common()
    kept = {stratum for stratum, size in sizes[: min(count, n - count)] if size > 1}
    merged = [str(stratum if stratum in kept else sizes[0][0]) for stratum in strata]
    rest, part = train_test_split(range(n), test_size=count, random_state=seed, stratify=merged)
    return sorted(rest), sorted(part)


def split_in_three(strata: Sequence[Hashable], val_share: float, test_share: float, seed: int) -> dict[str, list[int]]:
    """Indices 0..n-1 for each of `SPLITS`, in the same proportions in each stratum as far as its size allows."""
    rest, test = split_off(strata, test_share, seed)
    train, val = split_off([strata[i] for i in rest], val_share / (1 - test_share), seed)
    return {"train": [rest[i] for i in train], "val": [rest[i] for i in val], "test": test}

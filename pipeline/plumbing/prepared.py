"""What `prepare` keeps of the test images beside the arrays: groups, sizes and masks from before the resizing.

`test_images.csv` has a row for each test image, `test_original_masks.zip` the masks of those that were resized, as PNG
files of class indices (255: void) named by their place among the test images; without any, there is no such file.
`about.json` holds `spacing` and `unit`. Only judging depends on these files, so no edit of them trains anything again.
"""

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image

from pipeline.plumbing.arrays import open_array
from pipeline.plumbing.files import file_digest, read_csv, read_json, write_csv

Image.MAX_IMAGE_PIXELS = None  # `prepare` has its own limit and stores no mask above it
IMAGES, MASKS = "test_images.csv", "test_original_masks.zip"
Size = Literal["prepared", "original"]


class Original(NamedTuple):
    """A row of `test_images.csv`: a test image as it was before it was resized."""

    name: str
    group: str  # empty: none
    height: int
    width: int


def encoded(mask: np.ndarray) -> bytes:
    """A mask `h w` (uint8) as PNG: of Oxford pets 3 KB instead of 186."""
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "png")
    return file.getvalue()


def write_test_images(prepared: Path, images: Sequence[Original]) -> None:
    write_csv(prepared / IMAGES, [image._asdict() for image in images], Original._fields)


def write_original_masks(prepared: Path, masks: Mapping[int, bytes]) -> None:
    """Store the encoded masks by their place among the test images, as the same bytes at any time; none: no file."""
    if masks:
        with zipfile.ZipFile(prepared / MASKS, "w") as archive:
            for place, png in masks.items():
                entry = zipfile.ZipInfo(f"{place}.png")  # without a date, and stored as it is
                entry.external_attr = 0o644 << 16  # readable for whoever unpacks it
                archive.writestr(entry, png)


def read_test_images(prepared: Path) -> list[Original]:
    rows = read_csv(prepared / IMAGES)
    return [Original(row["name"], row["group"], int(row["height"]), int(row["width"])) for row in rows]


def read_test_groups(prepared: Path) -> list[str]:
    """The group of each test image; one that has none is a group of its own, by its name."""
    return [image.group or image.name for image in read_test_images(prepared)]


def read_test_spacing(prepared: Path, size: Size) -> list[tuple[float, float]]:
    """Height and width of a pixel of each test image in the unit of the dataset.

    A pixel of the prepared image covers original / prepared pixels of the original one in each direction.
    """
    spacing = read_json(prepared / "about.json")["spacing"]
    images = read_test_images(prepared)
    if size == "original":
        return [tuple(spacing)] * len(images)
    height, width = read_json(prepared / "meta.json")["image_size"]
    return [(spacing[0] * image.height / height, spacing[1] * image.width / width) for image in images]


def read_test_masks(prepared: Path, size: Size) -> Sequence[np.ndarray]:
    """The true masks `h w` (uint8) of the test images, read from disk one at a time; originals differ in size."""
    masks, archive = open_array(prepared / "test_masks.npy"), _archive(prepared, size)
    return OriginalMasks(masks, archive) if archive else masks


def scoring_basis(prepared: Path, size: Size) -> list[Any]:
    """What scores at a size depend on, besides the arrays of the dataset: two datasets that differ in it, differ."""
    archive = _archive(prepared, size)
    return [read_test_spacing(prepared, size), *([file_digest(archive)] if archive else [])]


def _archive(prepared: Path, size: Size) -> Path | None:
    """The file of original masks, where scoring at this size reads it."""
    return prepared / MASKS if size == "original" and (prepared / MASKS).is_file() else None


class OriginalMasks(Sequence):
    """Masks at the size of their files; one that is not in the archive had the prepared size from the beginning."""

    def __init__(self, prepared: np.ndarray, archive: Path) -> None:
        self._prepared = prepared
        self._archive = zipfile.ZipFile(archive)
        self._resized = set(self._archive.namelist())

    def __len__(self) -> int:
        return len(self._prepared)

    def __getitem__(self, place: int) -> np.ndarray:
        name = f"{range(len(self))[place]}.png"
        if name not in self._resized:
            return self._prepared[place]
        return np.asarray(Image.open(io.BytesIO(self._archive.read(name))))

"""Samples that are an image file and a mask file, and how such files are read."""

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.plumbing.errors import listed


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

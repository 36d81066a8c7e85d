"""Samples that are an image file and a mask file, and how such files are read."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline.datasets.base_headers import image_fault, mask_fault, unreadable
from pipeline.plumbing.errors import listed


class Pair(NamedTuple):
    """A sample made of two files."""

    name: str
    image: Path
    mask: Path

    def __str__(self) -> str:
        return self.name


def read_image(path: Path, published: bool = False) -> np.ndarray:
    """An image file as RGB `h w 3` (uint8), whole but for its transparency.

    What would be read in part or turned raises ValueError, by the rule of `base_headers`. `published`: the masks are
    known to fit the first frame as it is stored, so neither further frames nor an EXIF orientation is a fault.
    """
    image = _loaded(path, lambda image: image_fault(image, path, published))
    # Pillow wants the palette resolved before the transparency is dropped.
    image = image.convert("RGBA") if image.has_transparency_data else image
    return np.asarray(image.convert("RGB"))


def read_mask(path: Path, codes: Mapping[int, int]) -> np.ndarray:
    """A mask file `h w` with each stored value replaced as `codes` says: {value in the file: class index or IGNORE}.

    Of a palette image the values are the indices; of a black and white one they are 0 and 1. Raises ValueError if the
    file holds a value that is no code, or by the rule of `base_headers`.
    """
    image = _loaded(path, lambda image: mask_fault(image, path))
    stored = np.asarray(image)
    if stored.ndim != 2 or stored.dtype.kind not in "bui":
        raise ValueError(f"{path}: a mask has one channel of class indices, this file is {image.mode}.")
    if unknown := sorted(set(np.unique(stored).tolist()) - set(codes)):
        raise ValueError(f"{path}: holds the values {listed(unknown, 12)}; allowed are {listed(sorted(codes), 12)}.")
    classes = np.zeros(max(codes) + 1, np.uint8)
    classes[list(codes)] = list(codes.values())
    return classes[stored.astype(np.intp)]


def _loaded(path: Path, find_fault: Callable[[Any], str]) -> Any:
    """The Pillow image in a file, decoded. Raises ValueError for what `find_fault` finds, and for damage."""
    from PIL import Image, UnidentifiedImageError

    Image.MAX_IMAGE_PIXELS = None  # `find_fault` has a limit that says what to do; Pillow would warn far below it
    try:
        with Image.open(path) as image:
            fault = find_fault(image)
            if not fault:
                image.load()
    except UnidentifiedImageError:
        fault = unreadable(path)
    except Exception as error:  # its plug-ins raise almost anything for a damaged file
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        fault = f"{reason.rstrip('.')}."
    if fault:
        raise ValueError(f"{path}: {fault}")
    return image

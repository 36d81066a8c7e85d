"""Copies an object of one image into another."""

from typing import NamedTuple

import cv2
import numpy as np


class Cutout(NamedTuple):
    """An object cut out of its image, with some of what surrounds it."""

    image: np.ndarray
    """`h w 3` uint8."""
    inside: np.ndarray
    """`h w` bool: the pixels of the object."""
    alpha: np.ndarray
    """`h w` float32 from 0 to 1: how opaque it is pasted; fades out around the object, which stays whole."""


def component_at(mask: np.ndarray, pixel: np.ndarray) -> np.ndarray:
    """The 8-connected component of one class that holds a pixel (row and column) of a mask `h w`, as `h w` bool."""
    row, column = pixel
    _, labels = cv2.connectedComponents((mask == mask[row, column]).astype(np.uint8), connectivity=8)
    return labels == labels[row, column]


def cut_out(image: np.ndarray, component: np.ndarray, scale: float, blend: float) -> Cutout:
    """The component at `scale` times its size, or as large as fits into its image.

    Around it, its surroundings fade out by a Gaussian with a standard deviation of `blend` pixels of the result. If it
    were softened inwards too, a pole two pixels wide would be a ghost without a label.
    """
    box = _box(component, margin=int(np.ceil(2 * blend / scale)))
    scale = min(scale, *np.divide(component.shape, component[box].shape))
    high, wide = (max(1, round(scale * length)) for length in component[box].shape)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR  # linear skips pixels when it shrinks: all of a pole
    cover = cv2.resize(component[box].astype(np.float32), (wide, high), interpolation=how)
    inside = cover > min(0.5, cover.max()) - 1e-3  # of the thinnest, what it covers most; ties differ by rounding
    alpha = inside.astype(np.float32)
    if blend:
        alpha = np.maximum(alpha, cv2.GaussianBlur(alpha, (0, 0), blend, borderType=cv2.BORDER_CONSTANT))
    return Cutout(cv2.resize(image[box], (wide, high), interpolation=how), inside, alpha)


def paste_image(image: np.ndarray, cutout: Cutout, top: int, left: int) -> np.ndarray:
    """A copy of an image `h w 3` uint8 with the cutout blended in at `top` and `left`."""
    high, wide = cutout.inside.shape
    pasted, place = image.copy(), np.s_[top : top + high, left : left + wide]
    alpha = cutout.alpha[..., None]
    pasted[place] = np.rint(alpha * cutout.image + (1 - alpha) * image[place]).astype(np.uint8)
    return pasted


def paste_mask(mask: np.ndarray, cutout: Cutout, index: int, top: int, left: int) -> np.ndarray:
    """A copy of a mask `h w` in which the pixels of the object are of class `index`."""
    high, wide = cutout.inside.shape
    pasted = mask.copy()
    pasted[top : top + high, left : left + wide][cutout.inside] = index
    return pasted


def _box(component: np.ndarray, margin: int) -> tuple[slice, slice]:
    """The smallest box around a component with a margin, as far as the image reaches."""
    ends = (np.flatnonzero(component.any(axis=axis))[[0, -1]] for axis in (1, 0))
    return tuple(slice(max(0, first - margin), last + 1 + margin) for first, last in ends)

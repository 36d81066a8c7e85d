"""What is measured of prepared images and masks: how often each class occurs, and how bright the channels are."""

from typing import Any

import cv2
import numpy as np

from pipeline.plumbing.labels import IGNORE

COLUMNS = ("class", "pixels", "pixel_frequency", "images", "image_frequency")  # of `class_frequencies.csv`
LEVELS = np.arange(256) / 255  # the values of a uint8 channel in 0..1


def count_classes(masks: np.ndarray, classes: int) -> np.ndarray:
    """Pixels of each class in each mask, `n classes`; ignored pixels are not counted."""
    return np.stack([np.bincount(mask.ravel(), minlength=IGNORE + 1)[:classes] for mask in masks])


def count_components(masks: np.ndarray, class_pixels: np.ndarray) -> np.ndarray:
    """8-connected components of each class in each mask, `n classes`; `class_pixels` says where there are any."""
    components = np.zeros_like(class_pixels)
    for image, index in np.argwhere(class_pixels):
        held = (masks[image] == index).view(np.uint8)
        components[image, index] = cv2.connectedComponents(held, connectivity=8)[0] - 1  # one is the rest
    return components


def class_frequencies(classes: list[str], class_pixels: np.ndarray) -> list[dict[str, Any]]:
    """A row for each class, as in `class_frequencies.csv`."""
    pixels, images = class_pixels.sum(0), (class_pixels > 0).sum(0)
    shares = pixels / pixels.sum(), images / len(class_pixels)
    columns = (classes, pixels.tolist(), shares[0].tolist(), images.tolist(), shares[1].tolist())
    return [dict(zip(COLUMNS, row, strict=True)) for row in zip(*columns, strict=True)]


def channel_statistics(images: np.ndarray) -> dict[str, list[float]]:
    """Mean and standard deviation of each channel in 0..1, from exact counts of its 256 levels."""
    counts = sum(np.stack([np.bincount(image[..., c].ravel(), minlength=256) for c in range(3)]) for image in images)
    shares = counts / counts.sum(1, keepdims=True)
    mean = shares @ LEVELS
    variance = (shares * (LEVELS - mean[:, None]) ** 2).sum(1)
    std = np.maximum(np.sqrt(variance), LEVELS[1])  # a channel may be constant
    return {"mean": mean.tolist(), "std": std.tolist()}

"""Augmentation on uint8 images and masks. The one module that imports albumentations."""

import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask the network for a newer version at import
import albumentations as A
import cv2

cv2.setNumThreads(0)  # loader workers and cells already share the cores


class CropAroundClasses(A.DualTransform):
    """Enlarges a window around one of `classes` to the full size of the image.

    A class is drawn from those present, then one of its pixels, then a window of the image's proportions that holds the
    pixel, with a side between `smallest` and 1 of the image's. Without any of the classes the window is the image.
    """

    def __init__(self, classes: list[int], smallest: float, p: float) -> None:
        super().__init__(p=p)
        self.classes, self.smallest = classes, smallest

    @property
    def targets_as_params(self) -> list[str]:
        return ["mask"]

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        mask = data["mask"]
        height, width = mask.shape[:2]
        present = np.intersect1d(np.unique(mask), self.classes)
        if not len(present):
            return {"window": (0, 0, height, width)}
        random = self.random_generator
        rows, columns = np.nonzero(mask == random.choice(present))
        pixel = random.integers(len(rows))
        side = random.uniform(self.smallest, 1.0)
        high, wide = max(1, round(side * height)), max(1, round(side * width))
        top = random.integers(max(0, rows[pixel] - high + 1), min(rows[pixel], height - high) + 1)
        left = random.integers(max(0, columns[pixel] - wide + 1), min(columns[pixel], width - wide) + 1)
        return {"window": (int(top), int(left), high, wide)}

    def apply(self, img: np.ndarray, window: tuple[int, int, int, int], **params: Any) -> np.ndarray:
        return _enlarged(img, window, cv2.INTER_LINEAR)

    def apply_to_mask(self, mask: np.ndarray, window: tuple[int, int, int, int], **params: Any) -> np.ndarray:
        return _enlarged(mask, window, cv2.INTER_NEAREST_EXACT)  # the other NEAREST is off by half a pixel

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        return ("classes", "smallest")


class Augmentation:
    """Augments one image with its mask: the same result for the same seed, in any process."""

    def __init__(self, strength: str, horizontal_flip: bool, rare: Any = None) -> None:
        """`rare` is a `RareClassAugmentation` of a strategy: how images that hold its classes are treated instead."""
        self.common = _compose(lambda: _transforms(strength, horizontal_flip))
        self.rare_classes = rare.classes if rare else []
        self.rare = self.common
        if rare:
            crop = CropAroundClasses(rare.classes, rare.smallest_crop, p=rare.crop_probability)
            self.rare = _compose(lambda: [crop, *_transforms(rare.strength, horizontal_flip)])

    def __call__(self, image: np.ndarray, mask: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Image `h w 3` and mask `h w`, both uint8, to new ones of the same shape."""
        compose = self.rare if len(self.rare_classes) and np.isin(mask, self.rare_classes).any() else self.common
        compose.set_random_seed(seed)
        augmented = compose(image=image, mask=mask)
        return np.ascontiguousarray(augmented["image"]), np.ascontiguousarray(augmented["mask"])


def _transforms(strength: str, horizontal_flip: bool) -> list[A.BasicTransform]:
    flip = [A.HorizontalFlip(p=0.5)] if horizontal_flip else []
    match strength:
        case "none":
            return flip
        case "light":
            return [*flip, _affine(scale=0.1, shift=0.05, degrees=10), A.RandomBrightnessContrast(0.15, 0.15, p=0.5)]
        case "strong":
            colour = A.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.05, p=0.8)
            noise = A.OneOf(
                [A.GaussianBlur(blur_limit=(3, 5), p=1.0), A.GaussNoise(std_range=(0.02, 0.08), p=1.0)], p=0.3
            )
            return [*flip, _affine(scale=0.25, shift=0.1, degrees=20), colour, noise]
    raise ValueError(f"no augmentation '{strength}'")


def _affine(scale: float, shift: float, degrees: float) -> A.Affine:
    """A random similarity; what it uncovers at the border is filled by reflection, in image and mask alike."""
    return A.Affine(
        scale=(1 - scale, 1 + scale),
        translate_percent=(-shift, shift),
        rotate=(-degrees, degrees),
        border_mode=cv2.BORDER_REFLECT_101,
        p=0.8,
    )


def _compose(make: Callable[[], list[A.BasicTransform]]) -> A.Compose:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # an argument that albumentations does not know is only a warning there
        return A.Compose(make())


def _enlarged(array: np.ndarray, window: tuple[int, int, int, int], interpolation: int) -> np.ndarray:
    top, left, high, wide = window
    height, width = array.shape[:2]
    return cv2.resize(array[top : top + high, left : left + wide], (width, height), interpolation=interpolation)

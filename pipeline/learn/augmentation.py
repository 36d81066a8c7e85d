"""Augmentation on uint8 images and masks. The one module that imports albumentations."""

import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # it would ask the network for a newer version at import
import albumentations as A
import cv2

from pipeline.learn.paste import Cutout, component_at, cut_out, paste_image, paste_mask
from pipeline.strategies.base import NONE, Treatment

Window = tuple[int, int, int, int]  # top, left, height and width in pixels
Donor = tuple[np.ndarray, np.ndarray, int]

cv2.setNumThreads(0)  # loader workers and cells already share the cores


TRIES = 10  # windows around a class, of which one is to hold enough of it


class CropAroundFocus(A.DualTransform):
    """Enlarges a window around a class to the full size of the image; see `pipeline.strategies.base.Crop`.

    The class is the key `focus` of what is augmented. Without a pixel of it the image stays whole.
    """

    def __init__(self, smallest: float, largest: float, holds: float, p: float = 1.0) -> None:
        super().__init__(p=p)
        self.smallest, self.largest, self.holds = smallest, largest, holds

    @property
    def targets_as_params(self) -> list[str]:
        return ["mask", "focus"]

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        inside = data["mask"] == data["focus"]
        pixels = np.argwhere(inside)
        if not len(pixels):
            return {"window": (0, 0, *inside.shape)}
        held, best = -1, None
        for _ in range(TRIES if self.holds else 1):
            window = self._window(pixels[self.random_generator.integers(len(pixels))], inside.shape)
            if (now := np.count_nonzero(_part(inside, window))) > held:
                held, best = now, window
            if held >= self.holds * len(pixels):
                break
        return {"window": best}

    def _window(self, pixel: np.ndarray, shape: tuple[int, int]) -> Window:
        """A window centred on the pixel, as far as the image reaches."""
        side = self.random_generator.uniform(self.smallest, self.largest)
        high, wide = (max(1, round(side * length)) for length in shape)
        top = min(max(0, int(pixel[0]) - high // 2), shape[0] - high)
        left = min(max(0, int(pixel[1]) - wide // 2), shape[1] - wide)
        return top, left, high, wide

    def apply(self, img: np.ndarray, window: Window, **params: Any) -> np.ndarray:
        return _enlarged(img, window, cv2.INTER_LINEAR)

    def apply_to_mask(self, mask: np.ndarray, window: Window, **params: Any) -> np.ndarray:
        return _enlarged(mask, window, cv2.INTER_NEAREST_EXACT)  # the other NEAREST is off by half a pixel

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        return ("smallest", "largest", "holds")


class PasteObject(A.DualTransform):
    """Pastes one object of another image at a random place; see `pipeline.strategies.base.Paste`.

    The other image, its mask and the class of the object are the key `donor` of what is augmented; None pastes nothing.
    """

    def __init__(self, smallest_scale: float, largest_scale: float, blend: float, p: float = 1.0) -> None:
        super().__init__(p=p)
        self.smallest_scale, self.largest_scale, self.blend = smallest_scale, largest_scale, blend

    @property
    def targets_as_params(self) -> list[str]:
        return ["mask", "donor"]

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        if data["donor"] is None:
            return {"cutout": None, "place": {}}
        image, mask, index = data["donor"]
        random = self.random_generator
        pixels = np.argwhere(mask == index)
        component = component_at(mask, pixels[random.integers(len(pixels))])
        scale = np.exp(random.uniform(np.log(self.smallest_scale), np.log(self.largest_scale)))
        cutout = cut_out(image, component, scale, self.blend)
        free = np.array(data["mask"].shape) - cutout.inside.shape
        top, left = (int(random.integers(length + 1)) for length in free)
        return {"cutout": cutout, "index": index, "place": {"top": top, "left": left}}

    def apply(self, img: np.ndarray, cutout: Cutout | None, place: dict[str, int], **params: Any) -> np.ndarray:
        return paste_image(img, cutout, **place) if cutout else img

    def apply_to_mask(
        self, mask: np.ndarray, cutout: Cutout | None, place: dict[str, int], **params: Any
    ) -> np.ndarray:
        return paste_mask(mask, cutout, params["index"], **place) if cutout else mask

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        return ("smallest_scale", "largest_scale", "blend")


class Augmentation:
    """Augments one image with its mask: the same result for the same seed, in any process."""

    def __init__(self, strength: str, horizontal_flip: bool, treatment: Treatment | None = None) -> None:
        """A strategy's `treatment` comes before the common augmentation of that strength, or in its place."""
        treatment = treatment or Treatment()
        first = [PasteObject(*treatment.paste)] if treatment.paste else []
        first += [CropAroundFocus(*treatment.crop)] if treatment.crop else []
        self.common = _compose(lambda: [*first, *_transforms(strength, horizontal_flip)])
        self.rare_classes = treatment.rare_classes
        rare_strength = treatment.strength or strength
        self.rare = _compose(lambda: [*first, *_transforms(rare_strength, horizontal_flip)])

    def __call__(
        self, image: np.ndarray, mask: np.ndarray, seed: int, focus: int = NONE, donor: Donor | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Image `h w 3` and mask `h w`, both uint8, to new ones of the same shape.

        A crop is made around the class `focus`; an object is copied from `donor`: image, mask and class.
        """
        rare = len(self.rare_classes) and np.isin(mask, self.rare_classes).any()
        compose = self.rare if rare else self.common
        compose.set_random_seed(seed)
        augmented = compose(image=image, mask=mask, focus=focus, donor=donor)
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


def _enlarged(array: np.ndarray, window: Window, interpolation: int) -> np.ndarray:
    height, width = array.shape[:2]
    return cv2.resize(_part(array, window), (width, height), interpolation=interpolation)


def _part(array: np.ndarray, window: Window) -> np.ndarray:
    top, left, high, wide = window
    return array[top : top + high, left : left + wide]

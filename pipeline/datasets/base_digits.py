"""How the scenes of the dataset `digits` are drawn: handwritten digits in the quadrants of a crop of a photograph."""

from typing import NamedTuple

import numpy as np

TILE = 106  # pixels: a photograph of 427 x 640 is cut into 4 x 6 such squares
SMALLEST_CROP = 64  # pixels of a tile behind a scene; a larger crop shows more at a lower resolution
QUADRANT = 0.5  # sides of the image
SIDES = (0.34, QUADRANT)  # of a pasted digit with its margin, in sides of the image
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


def cut(photograph: np.ndarray) -> list[np.ndarray]:
    """The tiles of a photograph."""
    rows, columns = (range(0, length - TILE + 1, TILE) for length in photograph.shape[:2])
    return [photograph[top : top + TILE, left : left + TILE] for top in rows for left in columns]


def crop(tile: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random square of a tile, in half of the cases mirrored."""
    side = rng.integers(SMALLEST_CROP, TILE + 1)
    top, left = rng.integers(TILE - side + 1, size=2)
    return tile[top : top + side, left : left + side][:, :: rng.choice([-1, 1])]


def paste(
    source: Source, index: int, instance: int, quadrant: int, rng: np.random.Generator, scale: float = 1.0
) -> Digit:
    """Random size, place, angle, colour and opacity of a digit; inside its quadrant it can meet no other.

    The side is `scale` times what it would be, but no larger than the quadrant.
    """
    side = min(rng.uniform(*SIDES) * scale, QUADRANT)
    top, left = np.array(divmod(quadrant, 2)) * QUADRANT + rng.uniform(0, QUADRANT - side, size=2)
    angle, tint, opacity = rng.uniform(-STEEPEST, STEEPEST), rng.uniform(size=3), rng.uniform(*OPACITIES)
    return Digit(index, int(instance), source.pixels[instance], top, left, side, angle, tint, opacity)


def draw(scene: Scene, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """The image `h w 3` and the mask `h w` of a scene, both uint8."""
    image = _resized(scene.background, image_size)
    mask = np.zeros(image.shape[:2], np.uint8)
    for digit in scene.digits:
        ink = _ink(digit, image_size)
        top, left = (round(share * image_size) for share in (digit.top, digit.left))
        place = np.s_[top : top + len(ink), left : left + len(ink)]
        colour = CONTRAST * digit.tint if image[place].mean() > 127 else 255 - CONTRAST * digit.tint
        opacity = digit.opacity * ink[..., None]
        image[place] = (1 - opacity) * image[place] + opacity * colour
        mask[place][ink >= 0.5] = digit.index
    return image.round().astype(np.uint8), mask


def mask_pixels(digit: Digit, image_size: int, scale: float = 1.0) -> int:
    """How many pixels of the mask a digit gets if it is pasted at `scale`."""
    side = min(digit.side * scale, QUADRANT)
    return int((_ink(digit._replace(side=side), image_size) >= 0.5).sum())


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

"""Surfaces, skeletons and objects of many images at once."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pipeline.measure.counts import objects, skeletons, surfaces

COLUMNS = (*surfaces.COLUMNS, *skeletons.COLUMNS, *objects.COLUMNS)


def count_shapes(
    predicted: Sequence[np.ndarray],
    truth: Sequence[np.ndarray],
    classes: int,
    spacing: Sequence[tuple[float, float]],
    tolerance: float,
    true_skeletons: dict[int, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """The columns of `count_surfaces`, `count_skeletons` and `count_objects`, `n c`, in the order of the images.

    The images are shared among threads: most of the time goes to compiled code that releases the interpreter.

    Args:
        predicted: `n h w` uint8 class indices; or a mask per image, which may differ in size.
        truth: the same, and 255 where void.
        classes: number of classes, `c`.
        spacing: height and width of a pixel, of each image.
        tolerance: in the unit of spacing.
        true_skeletons: of the true masks by their place, as far as they are known; those that are not are added.
            Thinning takes most of the time at 256 pixels, and half of it is for masks that stay.
    """
    known = {} if true_skeletons is None else true_skeletons

    def counted(image: tuple[int, tuple[np.ndarray, np.ndarray, tuple[float, float]]]) -> dict[str, np.ndarray]:
        place, (predicted, truth, spacing) = image
        if place not in known:
            known[place] = skeletons.skeleton_of(truth)
        return (
            surfaces.count_surfaces(predicted, truth, classes, spacing, tolerance)
            | skeletons.count_skeletons(predicted, truth, classes, known[place])
            | objects.count_objects(predicted, truth, classes)
        )

    with ThreadPoolExecutor() as pool:
        images = list(pool.map(counted, enumerate(zip(predicted, truth, spacing, strict=True))))
    return {name: np.stack([image[name] for image in images]) for name in COLUMNS}

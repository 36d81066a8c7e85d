"""Shared by the tests of the strategies."""

import numpy as np
import pytest
import torch

from pipeline.datasets.base_statistics import count_classes, count_components
from pipeline.learn.samples import shuffled_passes
from pipeline.plumbing import plugins
from pipeline.plumbing.labels import IGNORE
from pipeline.strategies.base import ClassStatistics, Draws

torch.set_num_threads(1)  # tiny tensors: more threads only cost time


@pytest.fixture(scope="session")
def build():
    """`build("oversample", power=0.5)`: a strategy as params.yaml would build it."""
    return lambda kind, **options: plugins.build("strategies", kind, options, kind)


@pytest.fixture(scope="session")
def statistics():
    """`statistics([6, 4], [10, 0])`: two images, the pixels of two classes in each.

    A class that an image holds is one component there, unless `components` says otherwise in the same form.
    """

    def of(*images, components=None):
        pixels = np.array(images, dtype=np.int64)
        counts = np.minimum(pixels, 1) if components is None else np.array(components, dtype=np.int64)
        for array in (pixels, counts):
            array.flags.writeable = False  # nobody may change what the next strategy is told
        return ClassStatistics(pixels, counts)

    return of


@pytest.fixture(scope="session")
def common():
    """`common(train, draws)`: what a training draws where no strategy chooses."""
    return lambda train, draws: Draws.of(shuffled_passes(0, draws, len(train.pixels)))


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A prepared dataset of six train images of 16 x 24 and four classes.

    Class 0 is background, class 2 small and in several pieces, class 3 has no pixel. One image is entirely void, two
    hold one class only, and void lies in others.
    """
    root, random = tmp_path_factory.mktemp("prepared"), np.random.default_rng(0)
    masks = np.zeros((6, 16, 24), dtype=np.uint8)
    masks[0, 2:12, 3:12], masks[0, 13:15, 18:22], masks[0, :, 0] = 1, 2, IGNORE
    masks[1] = IGNORE
    masks[3, 0, 0], masks[3, -1, -1] = 2, 2
    masks[3, 8:], masks[3, 15, 20:] = 1, 2
    masks[4, 5:8, 5:10], masks[4, 10:] = 1, IGNORE
    masks[5, 3] = IGNORE
    write_split(root, "train", masks, random)
    for split in ("val", "test"):
        write_split(root, split, random.integers(0, 4, (3, 16, 24), dtype=np.uint8), random)
    pixels = count_classes(masks, 4)
    np.save(root / "train_class_pixels.npy", pixels)
    np.save(root / "train_class_components.npy", count_components(masks, pixels))
    return root


def write_split(root, split, masks, random):
    np.save(root / f"{split}_images.npy", random.integers(0, 256, (*masks.shape, 3), dtype=np.uint8))
    np.save(root / f"{split}_masks.npy", masks)

"""Shared by the tests of the strategies."""

import numpy as np
import pytest

from pipeline.plumbing import plugins
from pipeline.strategies.base import ClassStatistics


@pytest.fixture(scope="session")
def build():
    """`build("oversample", power=0.5)`: a strategy as params.yaml would build it."""
    return lambda kind, **options: plugins.build("strategies", kind, options, kind)


@pytest.fixture(scope="session")
def statistics():
    """`statistics([6, 4], [10, 0])`: two images, the pixels of two classes in each."""

    def of(*images):
        pixels = np.array(images, dtype=np.int64)
        pixels.flags.writeable = False  # nobody may change what the next strategy is told
        return ClassStatistics(pixels)

    return of

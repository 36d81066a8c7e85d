"""Independent random streams that depend on the seed and on what they are for, and on nothing else.

A stream never sees the loss or the strategy, so at equal seeds every experiment starts from the same weights
and meets the same batches: comparisons are paired.
"""

import zlib

import numpy as np


def stream(seed: int, purpose: str, *numbers: int) -> np.random.Generator:
    """A generator for one purpose (`"order"`, `"initial weights"`), optionally one per number (a draw)."""
    return np.random.default_rng([seed, zlib.crc32(purpose.encode()), *numbers])


def small_seed(seed: int, purpose: str, *numbers: int) -> int:
    """A 32-bit seed of the same kind, for libraries that take a number instead of a generator."""
    return int(stream(seed, purpose, *numbers).integers(2**32))

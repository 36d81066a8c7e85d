"""Tells passes with fractions rounded up or down from other draws, without knowing where one pass ends."""

import numpy as np


def is_made_of_passes(images: np.ndarray, shows: np.ndarray) -> bool:
    """Whether draws can be cut so that image i occurs `floor(shows[i])` or `ceil(shows[i])` times in each part.

    The last part may be cut off.
    """
    least, most = np.floor(shows), np.ceil(shows)
    shortest, longest = int(least.sum()), int(most.sum())
    ends = {0}
    for start in range(len(images)):
        if start not in ends:
            continue
        for end in range(start + max(1, shortest), start + longest + 1):
            times = np.bincount(images[start:end], minlength=len(shows))
            if (times <= most).all() and ((times >= least).all() or end > len(images)):
                ends.add(min(end, len(images)))
    return len(images) in ends

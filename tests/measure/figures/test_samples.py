"""Which train images stand for the set."""

import numpy as np

from pipeline.measure.figures.samples import telling


def test_samples_of_rare_classes_are_shown_first():
    held = np.zeros((30, 3), bool)
    held[:, 0] = True
    held[20:25, 1] = True
    held[27, 2] = True
    assert telling(held)[:2] == [27, 20]
    assert len(set(telling(held))) == 8
    assert telling(held[:3, :1]) == [0, 1, 2]

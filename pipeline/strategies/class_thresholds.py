"""Class thresholds: a trained model decides for a class at a threshold of its own."""

from collections.abc import Callable
from typing import ClassVar

import numpy as np
from pydantic import Field

from pipeline.strategies.base import Aspect, ClassStatistics, Strategy

STEPS = 12  # of the thresholds of a class, on the logarithm
SWEEPS = 3  # over all classes, at most


class ClassThresholds(Strategy):
    """Threshold moving (Zhou, Liu, "Training Cost-Sensitive Neural Networks with Methods Addressing the Class Imbalance
    Problem", TKDE 2006), with thresholds fitted on the validation split.

        predicted class = argmax_c (p_c / t_c)

    with probabilities p of a trained model. Only ratios of thresholds matter; two that sum to 1, of two classes, are
    thresholds of the probabilities themselves. They start equal. Class after class, the rarest first, tries 13 and
    takes the one with the highest mean IoU on the validation split while the others stay, for at most three sweeps.

    Where we differ: the paper derives thresholds from the costs of mistakes, which have to be known.

    As an entry of its own it trains nothing: the trainings of the entry of kind `none` are judged once more. As many
    numbers as classes are fitted, so it adapts to the validation split more than `post_hoc_logit_adjustment` does.

    Use: as `post_hoc_logit_adjustment`, with a validation split that holds many pixels of every class.

    Calibration: as `post_hoc_logit_adjustment`.

    Family: priors.
    """

    acts_on: ClassVar[tuple[Aspect, ...]] = ("decisions",)

    widest: float = Field(default=20.0, gt=1.0, le=1000.0)
    """Thresholds are tried from the equal one divided by this up to the equal one times this."""

    def decision(self, statistics: ClassStatistics, score: Callable[[np.ndarray], float]) -> np.ndarray:
        offsets = np.zeros(statistics.pixels.shape[1])  # -log t
        best = score(offsets)
        grid = np.linspace(-1, 1, STEPS + 1) * np.log(self.widest)
        for _ in range(SWEEPS):
            before = best
            for index in np.argsort(statistics.pixel_frequency, kind="stable"):
                for value in grid:
                    moved = offsets.copy()
                    moved[index] = value
                    if (reached := score(moved)) > best:
                        best, offsets = reached, moved
            if best == before:
                break
        return offsets

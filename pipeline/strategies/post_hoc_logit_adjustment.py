"""Post-hoc logit adjustment: the logits of a trained model are shifted by how rare their class is."""

from collections.abc import Callable
from typing import ClassVar

import numpy as np
from pydantic import Field

from pipeline.strategies.base import Aspect, ClassStatistics, Strategy

STEPS = 20  # between tau 0 and the largest


class PostHocLogitAdjustment(Strategy):
    """Post-hoc logit adjustment (Menon et al., "Long-tail Learning via Logit Adjustment", ICLR 2021).

        predicted class = argmax_c (z_c - tau log f_c)

    with logits z of a trained model and f_c the share of class c among the pixels of the train split; a class without a
    pixel is taken to have one. tau is the one of 21 even steps from 0 to `largest` with the highest mean IoU on the
    validation split, the least of them if several are equal.

    Where we differ: the paper adjusts models trained by cross-entropy; here any loss may have trained them, also one
    that does not aim at probabilities, such as `dice`. The theory then says nothing about tau, but the fit remains.

    As an entry of its own it trains nothing: the trainings of the entry of kind `none` are judged once more. What
    re-weighting gains beyond this is what it was worth training for.

    Use: always, beside re-weighting and sampling, since it costs no training. The validation split must hold the rare
    classes, or there is nothing to fit to.

    Calibration: that of the model: only decisions move, so the chosen class need not be the most probable one.

    Family: priors.
    """

    acts_on: ClassVar[tuple[Aspect, ...]] = ("decisions",)

    largest: float = Field(default=2.0, gt=0.0, le=4.0)
    """Largest tau that is tried; the theory has 1, where the mean recall of the classes is best."""

    def decision(self, statistics: ClassStatistics, score: Callable[[np.ndarray], float]) -> np.ndarray:
        offsets = [-tau * statistics.log_prior for tau in np.linspace(0, self.largest, STEPS + 1)]
        return max(offsets, key=score)

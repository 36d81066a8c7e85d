"""Logit adjustment: in training, logits are shifted by how frequent their class is."""

from typing import ClassVar

import numpy as np
from pydantic import Field

from pipeline.strategies.base import Aspect, ClassStatistics, Strategy


class LogitAdjustment(Strategy):
    """The logit-adjusted loss (Menon et al., "Long-tail Learning via Logit Adjustment", ICLR 2021), for any loss.

        L(z + tau log f, t)

    with logits z, target t and f_c the share of class c among the pixels of the train split; a class without a pixel
    is taken to have one. The shift is left out when the model is used: its logits have learnt to make up for it, so
    where two classes are equally likely given the image, the rare one wins.

    Where we differ: the paper has cross-entropy only, and counts samples; ours are pixels.

    Use: where every class matters alike, as in mean IoU. For cross-entropy with tau = 1 it aims at the mean recall of
    the classes, and precision pays for it; for other losses there is no such theorem. With class weights or a sampler
    the imbalance is corrected twice. It is the loss `logit_adjusted` as a strategy, so do not cross it with that one,
    nor with `balanced_softmax`.

    Calibration: under cross-entropy with tau = 1 probabilities are those of equally frequent classes, so those of rare
    classes are too high for the data; adding tau log f to the logits brings those of the data back.

    Family: priors.
    """

    acts_on: ClassVar[tuple[Aspect, ...]] = ("logits",)

    tau: float = Field(default=1.0, gt=0.0, le=4.0)
    """Strength of the shift; above 1 it favours rare classes more than their frequency explains."""

    def logit_shift(self, statistics: ClassStatistics) -> np.ndarray:
        return self.tau * statistics.log_prior

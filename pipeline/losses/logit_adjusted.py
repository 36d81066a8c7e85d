"""Logit-adjusted: cross-entropy that asks a rare class for a larger margin."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


class LogitAdjusted(Loss):
    """Logit-adjusted softmax cross-entropy (Menon et al., "Long-tail Learning via Logit Adjustment", ICLR
    2021, the logit adjusted loss).

        L = sum_i w_t(i) * -log softmax(z_i + tau log pi)_t(i)  /  sum_i w_t(i)

    over valid pixels i with true class t(i), logits z and class weight w; pi_c is the share of class c among the pixels
    of the train split. The model is used without the adjustment, so its z have to make up for it: where the classes are
    equally likely given the image, the rare one wins.

    Absent class: its probability counts, by its prior. Limits: tau = 0, or equal priors, is `cross_entropy`; tau = 1 is
    `balanced_softmax`; a class c is told from c' by a margin of tau log(pi_c' / pi_c).

    Use: where every class matters alike, as in mean IoU or mean accuracy, and some are rare. At tau = 1 it is
    consistent with the balanced error, so it aims at mean accuracy; precision pays for it. With class weights or a
    sampler for rare classes the imbalance is corrected twice.
    Family: imbalance.
    """

    tau: float = Field(default=1.0, ge=0.0, le=4.0)
    """Strength of the adjustment; above 1 it favours rare classes more than their frequency explains. The default is
    the paper's, and the only one that is consistent with the balanced error. Shares of pixels are smaller than those of
    images: a class of 1e-5 of the pixels is shifted by 11.5 logits, so lower it where its false alarms are too many."""

    def needs_statistics(self) -> frozenset[str]:
        return frozenset({"train_pixels"})

    def refuses_soft_targets(self) -> None:
        return None

    def formula(self, batch: Batch) -> Tensor:
        adjustment = self.tau * batch.prior.log()
        adjusted = replace(batch, logits=batch.logits + adjustment.view(-1, 1, 1))
        return adjusted.mean_over_pixels(adjusted.cross_entropy)

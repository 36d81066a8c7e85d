"""LDAM: cross-entropy with a margin for each class, the larger the rarer it is."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


class LDAM(Loss):
    """Label-distribution-aware margin loss (Cao et al., "Learning Imbalanced Datasets with Label-Distribution-Aware
    Margin Loss", NeurIPS 2019, section 3.2).

        L = sum_i w_t(i) * -log softmax(z_i - Delta_t(i) e_t(i))_t(i)  /  sum_i w_t(i),    Delta_c = C / n_c^(1/4)

    over valid pixels i with true class t(i), logits z and class weight w; e_t is the unit vector of the true class, n_c
    the number of pixels of class c in the train split, and C makes the margin of the rarest class `max_margin`. So a
    true class must lead the others by its margin to cost as little as it would without.

    Absent class: its probability counts; it has no pixel to hold a margin.
    Limits: max_margin = 0 is `cross_entropy`. Unlike in `logit_adjusted` the margin is the same against every class.
    Where we differ: the logits of the paper are cosines, and the margin of 0.5 is taken from them before both are
    multiplied by s = 30. Ours have no bound and no scale: the margin is in logits, where the paper's would be 15, and
    the model can outgrow it. We count pixels, since pixels are what is classified; as only ratios of n act, their
    large number does no harm.

    Use: for rare classes that are found in training and missed in test, since a margin works against overfitting. It
    does not change how much rare classes count; in the paper it does best with class weights added late.
    Family: imbalance.
    """

    max_margin: float = Field(default=0.5, ge=0.0, le=20.0)
    """Margin of the rarest class in logits; the others have less. The default is the paper's number, where it is a
    quarter of what cosines can differ by; in logits, which have no such bound, it is mild, a lead in the odds by 1.6,
    and close to `cross_entropy`. What corresponds to the paper depends on how far the logits of a model grow: tune it,
    from 0.5 to the 15 that the paper's scale makes of it."""

    def needs_statistics(self) -> frozenset[str]:
        return frozenset({"train_pixels"})

    def refuses_soft_targets(self) -> str:
        return "a margin is held by the one true class of a pixel"

    def formula(self, batch: Batch) -> Tensor:
        rarity = batch.prior**-0.25
        margins = self.max_margin * rarity / rarity.max()
        held_back = replace(batch, logits=batch.logits - margins.view(-1, 1, 1) * batch.g)
        return held_back.mean_over_pixels(held_back.cross_entropy)

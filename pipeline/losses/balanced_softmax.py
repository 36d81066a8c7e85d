"""Balanced softmax: cross-entropy of a softmax in which each class counts as often as it occurs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.losses.base import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


class BalancedSoftmax(Loss):
    """Balanced softmax (Ren et al., "Balanced Meta-Softmax for Long-Tailed Visual Recognition", NeurIPS 2020,
    section 3).

        L = sum_i w_t(i) * -log q_i,t(i)  /  sum_i w_t(i),    q_i,c = n_c exp(z_i,c) / sum_k n_k exp(z_i,k)

    over valid pixels i with true class t(i), logits z and class weight w; n_c is the number of pixels of class c in the
    train split. If all classes were equally frequent in use, softmax(z) would be their probability, and q is what the
    train split with its own frequencies shows of it.

    Absent class: its probability counts, by its frequency. Limits: equal frequencies give `cross_entropy`; it is
    `logit_adjusted` with tau = 1, found from another side.
    Where we differ: the paper adds a sampler that learns how often to draw each class; here sampling is a strategy.

    Use: as `logit_adjusted`, without an option to tune.
    Family: imbalance.
    """

    def needs_statistics(self) -> frozenset[str]:
        return frozenset({"train_pixels"})

    def refuses_soft_targets(self) -> None:
        return None

    def formula(self, batch: Batch) -> Tensor:
        pixels = batch.facts.train_pixels
        assert pixels is not None, "a training tells its loss the class statistics"
        log_n = pixels.to(batch.logits.dtype).log()
        balanced = replace(batch, logits=batch.logits + log_n.view(-1, 1, 1))  # n exp(z) = exp(z + log n)
        return balanced.mean_over_pixels(balanced.cross_entropy)

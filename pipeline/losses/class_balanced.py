"""Class-balanced: cross-entropy or focal, weighted by the effective number of train images of each class."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base import Batch, Loss
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class ClassBalanced(Loss):
    """Class-balanced loss (Cui, Jia, Lin, Song, Belongie, "Class-Balanced Loss Based on Effective Number of Samples",
    CVPR 2019, section 4).

        L = sum_i w_t(i) * (1 - p_i,t(i))^gamma * -log p_i,t(i)  /  sum_i w_t(i),    w_c = (1 - beta) / (1 - beta^n_c)

    over valid pixels i with true class t(i) and softmax probability p; n_c is the number of train images that hold
    class c, and 1 / w_c its effective number: what n_c images are worth if they repeat each other.

    Absent class: adds no pixel and so nothing. Limits: beta = 0 is `focal`, with gamma = 0 `cross_entropy`; beta near 1
    weighs by 1 / n_c.
    Where we differ: the paper counts samples, each of one class. Our samples are pixels, which number in millions:
    there beta^n is 0 and all weights are equal, so we count images. We divide by the sum of weights, so that beta is
    no hidden learning rate; the paper scales the weights to sum to the number of classes.

    Use: for classes that few train images hold. A class that is in every image but small, such as a pole, gets no help
    from it. The same weights for any loss: strategy `class_weights` with scheme `effective_number`.
    Family: imbalance.
    """

    beta: float = Field(default=0.99, ge=0.0, lt=1.0)
    """How much another image of a class adds: 0 nothing, so equal weights; near 1 as much as the first. About
    1 - 1 / n_c for a frequent class spreads the weights well."""
    gamma: float = Field(default=0.0, ge=0.0, le=10.0)
    """Exponent of `focal`; 0 is cross-entropy."""

    def refuses_class_weights(self) -> str:
        return "it makes its own class weights, from the number of train images that hold each class"

    def needs_statistics(self) -> frozenset[str]:
        return frozenset({"train_images"})

    def refuses_soft_targets(self) -> str | None:
        return "its factor (1 - p)^gamma is of the one true class" if self.gamma else None

    def formula(self, batch: Batch) -> Tensor:
        images = batch.facts.train_images
        assert images is not None, "a training tells its loss the class statistics"
        log_beta = math.log(self.beta) if self.beta else -math.inf
        not_repeated = -torch.expm1(images.to(batch.logits.dtype) * log_beta)  # 1 - beta^n, also where beta is near 1
        return batch.weighted_by((1 - self.beta) / not_repeated).mean_over_pixels(batch.focal(self.gamma))

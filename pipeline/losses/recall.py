"""Recall: cross-entropy that weighs a class by the share of its pixels that are missed now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.losses.base import Batch, Loss
from pipeline.plumbing.labels import IGNORE
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class Recall(Loss):
    """Recall loss (Tian et al., "Striking the Right Balance: Recall Loss for Semantic Segmentation", ICRA 2022).

        L = sum_i w_t(i) * (1 - R_t(i)) * -log p_i,t(i)  /  sum_i w_t(i),    R_c = TP_c / (TP_c + FN_c)

    over valid pixels i with true class t(i), softmax probability p and class weight w. R is the recall of each class in
    the batch, counted from hard predictions and so without gradient; a pixel is found if its true class is the only one
    with the largest logit.

    Absent class: adds no pixel and so nothing. Limits: `cross_entropy` if no pixel is found, 0 if all are. As 1 - R_c
    is FN_c / n_c, each class has its mean cross-entropy, as in `balanced_cross_entropy`, weighted by its missed pixels.
    Where we differ: the paper does not say what a tie is. To us it is a miss, so that equal logits, as before
    training, give `cross_entropy` and not 0. The authors' code counts one false negative for a class that has none, so
    that its weight is never 0 but 1 / n_c, and divides by the number of all pixels, void ones included.

    Use: where some classes are missed and nobody knows beforehand which. Its gradient fades as pixels are found, and a
    class that is found altogether has none: certainty and probabilities are worse than with `cross_entropy`.
    Family: imbalance.
    """

    def refuses_soft_targets(self) -> str:
        return "a pixel is found or missed by its one true class"

    def formula(self, batch: Batch) -> Tensor:
        missed = 1 - _recall(batch)
        return batch.mean_over_pixels(missed[batch.true_class] * batch.cross_entropy)


def _recall(batch: Batch) -> Tensor:
    """`c`: share of the pixels of each class that are found; 0 for an absent class."""
    logits = batch.logits.detach()
    reaching = logits >= logits.gather(1, batch.true_class.unsqueeze(1))  # classes no lower than the true one
    found = batch.target.where(reaching.sum(dim=1) == 1, IGNORE)
    tp = torch.bincount(found.flatten(), minlength=IGNORE + 1)[: logits.shape[1]]
    return tp / batch.class_pixels.clamp(min=1)

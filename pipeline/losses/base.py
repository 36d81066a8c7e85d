"""The contract of a loss, and the means and encodings that losses share.

Legend of shapes in this folder: b images, c classes, h rows, w columns.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.plumbing.labels import IGNORE
from pipeline.plumbing.lazy import torch
from pipeline.plumbing.plugins import Plugin

if TYPE_CHECKING:
    from torch import Tensor

TINY = 1e-12  # keeps 0 / 0 away where a class or every pixel is missing; never near a value that counts


class Loss(Plugin):
    """A differentiable function of logits and target.

    You must write `formula`. Override `refuses_class_weights` if a weight per class has no meaning for it: `check` then
    refuses the strategies that produce weights and prints the reason.
    """

    def refuses_class_weights(self) -> str | None:
        """Why this loss cannot take class weights, or None if it can."""
        return None

    def __call__(self, logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
        """Loss of a batch, a finite float32 scalar.

        Args:
            logits: `b c h w` of any float dtype; computed in float32, also under autocast. One channel is the
                binary form: the logit of the foreground against a background logit of 0 (a sigmoid).
            target: `b h w`, class indices of any integer dtype, 255 where the pixel is to be ignored. Ignored pixels
                have zero gradient and no share in any mean; without a valid pixel the loss is 0 with zero gradient.
            class_weights: `c` positive weights, or None for equal ones. Only their ratios matter.
        """
        with torch.autocast(logits.device.type, enabled=False):
            logits = logits.float()
            if logits.shape[1] == 1:
                logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
            weights = None if class_weights is None else class_weights.float()
            return self.formula(logits, target.long(), weights)

    def formula(self, logits: Tensor, target: Tensor, class_weights: Tensor | None) -> Tensor:
        """The loss itself: float32 logits of at least two classes, int64 target; the rest as in `__call__`."""
        raise NotImplementedError


def probabilities_and_truth(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax probabilities p and one-hot truth g, both `b c h w` float32 and 0 at ignored pixels."""
    valid = (target != IGNORE).unsqueeze(1)
    classes = torch.arange(logits.shape[1], device=logits.device).view(1, -1, 1, 1)
    return logits.softmax(dim=1) * valid, (target.unsqueeze(1) == classes).float()


def mean_over_pixels(values: Tensor, target: Tensor, class_weights: Tensor | None) -> Tensor:
    """Mean of `values` (`b h w`) over valid pixels, each weighted by the weight of its true class."""
    valid = target != IGNORE
    weights = valid.float() if class_weights is None else class_weights[target.where(valid, 0)] * valid
    return weighted_mean(values, weights)


def mean_over_classes(values: Tensor, class_weights: Tensor | None, present: Tensor | None = None) -> Tensor:
    """Mean of `values` (`c`) weighted by class, over all classes or over those that are `present` (`c`, 0 or 1)."""
    weights = torch.ones_like(values) if class_weights is None else class_weights
    return weighted_mean(values, weights if present is None else weights * present)


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Sum of weighted values over the sum of weights; 0 if there is no weight at all."""
    return (values * weights).sum() / weights.sum().clamp(min=TINY)


def present_classes(truth: Tensor) -> Tensor:
    """`c` of 0 and 1: which classes have a true pixel in the one-hot `truth` (`b c h w`).

    Losses by overlap leave the other classes out of their mean, so that the scale does not depend on how many classes a
    batch happens to hold. What is wrongly given to an absent class is still paid for: softmax takes it from the
    class that is there.
    """
    return truth.amax(dim=(0, 2, 3))

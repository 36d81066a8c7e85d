"""What losses share that are a mean over classes: whether the background has a share in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.losses.base import Batch, Loss
from pipeline.losses.base_math import ratio
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class LossPerClass(Loss):
    """A loss of each class, averaged over classes, of which the background, class 0, may be left out.

    `formula` hands `self.among(batch)` to `Batch.mean_over_classes`, and lets pixels count by `pixel_weights` or has
    class weights act otherwise where the foreground is alone in that mean. A loss whose paper counts the background of
    two classes declares the option anew, with true for its default.
    """

    background: bool | None = None
    """Whether class 0 has a share in the mean. null: if there are more than two classes. Two classes, or one logit
    channel, are a foreground before a background, and the loss is that of the foreground, as in the paper."""

    def foreground_alone(self, classes: int) -> bool:
        """Whether the mean is over a single class."""
        return classes == 2 and not self.background

    def among(self, batch: Batch) -> Tensor:
        """`c` of 0 and 1: the classes in the mean. Those without a true pixel are left out of several, but not the
        foreground alone: nothing else would be paid for what is wrongly given to it."""
        alone = self.foreground_alone(batch.logits.shape[1])
        return self.without_background(torch.ones_like(batch.present) if alone else batch.present)

    def without_background(self, among: Tensor) -> Tensor:
        """`... c`: the same with 0 for the background, if it has no share."""
        if self.background or (self.background is None and among.shape[-1] > 2):
            return among
        return among * (torch.arange(among.shape[-1], device=among.device) > 0)

    def mean_over_pixels(self, values: Tensor, batch: Batch) -> Tensor:
        """`c`: mean of `values` (`b c h w`) of each class over the pixels, each by its weight."""
        weights = self.pixel_weights(batch)
        return ratio((values * weights).sum(dim=(0, 2, 3)), weights.sum())

    def pixel_weights(self, batch: Batch) -> Tensor:
        """`b 1 h w`: what a pixel counts, 0 if it is ignored: 1, but w_0 / w_1 in the background where the foreground
        is alone in the mean, so that class weights have nothing else to weigh."""
        valid = batch.valid.unsqueeze(1).to(batch.logits.dtype)
        if batch.class_weights is None or not self.foreground_alone(batch.logits.shape[1]):
            return valid
        return ratio(batch.class_weights, batch.class_weights[1])[batch.true_class].unsqueeze(1) * valid

"""What losses share that are a mean over classes: whether the background has a share in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.losses.base import Batch, Loss
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class LossPerClass(Loss):
    """A loss of each class, averaged over classes, of which the background, class 0, may be left out.

    `formula` hands `self.among(batch)` to `Batch.mean_over_classes`. A loss whose paper counts the background of two
    classes declares the option anew, with true for its default.
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

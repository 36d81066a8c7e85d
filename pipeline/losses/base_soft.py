"""Soft targets: a probability of each class at each pixel, from a teacher, several annotators or mixed images.

They are `b c h w` of any float dtype. Those of a pixel are at least 0 and sum to 1, within a hundredth, or are all 0
where it is to be ignored. One channel of logits also takes `b 1 h w`, the probability of the foreground, which cannot
say that a pixel is to be ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from pipeline.losses.base import Batch, Facts, Loss
from pipeline.losses.base_math import weighted_mean
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.labels import IGNORE

TOLERANCE = 0.01  # of the sum of a pixel's probabilities; those of half precision are rounded by up to half of it


@dataclass(frozen=True, eq=False)
class SoftBatch(Batch):
    """A batch whose truth g is a probability of each class.

    `target` names the likeliest class of each pixel, the first of equal ones. By it pixels are counted: which classes
    are present, and how many pixels each has. A pixel weighs what its classes weigh on average, sum_c w_c g_c.
    """

    soft: ClassVar[bool] = True

    labels: Tensor = field(kw_only=True)
    """`b c h w`: probabilities, 0 at ignored pixels."""

    @cached_property
    def g(self) -> Tensor:
        return self.labels

    @cached_property
    def cross_entropy(self) -> Tensor:
        """`b h w`: -sum_c g log p; 0 at ignored pixels. Its least value is the entropy of the label, at p = g."""
        return torch.nn.functional.cross_entropy(self.logits, self.labels, reduction="none")

    def mean_over_pixels(self, values: Tensor) -> Tensor:
        if self.class_weights is None:
            return super().mean_over_pixels(values)
        return weighted_mean(values, (self.class_weights.to(values.dtype).view(-1, 1, 1) * self.labels).sum(dim=1))


def soft_batch(
    loss: Loss, channels: int, logits: Tensor, target: Tensor, weights: Tensor | None, facts: Facts
) -> SoftBatch:
    """The batch of a target `b c h w`, or `b 1 h w` if the logits had but one channel; raises UserError if it is wrong,
    or if the loss refuses it."""
    if reason := loss.refuses_soft_targets():
        raise UserError(
            f"{type(loss).__name__} takes no soft targets: {reason}; give it the class of each pixel, `b h w`."
        )
    check_labels(target, logits, channels)
    labels = both_classes(target.to(logits.dtype))
    return SoftBatch(logits, likeliest(labels), weights, facts, labels=labels)


def both_classes(labels: Tensor) -> Tensor:
    """One channel is the probability of the foreground: made two. More are left as they are."""
    return torch.cat([1 - labels, labels], dim=1) if labels.shape[1] == 1 else labels


def likeliest(labels: Tensor) -> Tensor:
    """`b h w` int64: the class of the largest probability, IGNORE where all are 0."""
    most, classes = labels.max(dim=1)
    return classes.masked_fill(most == 0, IGNORE)


def check_labels(labels: Tensor, logits: Tensor, channels: int) -> None:
    """Raises UserError if `labels`, as they were given, are none for these logits, which had so many channels."""
    b, c, h, w = logits.shape
    foreground = f", or {[b, 1, h, w]} for that of the foreground" if channels == 1 else ""
    sentence = (
        f"The soft target of logits {[b, c, h, w]} must be of shape {[b, c, h, w]}{foreground}, with probabilities "
        "that are at least 0 and sum to 1 over the classes of a pixel, or are all 0 where it is to be ignored"
    )
    if labels.shape not in {(b, c, h, w), (b, channels, h, w)}:
        raise UserError(f"{sentence}; this one is of shape {list(labels.shape)}.")
    if not labels.numel():
        return
    labels = both_classes(labels.detach().float())
    sums, least = labels.sum(dim=1), labels.min()
    right = ((sums - 1).abs() <= TOLERANCE) | (sums == 0)  # which nan is not
    if labels.is_cuda:
        torch._assert_async(right.all() & (least >= 0), f"{sentence}.")
    elif not least >= 0:
        raise UserError(f"{sentence}; this one has {least:.4g}.")
    elif not right.all():
        raise UserError(f"{sentence}; this one has a pixel with the sum {sums[~right][0]:.4g}.")

"""The contract of a loss, what a loss may know of a batch, and the means that losses share.

Legend of shapes in this folder: b images, c classes, h rows, w columns.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pipeline.losses.base_facts import Facts
from pipeline.losses.base_math import TINY, ratio, weighted_mean
from pipeline.losses.base_target import check_fits, check_target
from pipeline.plumbing.labels import IGNORE
from pipeline.plumbing.lazy import torch
from pipeline.plumbing.plugins import Plugin

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.losses.base_module import LossModule


class Loss(Plugin):
    """A differentiable function of logits and target.

    You must write `formula`. Override `refuses_class_weights` if weights of classes mean nothing: `check` then refuses
    the strategies that produce weights and prints the reason; `refuses_classes` likewise; `refuses_soft_targets` if g
    may be a probability; `needs_distances` or `learned_numbers` to be given more than logits and target, and
    `needs_statistics` to say so where the formula reads class statistics.

    Its docstring has the formula in an indented block and says `Absent class:` what a class without a true pixel costs,
    `Use:` for what data, at what price, alone or as a term, and `Family:` one of those in `pipeline/docs.py`, the
    last two in lines of their own. docs/losses.md is made of it.
    """

    def refuses_class_weights(self) -> str | None:
        """Why this loss cannot take class weights, or None if it can."""
        return None

    def refuses_classes(self, classes: int) -> str | None:
        """Why this loss cannot serve a dataset of that many classes, or None if it can."""
        return None

    def refuses_soft_targets(self) -> str | None:
        """Why this loss cannot take probabilities for a target, or None if it can."""
        return "it is defined by the one true class of each pixel"

    def needs_distances(self) -> bool:
        """Whether the loader workers have to compute the distance maps of `Facts.distances`."""
        return False

    def needs_statistics(self) -> frozenset[str]:
        """Which class statistics, `train_pixels` and `train_images` of `Facts`, the formula cannot do without."""
        return frozenset()

    def learned_numbers(self) -> int:
        """How many numbers of its own this loss trains."""
        return 0

    def term_names(self) -> tuple[str, ...]:
        """Names of the terms whose values it gives by `Facts.terms`, if it is a sum."""
        return ()

    def module(self, **known: Any) -> LossModule:
        """This loss as an `nn.Module` for a training loop of one's own, by the arguments of `LossModule`."""
        from pipeline.losses.base_module import LossModule  # only now, since it needs torch to be imported

        return LossModule(self, **known)

    def __call__(
        self, logits: Tensor, target: Tensor, class_weights: Tensor | None = None, facts: Facts | None = None
    ) -> Tensor:
        """Loss of a batch, a finite float32 scalar.

        Args:
            logits: `b c h w` of any float dtype; computed in float32, also under autocast. One channel is the
                binary form: the logit of the foreground against a background logit of 0 (a sigmoid).
            target: `b h w`, class indices of any integer dtype, 255 where the pixel is to be ignored. Ignored pixels
                have zero gradient and no share in any mean; without a valid pixel the loss is 0 with zero gradient.
                Or probabilities, `b c h w` of any float dtype, unless the loss refuses them: see `base_soft.py`.
            class_weights: `c` positive weights, or None for equal ones. Only their ratios matter.
            facts: what the loss asks for besides, if it does.

        Raises UserError for a target of another shape or type, or with other values (on a GPU the values are checked
        without waiting for it, so there the error is one of the device), and for a soft one that the loss refuses.
        """
        return self.compute(logits.float(), target, class_weights, facts or Facts())

    def compute(
        self, logits: Tensor, target: Tensor, class_weights: Tensor | None, facts: Facts, ignore_index: int = IGNORE
    ) -> Tensor:
        """The same in the precision of the logits, float32 or float64, and with any value at ignored pixels."""
        with torch.autocast(logits.device.type, enabled=False):
            channels, logits = logits.shape[1], with_background(logits)
            # Divided first: in float32 what is small altogether would be 0.
            weights = None if class_weights is None else (class_weights / class_weights.max()).to(logits.dtype)
            if target.is_floating_point() and target.dim() == 4:
                from pipeline.losses.base_soft import soft_batch  # only now, since it needs torch to be imported

                batch = soft_batch(self, channels, logits, target, weights, facts)
            else:
                classes = target.long()
                if ignore_index != IGNORE:
                    classes = classes.where(classes != ignore_index, IGNORE)
                batch = Batch(logits, classes, weights, facts)
                check_target(target, batch, ignore_index)
            check_fits(self, batch)
            return self.formula(batch)

    def formula(self, batch: Batch) -> Tensor:
        """The loss itself, in the precision of `batch.logits`."""
        raise NotImplementedError


class Overlap(NamedTuple):
    """Soft counts of each class over all valid pixels of a batch, `c` each, or of each image, `b c` each."""

    tp: Tensor
    """sum_i p g: probability given to the class where it is true."""
    fp: Tensor
    """sum_i p (1 - g): probability given to it where it is not."""
    fn: Tensor
    """sum_i (1 - p) g: probability withheld from it where it is true."""


@dataclass(frozen=True, eq=False)
class Batch:
    """What a formula sees. What is derived from logits and target is computed once, also for the terms of a sum."""

    logits: Tensor
    """`b c h w` float of at least two classes."""
    target: Tensor
    """`b h w` int64, IGNORE at ignored pixels."""
    class_weights: Tensor | None = None
    """`c`, or None for equal ones."""
    facts: Facts = field(default_factory=Facts)
    soft: ClassVar[bool] = False  # whether the truth g is of probabilities, as in `base_soft.py`

    @cached_property
    def valid(self) -> Tensor:
        """`b h w` bool: the pixels that are not ignored."""
        return self.target != IGNORE

    @cached_property
    def true_class(self) -> Tensor:
        """`b h w` int64: the target with 0 at ignored pixels, to index by; what comes of those must be masked."""
        return self.target.where(self.valid, 0)

    @cached_property
    def p(self) -> Tensor:
        """`b c h w`: softmax probabilities, 0 at ignored pixels."""
        # The mask as numbers: a product of different types is not vectorised on the CPU.
        return self.logits.softmax(dim=1) * self.valid.unsqueeze(1).to(self.logits.dtype)

    @cached_property
    def g(self) -> Tensor:
        """`b c h w`: one-hot truth, 0 at ignored pixels."""
        classes = torch.arange(self.logits.shape[1], dtype=torch.uint8, device=self.logits.device)
        target = self.target.byte()  # an eighth of what int64 would have to be read, once per class
        return (target.unsqueeze(1) == classes.view(1, -1, 1, 1)).to(self.logits.dtype)

    @cached_property
    def cross_entropy(self) -> Tensor:
        """`b h w`: -log p of the true class, from logits, so that it never takes the log of 0; 0 at ignored pixels."""
        return torch.nn.functional.cross_entropy(self.logits, self.target, ignore_index=IGNORE, reduction="none")

    @cached_property
    def wrong(self) -> Tensor:
        """`b h w`: 1 - p of the true class, without the cancellation where p is near 1; 0 at ignored pixels."""
        return -(-self.cross_entropy).expm1()

    def focal(self, gamma: float) -> Tensor:
        """`b h w`: (1 - p)^gamma * -log p of the true class; 0 at ignored pixels."""
        factor = self.wrong.clamp(min=TINY) ** gamma  # the slope of 0^gamma is infinite for gamma < 1
        return factor * self.cross_entropy

    @cached_property
    def class_pixels(self) -> Tensor:
        """`c`: valid pixels of each class."""
        counts = torch.bincount(self.target.flatten(), minlength=IGNORE + 1)
        return counts[: self.logits.shape[1]].to(self.logits.dtype)

    @cached_property
    def class_pixels_of_images(self) -> Tensor:
        """`b c`: the same in each image."""
        images = len(self.target)
        places = self.target + (IGNORE + 1) * torch.arange(images, device=self.target.device).view(-1, 1, 1)
        counts = torch.bincount(places.flatten(), minlength=images * (IGNORE + 1)).view(images, IGNORE + 1)
        return counts[:, : self.logits.shape[1]].to(self.logits.dtype)

    @cached_property
    def present(self) -> Tensor:
        """`c` of 0 and 1: which classes have a true pixel.

        Losses by overlap leave the other classes out of their mean, so that the scale does not depend on how many
        classes a batch happens to hold. What is wrongly given to an absent class is still paid for: softmax takes it
        from the class that is there.
        """
        return (self.class_pixels > 0).to(self.logits.dtype)

    @cached_property
    def prior(self) -> Tensor:
        """`c`: share of each class among the pixels of the train split."""
        pixels = self.facts.train_pixels
        assert pixels is not None, "a training tells its loss the class statistics"
        return (pixels / pixels.sum()).to(self.logits.dtype)

    @cached_property
    def overlap(self) -> Overlap:
        """Soft true positives, false positives and false negatives."""
        from pipeline.losses.base_counts import soft_overlap  # only now, since it needs torch to be imported

        return soft_overlap(self, per_image=False)

    @cached_property
    def overlap_of_images(self) -> Overlap:
        """The same in each image, `b c` each."""
        from pipeline.losses.base_counts import soft_overlap

        return soft_overlap(self, per_image=True)

    def weighted_by(self, factors: Tensor) -> Batch:
        """The same batch with every class weight multiplied by a factor of its class (`c`)."""
        weights = factors if self.class_weights is None else factors * self.class_weights
        return replace(self, class_weights=weights)

    def mean_over_pixels(self, values: Tensor) -> Tensor:
        """Mean of `values` (`b h w`) over valid pixels, each weighted by the weight of its true class."""
        weights = self.valid if self.class_weights is None else self.class_weights[self.true_class] * self.valid
        return weighted_mean(values, weights.to(values.dtype))

    def mean_over_classes(self, values: Tensor, among: Tensor | None = None) -> Tensor:
        """Mean of `values` (`... c`) weighted by class, over all classes or over those where `among` (`... c`) is 1."""
        weights = torch.ones_like(values) if self.class_weights is None else self.class_weights.to(values.dtype)
        weights = weights if among is None else weights * among
        return ratio((values * weights).sum(dim=-1), weights.sum(dim=-1))


def with_background(logits: Tensor) -> Tensor:
    """One channel is the logit of the foreground: made two, with 0 for the background. More are left as they are."""
    return torch.cat([torch.zeros_like(logits), logits], dim=1) if logits.shape[1] == 1 else logits

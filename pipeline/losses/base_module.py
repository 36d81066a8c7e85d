"""A loss as an `nn.Module`, for a training loop of one's own; docs/use_a_loss.md shows it at work."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.losses import base_distances
from pipeline.losses.base import Batch
from pipeline.losses.base_facts import Facts
from pipeline.losses.base_target import check_target
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.labels import IGNORE
from pipeline.plumbing.messages import brief
from pipeline.plumbing.options import plain

if TYPE_CHECKING:
    from pipeline.losses.base import Loss

PerClass = Sequence[float] | np.ndarray | Tensor
MEANT = {
    "train_pixels": "the number of pixels of each class in the training data",
    "train_images": "the number of training images that hold each class",
}
NO_ARITHMETIC = {torch.uint16, torch.uint32, torch.uint64}  # which torch stores and hardly computes with
INT64 = torch.iinfo(torch.int64)


class LossModule(nn.Module):
    """Scores logits by a loss of this package.

    Made by `Loss.module`, as in `Dice().module(class_weights=[1.0, 4.0])`. What it was told of the classes are buffers,
    so that it follows `.to(device)` and stands in `state_dict`; where the loss learns numbers of its own (`compound`
    with learned weights), they are the parameter `learned`, to be given to the optimizer.

    Args:
        class_weights: a number above 0 for each class; only their ratios matter.
        ignore_index: the integer that stands in the target at pixels to be left out.
        train_pixels: pixels of each class in the training data, for losses that correct for it.
        train_images: training images that hold each class, likewise.

    Raises UserError, in one sentence, for anything of this that the loss needs and was not given, or cannot use.
    """

    class_weights: Tensor | None
    train_pixels: Tensor | None
    train_images: Tensor | None

    def __init__(
        self,
        loss: Loss,
        class_weights: PerClass | None = None,
        ignore_index: int = IGNORE,
        train_pixels: PerClass | None = None,
        train_images: PerClass | None = None,
    ) -> None:
        super().__init__()
        if isinstance(ignore_index, bool) or not isinstance(ignore_index, Integral):
            raise UserError(f"ignore_index: must be an integer, not {brief(ignore_index)}.")
        if not INT64.min <= ignore_index <= INT64.max:
            raise UserError(f"ignore_index: must be an integer of 64 bits, not {brief(ignore_index)}.")
        self.loss, self.ignore_index = loss, int(ignore_index)
        self.register_buffer("class_weights", _per_class("class_weights", class_weights, torch.float32))
        # Whole numbers: `.half()` leaves them alone, and has no room for a million pixels.
        self.register_buffer("train_pixels", _counts("train_pixels", train_pixels))
        self.register_buffer("train_images", _counts("train_images", train_images))
        learned = loss.learned_numbers()
        self.learned = nn.Parameter(torch.zeros(learned)) if learned else None
        self._check_what_is_known()

    def _check_what_is_known(self) -> None:
        name, known = type(self.loss).__name__, dict(self.named_buffers())
        for needed in sorted(self.loss.needs_statistics() - known.keys()):
            raise UserError(f"{name} needs {MEANT[needed]}: pass it as `module({needed}=[...])`.")
        if self.class_weights is not None and (reason := self.loss.refuses_class_weights()):
            raise UserError(f"{name} takes no class weights: {reason.rstrip('.')}.")
        numbers = {len(each) for each in known.values()}
        if len(numbers) > 1:
            told = " and ".join(f"{each} has {len(values)}" for each, values in known.items())
            raise UserError(f"{name}: there must be as many numbers as classes, but {told}.")
        for classes in numbers:
            self._check_number(classes)
            if reason := self.loss.refuses_classes(classes):
                raise UserError(f"{name} cannot score {classes} classes: {reason}")

    def _check_number(self, classes: int) -> None:
        if classes > IGNORE:
            name = type(self.loss).__name__
            raise UserError(f"{name} scores at most {IGNORE} classes, not {classes}: {IGNORE} marks ignored pixels.")

    def _check_classes(self, classes: int) -> None:
        name = type(self.loss).__name__
        self._check_number(classes)
        for known, values in self.named_buffers():
            if len(values) != classes:
                raise UserError(f"{name}: {known} has {len(values)} numbers, and the logits are of {classes} classes.")

    def forward(self, logits: Tensor, target: Tensor, distances: Tensor | None = None, progress: float = 0.0) -> Tensor:
        """Loss of a batch, a finite scalar: float64 of float64 logits, otherwise float32, also under autocast.

        Class weights are held in float32, also for float64 logits.

        Args:
            logits: `b c h w` of any float dtype, finite. One channel is the logit of a foreground against a background.
            target: `b h w` or `b 1 h w`, class indices of any integer dtype, `ignore_index` at pixels to be left out.
                Or probabilities, `b c h w` of any float dtype, unless the loss refuses them: see `base_soft.py`.
            distances: `b c h w` of any float dtype, on any device, c at least 2: the maps of `signed_distances` below,
                for a loss that looks at boundaries. Made here, on the CPU, where they are not given; a data loader
                makes them in parallel.
            progress: share of the training that is done, from 0 to 1, for a loss that changes with it.

        Raises UserError for logits or a target of another shape, type or values.
        """
        self._check_arguments(logits, target, progress)
        classes = max(2, logits.shape[1])
        self._check_classes(classes)
        self._check_kind(target, logits.shape[1])
        soft = target.is_floating_point()
        if target.dim() == 4 and not soft:
            target = target.squeeze(1)
        if target.dtype in NO_ARITHMETIC:
            target = target.long()
        logits = logits if logits.dtype == torch.float64 else logits.float()
        if distances is not None:
            distances = _checked_distances(distances, logits, classes)
        elif self.loss.needs_distances() and not soft:
            check_target(target, Batch(logits.expand(-1, classes, -1, -1), target), self.ignore_index)
            distances = _distances_of(target, classes, self.ignore_index)
        weights = None if self.class_weights is None else self.class_weights.to(logits.dtype)
        statistics = (
            None if each is None else each.to(logits.dtype) for each in (self.train_pixels, self.train_images)
        )
        facts = Facts(*statistics, distances, progress, self.learned)
        return self.loss.compute(logits, target, weights, facts, self.ignore_index)

    @staticmethod
    def _check_arguments(logits: Any, target: Any, progress: Any) -> None:
        right = isinstance(logits, Tensor) and logits.dim() == 4 and logits.shape[1] and logits.is_floating_point()
        if not right:
            raise UserError(f"Logits must be `b c h w` of a float type, not {_told(logits)}.")
        if not isinstance(target, Tensor) or target.is_complex():
            raise UserError(f"The target must be a tensor of classes, `b h w`, not {_told(target)}.")
        if not isinstance(progress, Real) or not 0 <= progress <= 1:
            raise UserError(f"progress: must be the share of the training that is done, from 0 to 1, not {progress}.")

    def _check_kind(self, target: Tensor, channels: int) -> None:
        """Masks as other libraries want them, which here are of another type or shape."""
        name, one = type(self.loss).__name__, target.dim() == 4 and target.shape[1] == 1
        if not target.is_floating_point():
            if target.dim() == 4 and not one:
                raise UserError(
                    f"{name}: a target of an integer type has no channel for each class, and this one is of shape "
                    f"{list(target.shape)}; if it is one-hot, pass `target.argmax(dim=1)`."
                )
        elif target.dim() == 3 or (one and (channels > 1 or self.loss.refuses_soft_targets())):
            raise UserError(
                f"{name}: classes must be of an integer type, and this target is of {target.dtype} and shape "
                f"{list(target.shape)}; if it holds classes, pass `target.long()`."
            )

    def extra_repr(self) -> str:
        known = "".join(f", {name}={values.tolist()}" for name, values in self.named_buffers())
        return f"{self.loss!r}, ignore_index={self.ignore_index}{known}"


def signed_distances(mask: np.ndarray, classes: int) -> np.ndarray:
    """Maps `c h w` float32 of a mask `h w` uint8: `pipeline.losses.base_distances.signed_distances`, by SciPy."""
    from scipy.ndimage import distance_transform_edt  # only now: other losses do without SciPy

    return base_distances.signed_distances(mask, classes, lambda pixels: distance_transform_edt(~pixels))


@torch.compiler.disable  # SciPy cannot be traced
def _distances_of(target: Tensor, classes: int, ignore_index: int) -> Tensor:
    """The maps `b c h w` of a target `b h w`, on its device."""
    if not len(target):
        return torch.zeros(0, classes, *target.shape[1:], device=target.device)
    target = target.long()
    masks = target.where(target != ignore_index, IGNORE).byte().cpu().numpy()
    return torch.from_numpy(np.stack([signed_distances(mask, classes) for mask in masks])).to(target.device)


def _checked_distances(distances: Any, logits: Tensor, classes: int) -> Tensor:
    """The maps in the precision and on the device of the logits."""
    shape = [logits.shape[0], classes, *logits.shape[2:]]
    if not isinstance(distances, Tensor) or list(distances.shape) != shape or not distances.is_floating_point():
        raise UserError(f"distances: must be a tensor of shape {shape} and a float type, not {_told(distances)}.")
    return distances.to(logits)


def _told(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{list(value.shape)} of {value.dtype}"
    return f"{type(value).__name__}, which is no tensor"


def _counts(name: str, numbers: PerClass | None) -> Tensor | None:
    values = _per_class(name, numbers, torch.float64)
    if values is not None and (values != values.round()).any():
        raise UserError(f"{name}: must be whole numbers, not {brief(plain(numbers))}.")
    return None if values is None else values.long()


def _per_class(name: str, numbers: PerClass | None, dtype: torch.dtype) -> Tensor | None:
    """`c` numbers above 0 of a list, an array or a tensor, which stays on its device; refused if they are no such."""
    if numbers is None:
        return None
    device = numbers.device if isinstance(numbers, Tensor) else None
    try:
        values = torch.tensor(plain(numbers), dtype=dtype, device=device)
    except (TypeError, ValueError, RuntimeError):
        values = torch.zeros(0)
    if values.dim() != 1 or not values.numel() or not (values.isfinite() & (values > 0)).all():
        raise UserError(f"{name}: must be a list of numbers above 0, one for each class, not {brief(plain(numbers))}.")
    return values

"""An `nn.Module` of one's own, or of another library, as a loss of the benchmark."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import model_validator

from pipeline.losses.base import Batch, Loss
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.labels import IGNORE
from pipeline.plumbing.lazy import torch
from pipeline.plumbing.messages import brief, told

if TYPE_CHECKING:
    from torch import Tensor, nn

TOLERANCE = 1e-4  # relative; the sum of the same numbers in another order


class ModuleLoss(Loss):
    """Wraps a module that scores logits `b c h w` (float32) and a target `b h w` (int64) with one number.

    A file `pipeline/losses/my_loss.py` with these two lines, below the module or its import, is a loss:

        class MyLoss(ModuleLoss):
            criterion = MyModule

    Options are declared as for every loss, and handed to `criterion` by name. A module without trained parameters is
    wrapped; it is told no class weights.

    Void pixels: if `criterion` takes an `ignore_index` it is given 255, and leaves them out itself. Otherwise it gets
    the valid pixels of the batch alone, as one row `1 c 1 n`, which is the same to a loss that is blind to where pixels
    lie and to which image they are of. Without a valid pixel the loss is 0, and the module is not asked.

    Guaranteed, since `check` tries it on one batch of made-up logits and refuses a module that fails: the value and the
    slope are finite, ignored pixels have no influence, and the row is as good as the images. Not known: what the module
    does to absent classes and to extreme logits.
    """

    criterion: ClassVar[Callable[..., nn.Module]]
    """The class of the module, or a function that makes one."""

    @model_validator(mode="after")
    def _can_be_made(self) -> Self:
        if not callable(getattr(type(self), "criterion", None)):
            raise UserError(f"{type(self).__name__}.criterion: must be the class of a module, or what makes one.")
        if any(each.requires_grad for each in self.made.parameters()):
            raise UserError(f"{type(self).__name__}: its module has parameters, which nothing would train.")
        return self

    @cached_property
    def takes_ignore_index(self) -> bool:
        return "ignore_index" in inspect.signature(type(self).criterion).parameters

    @cached_property
    def made(self) -> nn.Module:
        """The module, made with the options."""
        name = type(self).__name__
        options = {name: getattr(self, name) for name in type(self).model_fields}
        if self.takes_ignore_index:
            options["ignore_index"] = IGNORE
        try:
            module = type(self).criterion(**options)
        except Exception as error:  # of somebody else's code
            reason = f"{type(error).__name__}: {told(error)}"
            raise UserError(f"{name}: its module cannot be made of {brief(options)}: {reason}") from None
        if not isinstance(module, torch.nn.Module):
            raise UserError(f"{name}.criterion: must make an nn.Module, not a value of type {type(module).__name__}.")
        return module

    def refuses_class_weights(self) -> str:
        return "the module that it wraps is not told any"

    @cached_property
    def tried(self) -> dict[int, str | None]:
        """By the number of classes, why the module was refused, or None."""
        return {}

    def refuses_classes(self, classes: int) -> str | None:
        if classes not in self.tried:
            try:
                self.tried[classes] = self._fault(classes)
            except Exception as error:  # of somebody else's code
                self.tried[classes] = f"its module raises {type(error).__name__}: {told(error)}"
        return self.tried[classes]

    def _fault(self, classes: int) -> str | None:
        """What is wrong with the module, found with two images of 16 x 16 pixels of all classes."""
        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(2, classes, 16, 16, generator=generator).requires_grad_()
        target = torch.randint(0, classes, (2, 16, 16), generator=generator)
        value = self._score(logits, target)
        value.backward()
        if not value.isfinite() or not logits.grad.isfinite().all() or not logits.grad.any():
            return "its module gives no finite number with a finite slope for ordinary logits."
        with torch.no_grad():
            if self.takes_ignore_index:
                target[:, :8] = IGNORE
                others = logits.clone()
                others[:, :, :8] += 3 * torch.randn(2, classes, 8, 16, generator=generator)
                if not torch.allclose(self._score(logits, target), self._score(others, target), rtol=TOLERANCE):
                    return "its module takes an `ignore_index`, and yet its value depends on ignored pixels."
            elif not torch.allclose(value, self._score(*_in_a_row(logits, target)), rtol=TOLERANCE):
                return (
                    "its module takes no `ignore_index`, and void pixels cannot be left out for it, since its value "
                    "depends on where pixels lie or on which image they are of. Give it an `ignore_index`."
                )
        return None

    def _score(self, logits: Tensor, target: Tensor) -> Tensor:
        value = self.made.to(logits.device)(logits, target)
        if not isinstance(value, torch.Tensor) or value.numel() != 1:
            raise UserError(f"{type(self).__name__}: its module must give one number, as with reduction='mean'.")
        return value.squeeze()

    def formula(self, batch: Batch) -> Tensor:
        if not batch.valid.any():
            return (0 * batch.logits).sum()
        if self.takes_ignore_index:
            return self._score(batch.logits, batch.target)
        return self._score(*_in_a_row(batch.logits, batch.target))


def _in_a_row(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """`1 c 1 n` and `1 1 n`: the valid pixels of all images."""
    valid = target != IGNORE
    return logits.movedim(1, 0)[:, valid][None, :, None, :], target[valid][None, None, :]

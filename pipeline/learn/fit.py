"""The training loop."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from tqdm import tqdm

from pipeline.learn.checkpoint import Checkpoint, UnusableState
from pipeline.learn.settings import Fit
from pipeline.learn.trainer import Outcome, Trainer, Validation

LOOK_EVERY = 20  # iterations between two looks at the loss: each look waits for the device


class Listener:
    """Is told how a training goes on; this one does nothing."""

    def progress(self, iteration: int) -> None:
        """After each step; `iteration` are done."""

    def validated(self, validation: Validation) -> None:
        """After each validation, also after those of an earlier sitting when a training goes on."""


def fit(
    model: nn.Module,
    criterion: nn.Module,
    batches: Callable[[int], Iterable[tuple[Tensor, ...]]],
    settings: Fit,
    device: torch.device,
    validate: Callable[[nn.Module], tuple[float, list[float]]],
    listener: Listener,
    checkpoint: Checkpoint | None = None,
) -> Outcome:
    """Train `model` in place for the iterations of the settings, and leave it at the chosen validation.

    `batches` gives those from an iteration on, counted from 0. `criterion` is called with logits, masks, distances
    where the batches have them, and `iteration`. `validate` returns mean IoU and IoU per class on the validation split.
    From a `checkpoint` that an earlier process has left, training goes on; on the CPU the result is the same, to the
    bit. Raises UnusableState, with `model` and `criterion` in any state, if it is not that of such a training.
    A loss that is not finite ends training: that is a result, not an error.
    """
    state = checkpoint and checkpoint.read()
    try:
        done = 0 if state is None else state["done"]
        upcoming = iter(batches(done))  # before the random state is set: a loader draws a seed
        trainer = Trainer(model, criterion, settings, device, state)
    except (LookupError, AttributeError, TypeError, ValueError, RuntimeError) as reason:
        if state is None or isinstance(reason, torch.OutOfMemoryError):
            raise
        raise UnusableState(f"{type(reason).__name__}: {reason}") from reason
    for validation in trainer.history:
        listener.validated(validation)
    validate_at = {round(settings.iterations * k / settings.validations) for k in range(1, settings.validations + 1)}
    model.train()
    with tqdm(total=settings.iterations, initial=trainer.done, unit="it", dynamic_ncols=True, disable=None) as bar:
        for batch in upcoming:
            trainer.step(batch)
            bar.update()
            listener.progress(trainer.done)
            if trainer.done % LOOK_EVERY == 0 or trainer.done in validate_at:
                if diverged_at := first_not_finite(trainer.losses[: trainer.done]):
                    return trainer.diverged(diverged_at)
                bar.set_postfix_str(f"loss {trainer.losses[trainer.done - 1]:.3f}")
            if trainer.done in validate_at:
                listener.validated(trainer.validate(validate))
            if checkpoint and checkpoint.due():
                checkpoint.write(trainer.state())
                trainer.watch.lap("checkpoint")
    return trainer.finished()


def first_not_finite(losses: Tensor) -> int | None:
    """The iteration, counted from 1, of the first loss that is NaN or infinite."""
    bad = torch.nonzero(~losses.isfinite())
    return int(bad[0]) + 1 if len(bad) else None

"""The training loop."""

import itertools
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from pipeline.learn.schedule import lr_factor
from pipeline.learn.settings import Fit
from pipeline.learn.stopwatch import Stopwatch

LOOK_EVERY = 20  # iterations between two looks at the loss: each look waits for the device


class Validation(NamedTuple):
    """What is recorded at a validation; `iteration` is counted from 1, after the step."""

    iteration: int
    lr: float
    train_loss: float
    """Mean over the iterations since the validation before."""
    val_miou: float
    val_iou: list[float]
    """Per class; NaN for a class neither predicted nor true."""


class Cost(NamedTuple):
    """What the training steps took, validations aside."""

    seconds_per_iteration: float
    loss_share: float
    """Of these seconds: the loss and its gradient with respect to the logits."""


class Outcome(NamedTuple):
    history: list[Validation]
    chosen: Validation | None
    """The validation whose weights the model now has; None if training diverged."""
    diverged_at: int | None
    """The iteration, counted from 1, at which the loss was first not a finite number."""
    cost: Cost


def fit(
    model: nn.Module,
    criterion: nn.Module,
    batches: Iterable[tuple[Tensor, ...]],
    settings: Fit,
    device: torch.device,
    validate: Callable[[nn.Module], tuple[float, list[float]]],
    report: Callable[[Validation], None],
) -> Outcome:
    """Train `model` in place for as many iterations as there are batches, and leave it at the chosen checkpoint.

    `criterion` is called with logits, masks, distances where the batches have them, and `iteration`. `validate` returns
    mean IoU and IoU per class on the validation split; `report` is called after each validation.
    A loss that is not finite ends training: that is a result, not an error.
    """
    optimizer = make_optimizer(itertools.chain(model.parameters(), criterion.parameters()), settings)
    scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "float16")
    autocast = torch.autocast(device.type, getattr(torch, settings.precision), enabled=settings.precision != "float32")
    validate_at = {round(settings.iterations * k / settings.validations) for k in range(1, settings.validations + 1)}
    losses = torch.zeros(settings.iterations, device=device)
    history: list[Validation] = []
    chosen, kept = None, {}
    watch = Stopwatch(device)

    model.train()
    with tqdm(batches, unit="it", dynamic_ncols=True, disable=None) as bar:
        started = time.perf_counter()
        for step, batch in enumerate(bar):
            watch.lap("waiting")
            lr = settings.lr * lr_factor(settings.schedule, settings.warmup, step, settings.iterations)
            for group in optimizer.param_groups:
                group["lr"] = lr

            images, *truth = (tensor.to(device, non_blocking=True) for tensor in batch)
            with autocast:
                logits = model(images)
            watch.lap("network")
            # Cut at the logits, so that the cost of the loss can be told apart; the gradients are the same.
            cut = logits.detach().requires_grad_()
            optimizer.zero_grad()
            value = criterion(cut, *truth, iteration=step)  # in float32, by the contract of losses
            scaler.scale(value).backward()
            watch.lap("loss")
            logits.backward(cut.grad)
            scaler.step(optimizer)
            scaler.update()
            losses[step] = value.detach()
            watch.lap("network")

            done = step + 1
            if done % LOOK_EVERY == 0 or done in validate_at:
                diverged_at = first_not_finite(losses[:done])
                if diverged_at:
                    return Outcome(history, None, diverged_at, cost_of(watch, done))
                speed = done * settings.batch_size / (time.perf_counter() - started)
                bar.set_postfix_str(f"loss {losses[step].item():.3f}, lr {lr:.1e}, {speed:.0f} images/s")
            if done in validate_at:
                since = history[-1].iteration if history else 0
                history.append(Validation(done, lr, losses[since:done].mean().item(), *validate(model)))
                report(history[-1])
                if settings.checkpoint == "last" or chosen is None or history[-1].val_miou > chosen.val_miou:
                    chosen = history[-1]
                    kept = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
                watch.lap("validation")
    if not all(tensor.isfinite().all() for tensor in kept.values()):
        # The step after the last look at the loss broke the weights.
        return Outcome(history, None, settings.iterations, cost_of(watch, settings.iterations))
    model.load_state_dict(kept)
    return Outcome(history, chosen, None, cost_of(watch, settings.iterations))


def cost_of(watch: Stopwatch, iterations: int) -> Cost:
    """What so many steps took, waiting for their batches included."""
    seconds = watch.seconds()
    total = seconds["waiting"] + seconds["network"] + seconds["loss"]
    return Cost(total / iterations, seconds["loss"] / total)


def make_optimizer(parameters: Iterable[nn.Parameter], settings: Fit) -> torch.optim.Optimizer:
    """The optimizer of the settings; weight decay spares biases and normalisation layers, which have one dimension."""
    parameters = list(parameters)
    weights = [each for each in parameters if each.ndim > 1]
    others = [each for each in parameters if each.ndim <= 1]
    groups = [{"params": weights, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    match settings.optimizer:
        case "sgd":
            return torch.optim.SGD(groups, lr=settings.lr, momentum=settings.momentum, nesterov=settings.momentum > 0)
        case "adam":
            return torch.optim.Adam(groups, lr=settings.lr, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, lr=settings.lr, fused=True)
    raise ValueError(f"no optimizer '{settings.optimizer}'")


def first_not_finite(losses: Tensor) -> int | None:
    """The iteration, counted from 1, of the first loss that is NaN or infinite."""
    bad = torch.nonzero(~losses.isfinite())
    return int(bad[0]) + 1 if len(bad) else None

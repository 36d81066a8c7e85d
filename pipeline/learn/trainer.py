"""One training on its way: the step, the validation, and the state that makes it go on elsewhere."""

import itertools
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pipeline.learn.compiled import compile_network
from pipeline.learn.schedule import lr_factor
from pipeline.learn.settings import Fit
from pipeline.learn.stopwatch import Stopwatch

STATEFUL = ("model", "criterion", "optimizer", "scaler")


class Validation(NamedTuple):
    """What is recorded at a validation; `iteration` is counted from 1, after the step."""

    iteration: int
    lr: float
    train_loss: float
    """Mean over the iterations since the validation before."""
    val_miou: float
    val_iou: list[float]
    """Per class; NaN for a class neither predicted nor true."""
    at: float
    """Seconds since 1970."""
    terms: dict[str, float]
    """Of a loss that is a sum: mean of each term by its name, not multiplied by its weight, over the iterations since
    the validation before; NaN for a term that had no weight in any of them. Empty for other losses."""


class Cost(NamedTuple):
    """What a training took, over all its sittings."""

    seconds: float
    """From the first batch to the last validation."""
    seconds_per_iteration: float
    """Of the training steps, validations aside."""
    loss_share: float
    """Of these steps: the loss and its gradient with respect to the logits."""


class Outcome(NamedTuple):
    history: list[Validation]
    chosen: Validation | None
    """The validation whose weights the model now has; None if training diverged."""
    diverged_at: int | None
    """The iteration, counted from 1, at which the loss was first not a finite number."""
    started: float
    """Seconds since 1970."""
    resumed_at: list[int]
    """The iterations after which a process was killed and another went on."""
    cost: Cost

    def record(self) -> dict[str, Any]:
        """What provenance.json says of it."""
        validated = [each.at for each in self.history]
        return {"started": self.started, "validated": validated, "resumed_at": self.resumed_at, **self.cost._asdict()}


class Trainer:
    """A training on its way: all that one iteration hands to the next."""

    def __init__(
        self,
        model: nn.Module,
        criterion: nn.Module,
        settings: Fit,
        device: torch.device,
        state: dict[str, Any] | None = None,
    ) -> None:
        """With a `state`, as it was when `state()` gave it."""
        self.model, self.criterion, self.settings, self.device = model, criterion, settings, device
        self.optimizer = make_optimizer(itertools.chain(model.parameters(), criterion.parameters()), settings)
        self.scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "float16")
        mixed = settings.precision != "float32"
        self.autocast = torch.autocast(device.type, getattr(torch, settings.precision), enabled=mixed)
        self.network = None if settings.compile and device.type == "cuda" else model
        self.done = 0
        self.losses = torch.zeros(settings.iterations, device=device)
        self.history: list[Validation] = []
        self.chosen: Validation | None = None
        self.kept: dict[str, Tensor] = {}
        self.started, self.resumed_at = time.time(), []
        self.watch = Stopwatch(device)
        if state is not None:
            self._restore(state)

    def step(self, batch: tuple[Tensor, ...]) -> None:
        """One step of the optimizer."""
        self.watch.lap("waiting")
        settings = self.settings
        lr = settings.lr * lr_factor(settings.schedule, settings.warmup, self.done, settings.iterations)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        images, *truth = (tensor.to(self.device, non_blocking=True) for tensor in batch)
        if self.network is None:
            self.network = compile_network(self.model, images, self.autocast)
            self.watch.lap("compiling")
        with self.autocast:
            logits = self.network(images)
        self.watch.lap("network")
        # Cut at the logits, so that the cost of the loss can be told apart; the gradients are the same.
        cut = logits.detach().requires_grad_()
        self.optimizer.zero_grad()
        value = self.criterion(cut, *truth, iteration=self.done)  # in float32, by the contract of losses
        self.scaler.scale(value).backward()
        self.watch.lap("loss")
        logits.backward(cut.grad)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.losses[self.done] = value.detach()
        self.done += 1
        self.watch.lap("network")

    def validate(self, validate: Callable[[nn.Module], tuple[float, list[float]]]) -> Validation:
        """Record a validation, and keep the weights if the checkpoint rule chooses them."""
        since = self.history[-1].iteration if self.history else 0
        train_loss = self.losses[since : self.done].mean().item()
        lr = self.optimizer.param_groups[0]["lr"]
        terms = self.criterion.mean_terms(range(since, self.done))
        found = Validation(self.done, lr, train_loss, *validate(self.model), time.time(), terms)
        self.history.append(found)
        if self.settings.checkpoint == "last" or self.chosen is None or found.val_miou > self.chosen.val_miou:
            self.chosen = found
            self.kept = {name: tensor.detach().cpu().clone() for name, tensor in self.model.state_dict().items()}
        self.watch.lap("validation")
        return found

    def finished(self) -> Outcome:
        """The end of all iterations: the model has the weights that were kept."""
        if not all(tensor.isfinite().all() for tensor in self.kept.values()):
            return self.diverged(self.done)  # the step after the last look at the loss broke the weights
        self.model.load_state_dict(self.kept)
        return self._outcome(self.chosen, None)

    def diverged(self, iteration: int) -> Outcome:
        return self._outcome(None, iteration)

    def state(self) -> dict[str, Any]:
        """All that another process needs to go on from here; of types that torch loads without running code."""
        return {
            **{part: getattr(self, part).state_dict() for part in STATEFUL},
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
            "done": self.done,
            "losses": self.losses,
            "history": [tuple(each) for each in self.history],
            "chosen": self.chosen and self.history.index(self.chosen),
            "kept": self.kept,
            "started": self.started,
            "resumed_at": self.resumed_at,
            "seconds": dict(self.watch.seconds()),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._check(state)
        for part in STATEFUL:
            getattr(self, part).load_state_dict(state[part])
        torch.set_rng_state(state["random"])
        if state["random_cuda"] is not None:
            torch.cuda.set_rng_state(state["random_cuda"], self.device)
        self.done = state["done"]
        self.losses.copy_(state["losses"])
        self.history = [Validation(*each) for each in state["history"]]
        self.chosen = None if state["chosen"] is None else self.history[state["chosen"]]
        self.kept = state["kept"]
        self.started, self.resumed_at = state["started"], [*state["resumed_at"], self.done]
        self.watch = Stopwatch(self.device, before=state["seconds"])

    def _check(self, state: dict[str, Any]) -> None:
        """Raise ValueError for shapes that PyTorch would take over without a word, to fail or to broadcast later."""
        weights = self.model.state_dict()
        kept = {name: tensor.shape for name, tensor in state["kept"].items()}
        if kept and kept != {name: tensor.shape for name, tensor in weights.items()}:
            raise ValueError("the weights that were kept are those of another model")
        parameters = [each for group in self.optimizer.param_groups for each in group["params"]]
        for number, moments in state["optimizer"]["state"].items():
            if any(each.ndim and each.shape != parameters[number].shape for each in moments.values()):
                raise ValueError("the optimizer has moments of another model")
        if state["losses"].shape != self.losses.shape or not 0 <= state["done"] <= len(self.losses):
            raise ValueError("it has another number of iterations")

    def _outcome(self, chosen: Validation | None, diverged_at: int | None) -> Outcome:
        seconds = self.watch.seconds()
        steps = seconds["waiting"] + seconds["network"] + seconds["loss"]
        cost = Cost(seconds.total(), steps / self.done, seconds["loss"] / steps)
        return Outcome(self.history, chosen, diverged_at, self.started, self.resumed_at, cost)


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

"""The training loop on a model small enough to reason about."""

import functools
import itertools
import time

import numpy as np
import pytest
import torch
from torch import nn

from pipeline.learn.checkpoint import Checkpoint, UnusableState
from pipeline.learn.criterion import Criterion
from pipeline.learn.fit import Listener, fit
from pipeline.learn.schedule import lr_factor
from pipeline.learn.settings import Fit
from pipeline.learn.trainer import Outcome, make_optimizer
from pipeline.plumbing import plugins
from pipeline.strategies.base import ClassStatistics

CPU = torch.device("cpu")


class Pixelwise(nn.Conv2d):
    """Logits of each pixel from its own channels."""

    def __init__(self) -> None:
        super().__init__(3, 2, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images.float() / 255)


class CallsLoss(nn.Module):
    """A criterion without anything of its own."""

    def __init__(self, loss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, logits: torch.Tensor, masks: torch.Tensor, iteration: int) -> torch.Tensor:
        return self.loss(logits, masks)

    def mean_terms(self, iterations: range) -> dict[str, float]:
        return {}


def batches(iterations: int, start: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Images whose first channel is bright exactly where the mask is 1, from an iteration on."""
    generator = torch.Generator().manual_seed(0)
    masks = torch.randint(0, 2, (iterations, 4, 8, 8), generator=generator, dtype=torch.uint8)
    return [(torch.stack([mask * 200] * 3, dim=1), mask) for mask in masks[start:]]


def run(loss=None, scores=None, **options) -> tuple[nn.Module, Outcome]:
    """Fit a 1x1 convolution; `scores` are the validation mIoU values to be met in turn."""
    settings = Fit(**{"iterations": 20, "batch_size": 4, "lr": 0.05, "validations": 4} | options)
    torch.manual_seed(0)
    model = Pixelwise()
    scores = iter(scores or [0.1, 0.2, 0.3, 0.4])
    outcome = fit(
        model,
        CallsLoss(loss or (lambda logits, masks: nn.functional.cross_entropy(logits.float(), masks.long()))),
        functools.partial(batches, settings.iterations),
        settings,
        CPU,
        validate=lambda _: (next(scores), [0.5, 0.5]),
        listener=Listener(),
    )
    return model, outcome


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_every_optimizer_and_precision_learns(optimizer, precision):
    history = run(optimizer=optimizer, precision=precision)[1].history
    assert history[-1].train_loss < 0.9 * history[0].train_loss


def test_validations_are_evenly_spaced_and_end_with_the_last_iteration():
    assert [each.iteration for each in run()[1].history] == [5, 10, 15, 20]
    assert [each.iteration for each in run(iterations=7, validations=3)[1].history] == [2, 5, 7]


def test_the_best_validation_is_kept_with_its_weights():
    best, outcome = run(scores=[0.1, 0.9, 0.3, 0.4])
    assert outcome.chosen.iteration == 10
    last, _ = run(scores=[0.1, 0.2, 0.3, 0.4])
    assert not torch.equal(best.weight, last.weight)


def test_the_rule_last_keeps_the_last_whatever_it_scored():
    kept, outcome = run(scores=[0.9, 0.1, 0.1, 0.1], checkpoint="last")
    assert outcome.chosen.iteration == 20
    rising, _ = run(scores=[0.1, 0.2, 0.3, 0.4])
    assert torch.equal(kept.weight, rising.weight)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_training_and_names_the_iteration(bad):
    calls = []

    def loss(logits, masks):
        calls.append(1)
        return nn.functional.cross_entropy(logits, masks.long()) * (bad if len(calls) == 8 else 1)

    outcome = run(loss=loss)[1]
    assert outcome.diverged_at == 8
    assert outcome.chosen is None
    assert [each.iteration for each in outcome.history] == [5]
    assert len(calls) == 10, "it ends at the next look at the loss"


def test_weights_that_the_last_step_broke_are_no_result():
    """The last loss was still finite."""

    def steep(logits, masks):
        return 1e6 * nn.functional.cross_entropy(logits, masks.long())

    outcome = run(steep, optimizer="sgd", lr=1e38, iterations=1, validations=1)[1]
    assert (outcome.chosen, outcome.diverged_at) == (None, 1)


def test_equal_seeds_give_equal_bits():
    assert torch.equal(run()[0].weight, run()[0].weight)


def test_weight_decay_spares_biases():
    decayed, spared = make_optimizer(nn.Conv2d(3, 2, 1).parameters(), Fit(iterations=5, weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], [each.ndim for each in decayed["params"]]) == (0.1, [4])
    assert (spared["weight_decay"], [each.ndim for each in spared["params"]]) == (0.0, [1])


SCORED = (0.5, [0.5, 0.5])
COMPOUND = {"kind": "compound", "terms": {"cross_entropy": 1.0, "dice": 1.0}, "weights": "learned"}


def started(loss: str | dict, iterations: int) -> tuple[nn.Module, Criterion]:
    """A network with normalisation and a loss of the benchmark, the same at every call."""
    torch.manual_seed(0)
    model = nn.Sequential(Pixelwise(), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 2, 3, padding=1))
    loss, strategy = (plugins.build_unnamed(*each, "here") for each in (("losses", loss), ("strategies", "none")))
    pixels = np.full((3, 2), 50)
    return model, Criterion(loss, strategy, ClassStatistics(pixels, np.minimum(pixels, 1)), iterations)


def jointly(model: nn.Module, criterion: Criterion, settings: Fit) -> list[float]:
    """The training of a textbook: one backward pass from the loss to the weights. Returns the losses."""
    optimizer = make_optimizer(itertools.chain(model.parameters(), criterion.parameters()), settings)
    scaler = torch.amp.GradScaler("cpu", enabled=settings.precision == "float16")
    model.train()
    losses = []
    for step, (images, masks) in enumerate(batches(settings.iterations)):
        for group in optimizer.param_groups:
            group["lr"] = settings.lr * lr_factor(settings.schedule, settings.warmup, step, settings.iterations)
        with torch.autocast("cpu", getattr(torch, settings.precision), enabled=settings.precision != "float32"):
            logits = model(images)
        loss = criterion(logits, masks, iteration=step)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("loss", ["cross_entropy", COMPOUND], ids=["cross_entropy", "learned_weights"])
def test_the_cut_at_the_logits_changes_no_bit_of_a_training(loss, precision):
    """It is there only to tell what the loss costs; weights that a loss learns get their gradient too."""
    settings = Fit(iterations=12, batch_size=4, lr=0.05, validations=1, precision=precision, checkpoint="last")
    cut, joint = started(loss, 12), started(loss, 12)
    initial = {name: each.clone() for name, each in joint[0].state_dict().items()}
    history = fit(*cut, functools.partial(batches, 12), settings, CPU, lambda _: SCORED, Listener()).history
    losses = jointly(*joint, settings)
    for name, expected in joint[0].state_dict().items():
        assert torch.equal(cut[0].state_dict()[name], expected), name
        assert not torch.equal(initial[name], expected), name
    assert history[0].train_loss == pytest.approx(np.mean(losses), rel=1e-6)
    if loss is COMPOUND:
        assert torch.equal(cut[1].learned, joint[1].learned)
        assert cut[1].learned.all()


def asleep(seconds: float, function):
    """The same function, slower."""

    def slower(*args):
        time.sleep(seconds)
        return function(*args)

    return slower


def cross_entropy(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(logits, masks.long())


@pytest.fixture
def clock(monkeypatch):
    """One on which time passes where something sleeps, and nowhere else."""
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    monkeypatch.setattr("time.sleep", lambda seconds: now.append(now.pop() + seconds))


def test_the_loss_has_a_share_of_the_time():
    cost = run()[1].cost
    assert 0 < cost.loss_share < 1
    assert cost.seconds_per_iteration > 0


def test_what_the_loss_takes_is_its_share_of_an_iteration(clock):
    """Beside batches that take a third of it."""
    settings, late = Fit(iterations=10, batch_size=4, validations=1), map(asleep(0.1, tuple), batches(10))
    slow = CallsLoss(asleep(0.3, cross_entropy))
    cost = fit(Pixelwise(), slow, lambda _: late, settings, CPU, lambda _: SCORED, Listener()).cost
    assert cost.loss_share == pytest.approx(0.75)
    assert cost.seconds_per_iteration == pytest.approx(0.4)


class SlowBackwards(torch.autograd.Function):
    """Leaves the logits and their gradient as they are."""

    @staticmethod
    def forward(context, logits):
        return logits.clone()

    @staticmethod
    def backward(context, gradient):
        time.sleep(0.05)
        return gradient


def test_the_gradient_of_the_loss_belongs_to_the_loss(clock):
    """Up to the logits; some losses are dearer backwards than forwards."""
    cost = run(lambda logits, masks: cross_entropy(SlowBackwards.apply(logits), masks))[1].cost
    assert cost.loss_share * cost.seconds_per_iteration == pytest.approx(0.05)


def test_waiting_for_batches_takes_time_that_is_not_that_of_the_loss(clock):
    settings = Fit(iterations=10, batch_size=4, validations=1)
    late = map(asleep(0.05, tuple), batches(10))
    cost = fit(Pixelwise(), CallsLoss(cross_entropy), lambda _: late, settings, CPU, lambda _: SCORED, Listener()).cost
    assert (cost.loss_share, cost.seconds_per_iteration) == (0, pytest.approx(0.05))


def test_validations_are_no_part_of_an_iteration(clock):
    """Four of them, half a second in all."""
    settings, validate = Fit(iterations=20, batch_size=4, validations=4), asleep(0.125, lambda _: SCORED)
    slow, upcoming = CallsLoss(asleep(0.01, cross_entropy)), functools.partial(batches, 20)
    cost = fit(Pixelwise(), slow, upcoming, settings, CPU, validate, Listener()).cost
    assert cost.seconds_per_iteration == pytest.approx(0.01)


def test_a_training_that_diverged_cost_what_its_iterations_took(clock):
    """Five of 20, up to the look at the loss that ended it."""
    cost = run(asleep(0.05, lambda logits, masks: cross_entropy(logits, masks) * torch.nan))[1].cost
    assert cost.seconds_per_iteration == pytest.approx(0.05)


class Killed(Exception):
    """Stands for kill -9: nothing is done about it."""


def killed_after(iteration: int, upcoming):
    """The same batches, up to an iteration."""

    def until(start):
        for place, batch in enumerate(upcoming(start), start=start):
            if place == iteration:
                raise Killed
            yield batch

    return until


def sitting(directory, settings: Fit, loss, scores, upcoming) -> tuple[dict, Outcome]:
    """One process of a training: all weights and buffers at its end, and what came of it."""
    model, criterion = started(loss, settings.iterations)
    model.append(nn.Dropout(0.2))
    torch.manual_seed(7)

    def validate(_):
        torch.rand(1)  # whatever draws numbers between two steps must go on where it was
        return scores[len(validated)], [0.5, 0.5]

    validated = []

    class Remembers(Listener):
        def validated(self, validation):
            validated.append(validation)

    outcome = fit(model, criterion, upcoming, settings, CPU, validate, Remembers(), Checkpoint(directory))
    assert validated == outcome.history
    return {
        **model.state_dict(),
        **{f"criterion.{name}": each for name, each in criterion.state_dict().items()},
    }, outcome


@pytest.mark.parametrize("kills", [[1], [6], [11], [12], [3, 4, 9]], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {"optimizer": "sgd", "schedule": "exponential"},
        {"optimizer": "adam", "schedule": "one_cycle", "warmup": 0.3},
        {"optimizer": "adamw", "precision": "float16", "checkpoint": "last"},
    ],
    ids=lambda options: options["optimizer"],
)
def test_a_training_that_was_killed_ends_with_the_same_bits(tmp_path, monkeypatch, options, kills):
    """Also right before the end, between a validation and the next, and several times."""
    monkeypatch.setenv("BENCHMARK_CHECKPOINT", "0")
    monkeypatch.setattr("pipeline.learn.checkpoint.SHARE", 1e9)
    settings, upcoming = (
        Fit(iterations=12, batch_size=4, lr=0.05, validations=4, **options),
        functools.partial(batches, 12),
    )
    scores = [0.1, 0.9, 0.3, 0.4]
    whole, outcome = sitting(tmp_path / "whole", settings, COMPOUND, scores, upcoming)
    for iteration in kills:
        with pytest.raises(Killed):
            sitting(tmp_path / "killed", settings, COMPOUND, scores, killed_after(min(iteration, 11), upcoming))
    found, resumed = sitting(tmp_path / "killed", settings, COMPOUND, scores, upcoming)
    assert {name for name in whole if not torch.equal(whole[name], found[name])} == set()
    assert [each[:5] for each in resumed.history] == [each[:5] for each in outcome.history]
    assert resumed.chosen[:5] == outcome.chosen[:5]
    assert [each.terms for each in resumed.history] == [each.terms for each in outcome.history]
    assert all(each.terms.keys() == {"cross_entropy", "dice"} for each in outcome.history)
    assert (outcome.resumed_at, resumed.resumed_at) == ([], [min(each, 11) for each in kills])
    assert resumed.started < resumed.history[0].at


def test_a_training_that_diverges_after_a_kill_diverges_at_the_same_iteration(tmp_path, monkeypatch):
    """The losses from before the kill are looked at again."""
    monkeypatch.setenv("BENCHMARK_CHECKPOINT", "0")
    monkeypatch.setattr("pipeline.learn.checkpoint.SHARE", 1e9)
    settings = Fit(iterations=12, batch_size=4, lr=1e30, optimizer="sgd", validations=1)
    upcoming = functools.partial(batches, 12)
    _, outcome = sitting(tmp_path / "whole", settings, "cross_entropy", [0.1], upcoming)
    with pytest.raises(Killed):
        sitting(tmp_path / "killed", settings, "cross_entropy", [0.1], killed_after(8, upcoming))
    _, resumed = sitting(tmp_path / "killed", settings, "cross_entropy", [0.1], upcoming)
    assert 1 < resumed.diverged_at == outcome.diverged_at < 8


def without(key):
    return lambda state: {name: each for name, each in state.items() if name != key}


def with_other(key, change):
    return lambda state: state | {key: change(state[key])}


def cut(weights):
    """One weight fewer in the first tensor."""
    name = next(iter(weights))
    return weights | {name: weights[name][1:]}


def moments_cut(optimizer):
    first = optimizer["state"][0]
    return optimizer | {"state": optimizer["state"] | {0: first | {"exp_avg": first["exp_avg"][1:]}}}


KEYS = ("model", "criterion", "optimizer", "scaler", "random", "random_cuda", "done", "losses", "history", "chosen")
KEYS += ("kept", "started", "resumed_at", "seconds")
UNUSABLE = {f"without {key}": without(key) for key in KEYS} | {
    "weights of another shape": with_other("model", cut),
    "kept weights of another shape": with_other("kept", cut),
    "moments of another shape": with_other("optimizer", moments_cut),
    "fewer groups": with_other("optimizer", lambda it: it | {"param_groups": it["param_groups"][:1]}),
    "another training's length": with_other("losses", lambda it: it[:1]),
    "more iterations than there are": with_other("done", lambda _: 13),
    "short validations": with_other("history", lambda it: [each[:3] for each in it]),
    "validations without terms": with_other("history", lambda it: [each[:6] for each in it]),
    "terms of a shorter training": with_other("criterion", lambda it: it | {"terms": it["terms"][:1]}),
    "a choice that is not there": with_other("chosen", lambda _: 9),
    "another random state": with_other("random", lambda it: it[:100]),
    "kept weights that are a list": with_other("kept", lambda _: []),
    "nothing": lambda _: {},
    "a list": lambda _: [1, 2],
    "a number": lambda _: 3,
}


HALFWAY = Fit(iterations=12, batch_size=4, lr=0.05, validations=4)


@pytest.fixture(scope="module")
def halfway(tmp_path_factory):
    """The state that a training leaves that was killed after 6 of 12 iterations."""
    directory = tmp_path_factory.mktemp("halfway")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BENCHMARK_CHECKPOINT", "0")
        patch.setattr("pipeline.learn.checkpoint.SHARE", 1e9)
        with pytest.raises(Killed):
            upcoming = killed_after(6, functools.partial(batches, 12))
            sitting(directory, HALFWAY, COMPOUND, [0.1, 0.9], upcoming)
    return Checkpoint(directory).read()


@pytest.mark.parametrize("change", UNUSABLE.values(), ids=UNUSABLE)
def test_a_state_that_is_not_of_this_training_is_not_gone_on_from(halfway, tmp_path, change):
    """Whole, but without a part or of other shapes."""
    Checkpoint(tmp_path).write(change(halfway))
    with pytest.raises(UnusableState):
        sitting(tmp_path, HALFWAY, COMPOUND, [0.1, 0.9, 0.3, 0.4], functools.partial(batches, 12))

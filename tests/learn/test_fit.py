"""The training loop on a model small enough to reason about."""

import pytest
import torch
from torch import nn

from pipeline.learn.fit import Outcome, fit, make_optimizer
from pipeline.learn.settings import Fit

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


def batches(iterations: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Images whose first channel is bright exactly where the mask is 1."""
    generator = torch.Generator().manual_seed(0)
    masks = torch.randint(0, 2, (iterations, 4, 8, 8), generator=generator, dtype=torch.uint8)
    return [(torch.stack([mask * 200] * 3, dim=1), mask) for mask in masks]


def run(loss=None, scores=None, **options) -> tuple[nn.Module, Outcome]:
    """Fit a 1x1 convolution; `scores` are the validation mIoU values to be met in turn."""
    settings = Fit(**{"iterations": 20, "batch_size": 4, "lr": 0.05, "validations": 4} | options)
    torch.manual_seed(0)
    model = Pixelwise()
    scores = iter(scores or [0.1, 0.2, 0.3, 0.4])
    outcome = fit(
        model,
        CallsLoss(loss or (lambda logits, masks: nn.functional.cross_entropy(logits.float(), masks.long()))),
        batches(settings.iterations),
        settings,
        CPU,
        validate=lambda _: (next(scores), [0.5, 0.5]),
        report=lambda _: None,
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

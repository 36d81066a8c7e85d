"""Schedules against torch's own schedulers."""

import math

import pytest
import torch
from torch.optim import lr_scheduler

from pipeline.learn.schedule import EXPONENTIAL_END, lr_factor

N = 40
TORCH = {
    "cosine": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=N),
    "exponential": lambda optimizer: lr_scheduler.ExponentialLR(optimizer, gamma=EXPONENTIAL_END ** (1 / N)),
    "polynomial": lambda optimizer: lr_scheduler.PolynomialLR(optimizer, total_iters=N, power=0.9),
    "constant": lambda optimizer: lr_scheduler.ConstantLR(optimizer, factor=1.0),
}


def rates_of_torch(make, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize("name", TORCH)
def test_without_warmup_it_is_the_schedule_of_torch(name):
    assert [lr_factor(name, 0.0, step, N) for step in range(N)] == pytest.approx(rates_of_torch(TORCH[name], N))


def test_one_cycle_rises_and_falls_as_in_torch():
    """Torch ends on the last step, we one step after it, as all schedules here: so torch is asked for N + 1 steps."""
    expected = rates_of_torch(
        lambda optimizer: lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=N + 1, pct_start=13 / (N + 1)), N
    )
    assert [lr_factor("one_cycle", 12 / N, step, N) for step in range(N)] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", [*TORCH, "one_cycle"])
def test_warmup_rises_to_the_peak_and_stays_within_it(name):
    factors = [lr_factor(name, 0.25, step, N) for step in range(N)]
    assert factors[:10] == sorted(factors[:10])
    assert factors[10] == 1.0
    assert all(0 < factor <= 1 for factor in factors)


@pytest.mark.parametrize("name", [*TORCH, "one_cycle"])
def test_a_single_iteration_has_a_rate(name):
    assert math.isfinite(lr_factor(name, 0.0, 0, 1))

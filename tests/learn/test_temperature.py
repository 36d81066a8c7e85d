"""The temperature against a known one, a grid and another solver."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from torch.nn.functional import cross_entropy

from pipeline.learn.temperature import HIGH, LOW, fit_temperature

CLASSES, PIXELS = 5, 20_000


def drawn(scale: float, seed: int = 0, pixels: int = PIXELS) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits `c n` that are `scale` times what they should be, and classes drawn from the right probabilities."""
    generator = torch.Generator().manual_seed(seed)
    right = 2 * torch.randn(CLASSES, pixels, generator=generator)
    truth = torch.multinomial(right.softmax(dim=0).T, 1, generator=generator).squeeze(1)
    return scale * right, truth


def nll(logits: torch.Tensor, truth: torch.Tensor, temperature: float) -> float:
    return cross_entropy(logits.double().T / temperature, truth).item()


@pytest.mark.parametrize("scale", [0.25, 1.0, 1.7, 6.0])
def test_a_known_temperature_is_found(scale):
    """Within 3 %, which is the error that 20,000 draws leave."""
    assert fit_temperature(*drawn(scale)) == pytest.approx(scale, rel=0.03)


@pytest.mark.parametrize("scale", [0.4, 3.0])
def test_no_temperature_of_a_fine_grid_is_better(scale):
    pair = drawn(scale, pixels=500)
    found, grid = fit_temperature(*pair), np.geomspace(LOW, HIGH, 2001)
    values = [nll(*pair, temperature) for temperature in grid]
    assert nll(*pair, found) <= min(values) + 1e-9
    assert found == pytest.approx(grid[np.argmin(values)], rel=grid[1] / grid[0] - 1)


def test_another_solver_finds_the_same():
    pair = drawn(2.0, pixels=2000)
    other = minimize_scalar(lambda temperature: nll(*pair, temperature), bounds=(LOW, HIGH), method="bounded")
    assert fit_temperature(*pair) == pytest.approx(other.x, rel=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_the_likelihood_of_the_data_never_falls(seed):
    """Also where the logits say nothing about the classes."""
    logits, _ = drawn(1.0, seed, pixels=300)
    truth = torch.randint(0, CLASSES, (300,), generator=torch.Generator().manual_seed(seed))
    assert nll(logits, truth, fit_temperature(logits, truth)) <= nll(logits, truth, 1.0)


def test_decisions_stay_the_same():
    logits, truth = drawn(3.0)
    assert (logits.argmax(dim=0) == (logits / fit_temperature(logits, truth)).argmax(dim=0)).all()


def test_pixels_that_are_all_right_give_the_lower_end():
    """The colder, the more likely."""
    truth = torch.arange(CLASSES)
    assert fit_temperature(3 * torch.eye(CLASSES), truth) == LOW


def test_pixels_that_are_all_wrong_give_the_upper_end():
    assert fit_temperature(3 * torch.eye(CLASSES), torch.arange(CLASSES).roll(1)) == HIGH


@pytest.mark.parametrize("pixels", [0, 7])
def test_equal_logits_and_no_pixels_leave_the_probabilities_as_they_are(pixels):
    assert fit_temperature(torch.full((3, pixels), 0.1), torch.zeros(pixels, dtype=torch.int64)) == 1.0


def test_what_is_taken_at_a_time_does_not_matter(monkeypatch):
    whole = fit_temperature(*drawn(1.5))
    monkeypatch.setattr("pipeline.learn.temperature.PIXELS", 777)
    assert fit_temperature(*drawn(1.5)) == pytest.approx(whole, rel=1e-5)


def test_half_precision_is_computed_in_single():
    """Sums of its gaps would overflow."""
    logits, truth = drawn(5.0)
    assert fit_temperature(logits.half(), truth) == pytest.approx(fit_temperature(logits.half().float(), truth))


def test_extreme_logits_are_no_obstacle():
    logits, truth = drawn(1e4, pixels=200)
    assert fit_temperature(logits, truth) == HIGH

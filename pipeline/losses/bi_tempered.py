"""Bi-tempered: a logistic loss with a bound on what one pixel can cost and with heavy tails."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base import Batch, Loss
from pipeline.losses.base_parts import row_by_row
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

MOST_STEPS = 50  # of Newton; never needed but by logits that are no numbers


class BiTempered(Loss):
    """Bi-tempered logistic loss (Amid, Warmuth, Anil, Koren, "Robust Bi-Tempered Logistic Loss Based on Bregman
    Divergences", NeurIPS 2019).

        L = mean_i  -log_t1 p_i,t(i) - (1 - sum_c p_i,c^(2-t1)) / (2 - t1),   p_i,c = exp_t2(z_i,c - lambda_i)
        log_t x = (x^(1-t) - 1) / (1 - t),   exp_t x = max(0, 1 + (1-t) x)^(1/(1-t));   log and exp for t = 1

    over valid pixels i with true class t(i) and logits z; lambda makes the p of a pixel sum to 1. With class weights
    the mean is weighted by the true class.

    Range 0 (perfect) to 1 / (1 - t1), without an end for t1 = 1.
    Absent class: adds no pixel and so nothing; probability given to it costs as any other that is wrong.
    Limits: t1 = t2 = 1 is `cross_entropy`, less the entropy of a soft target; t1 = 0, t2 = 1 is half the Brier score,
    (1/2) sum_c (p - g)^2. Of a soft target g it is the divergence that the paper begins with,
    sum_c g (log_t1 g - log_t1 p) - (g^(2-t1) - p^(2-t1)) / (2 - t1), which is 0 where p = g.
    Where we differ: the paper asks for t1 < 1 < t2, we allow 1. Its iteration for lambda is slow for a large t2; we
    take Newton's, from the same start, and the gradient is that of the exact lambda.

    Use: against wrong labels. t1 bounds the cost of those far from the boundary, t2 softens the push of those near it.
    What it takes from wrong labels it also takes from rare classes, which look like them. It needs several times the
    time of `cross_entropy`.
    Family: per pixel.
    """

    t1: float = Field(default=0.8, ge=0.0, le=1.0)
    """Temperature of the logarithm; the lower, the less a confidently wrong pixel costs."""
    t2: float = Field(default=1.2, ge=1.0, le=4.0)
    """Temperature of the softmax; the higher, the heavier its tails: certainty needs larger logits."""

    def refuses_soft_targets(self) -> None:
        return None

    def formula(self, batch: Batch) -> Tensor:
        def cost(logits: Tensor, rows: Tensor) -> Tensor:
            log_p = _tempered_log_softmax(logits, self.t2)
            true_class = batch.true_class[:, rows].unsqueeze(1)
            log_p_true = log_p.gather(1, true_class).clamp(max=0)
            power = 2 - self.t1
            of_others = _exp(power * log_p).scatter(1, true_class, 0).sum(dim=1, keepdim=True)
            return _of_true_class(-log_p_true, self.t1) + of_others / power

        def soft_cost(logits: Tensor, rows: Tensor) -> Tensor:
            return _divergence(batch.g[:, :, rows], _tempered_log_softmax(logits, self.t2), self.t1)

        return batch.mean_over_pixels(row_by_row(batch, soft_cost if batch.soft else cost))


# Powers of probabilities are taken by their logarithms: the slope of p^(1-t) is infinite where p underflows to 0, and
# expm1 and log1p keep their digits as t nears 1.
def _of_true_class(x: Tensor, t: float) -> Tensor:
    """-log_t p - (1 - p^(2-t)) / (2 - t) of the true class, from x = -log p; by its series where the two cancel."""
    a, b = 1 - t, 2 - t
    far = (-(-a * x).expm1() / a if a else x) + (-b * x).expm1() / b
    near = x**2 / 2 * (1 - x / 3 * (b**2 - a**2 - x / 4 * (b**3 - a**3 - x / 5 * (b**4 - a**4))))
    return torch.where(x < 0.03, near, far)


def _divergence(g: Tensor, log_p: Tensor, t: float) -> Tensor:
    """sum_c g (log_t g - log_t p) - (g^(2-t) - p^(2-t)) / (2 - t), the Bregman divergence of labels g from p."""

    def log_t(log_x: Tensor) -> Tensor:
        return ((1 - t) * log_x).expm1() / (1 - t) if t < 1 else log_x

    log_g = g.clamp(min=torch.finfo(g.dtype).tiny).log()
    of_powers = (g ** (2 - t) - _exp((2 - t) * log_p)) / (2 - t)
    return (g * (log_t(log_g) - log_t(log_p)) - of_powers).sum(dim=1, keepdim=True)


def _tempered_log_softmax(logits: Tensor, t: float) -> Tensor:
    """log of exp_t(logits - lambda), where lambda makes the classes sum to 1."""
    from pipeline.losses.base_autograd import Implicit  # only now, since it needs torch to be imported

    if t == 1:
        return logits.log_softmax(dim=1)
    shifted = logits - logits.detach().amax(dim=1, keepdim=True)  # lambda shifts alike, so this has no gradient
    normaliser = Implicit.apply(shifted, lambda z: _normaliser(z, t), lambda z, x: _slope_of_normaliser(z, x, t))
    return _log_exp_t(shifted - normaliser, t)


def _exp(x: Tensor) -> Tensor:
    """e^x, at least the smallest number that is not denormal, which would take a hundred times as long."""
    return x.clamp(min=math.log(torch.finfo(x.dtype).tiny)).exp()


def _log_exp_t(x: Tensor, t: float) -> Tensor:
    """log of exp_t(x), for x <= 0 and t > 1, where exp_t is never 0."""
    return ((1 - t) * x).log1p() / (1 - t)


def _slope_of_normaliser(z: Tensor, normaliser: Tensor, t: float) -> Tensor:
    """d lambda / d z: the share of each class in the sum of p^t, the slopes of exp_t."""
    return (t * _log_exp_t(z - normaliser, t)).softmax(dim=1)


def _normaliser(z: Tensor, t: float) -> Tensor:
    """lambda `b 1 h w`, for logits of which the largest is 0.

    By Newton's method on S^(1-t) = 1, where S is the sum of exp_t(z - lambda) over classes. S^(1-t) is a mean of linear
    functions of lambda of a negative power, so it is concave and rising: from lambda = 0 every step stays below the
    solution, and each squares the error.
    """
    # Near certainty S - 1 is what the others have; the largest, and those equal to it, are kept apart for its digits.
    others = (z < 0).to(z.dtype)
    tops = (1 - others).sum(dim=1, keepdim=True)
    found = torch.zeros_like(z[:, :1])
    enough = torch.finfo(z.dtype).eps ** 0.5
    for _ in range(MOST_STEPS):
        stretch = (t - 1) * (found - z)
        p = _exp(stretch.log1p() / (1 - t)) * others
        log_top = _log_exp_t(-found, t)
        excess = p.sum(dim=1, keepdim=True) + (tops - 1) * log_top.exp() + log_top.expm1()
        slope = (p / (1 + stretch)).sum(dim=1, keepdim=True) + tops * (t * log_top).exp()
        step = (1 + excess) * ((t - 1) * excess.log1p()).expm1() / (t - 1) / slope
        found = found + step
        if (step <= enough * (1 + found)).all():
            break
    return found

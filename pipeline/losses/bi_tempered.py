"""Bi-tempered: a logistic loss with a bound on what one pixel can cost and with heavy tails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base import Batch, Loss
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor


class BiTempered(Loss):
    """Bi-tempered logistic loss (Amid, Warmuth, Anil, Koren, "Robust Bi-Tempered Logistic Loss Based on Bregman
    Divergences", NeurIPS 2019).

        L = mean_i  -log_t1 p_i,t(i) - (1 - sum_c p_i,c^(2-t1)) / (2 - t1),   p_i,c = exp_t2(z_i,c - lambda_i)
        log_t x = (x^(1-t) - 1) / (1 - t),   exp_t x = max(0, 1 + (1-t) x)^(1/(1-t));   log and exp for t = 1

    over valid pixels i with true class t(i) and logits z; lambda makes the p of a pixel sum to 1. With class weights
    the mean is weighted by the true class.

    Range 0 (perfect) to 1 / (1 - t1), without an end for t1 = 1.
    Absent class: adds no pixel and so nothing; probability given to it costs as any other that is wrong.
    Limits: t1 = t2 = 1 is `cross_entropy`; t1 = 0, t2 = 1 is half the Brier score, (1/2) sum_c (p - g)^2.
    Where we differ: the paper asks for t1 < 1 < t2, we allow 1. Its iteration for lambda is slow for a large t2: we
    stop it early and take two steps of Newton, through the last of which the gradient flows.

    Use: against wrong labels. t1 bounds the cost of those far from the boundary, t2 softens the push of those near it.
    What it takes from wrong labels it also takes from rare classes, which look like them. It needs several times the
    time of `cross_entropy`.
    Family: per pixel.
    """

    t1: float = Field(default=0.8, ge=0.0, le=1.0)
    """Temperature of the logarithm; the lower, the less a confidently wrong pixel costs."""
    t2: float = Field(default=1.2, ge=1.0, le=4.0)
    """Temperature of the softmax; the higher, the heavier its tails: certainty needs larger logits."""

    def formula(self, batch: Batch) -> Tensor:
        log_p = _tempered_log_softmax(batch.logits, self.t2)
        log_p_true = log_p.gather(1, batch.true_class.unsqueeze(1)).squeeze(1)
        power = 2 - self.t1
        spread = (1 - (power * log_p).exp().sum(dim=1)) / power
        return batch.mean_over_pixels(-_log_t(log_p_true, self.t1) - spread)


# Powers of probabilities are taken by their logarithms: the slope of p^(1-t) is infinite where p underflows to 0, and
# expm1 and log1p keep their digits as t nears 1.
def _log_t(log_x: Tensor, t: float) -> Tensor:
    """log_t of x, from the log of x."""
    return log_x if t == 1 else ((1 - t) * log_x).expm1() / (1 - t)


def _log_exp_t(x: Tensor, t: float) -> Tensor:
    """log of exp_t(x), for x <= 0 and t >= 1, where exp_t is never 0."""
    return x if t == 1 else ((1 - t) * x).log1p() / (1 - t)


def _tempered_log_softmax(logits: Tensor, t: float) -> Tensor:
    """log of exp_t(logits - lambda), where lambda makes the classes sum to 1."""
    shifted = logits - logits.detach().amax(dim=1, keepdim=True)  # lambda shifts alike, so this has no gradient
    normaliser = _iterated(shifted.detach(), t)
    for _ in range(2):  # each step of Newton squares the error, so the gradient that the second one carries is exact
        fixed = normaliser.detach()
        log_p = _log_exp_t(shifted - fixed, t)
        excess = log_p.exp().sum(dim=1, keepdim=True) - 1
        slope = (t * log_p.detach()).exp().sum(dim=1, keepdim=True)
        normaliser = fixed + excess / slope
    return _log_exp_t(shifted - normaliser, t)


def _iterated(shifted: Tensor, t: float) -> Tensor:
    """lambda by the fixed-point iteration of the paper, to about three digits, for logits of which the largest is 0."""
    scale = torch.ones_like(shifted[:, :1])
    for _ in range(100):
        z = _log_exp_t(scale * shifted, t).exp().sum(dim=1, keepdim=True)
        before, scale = scale, z ** (1 - t)
        if (before - scale <= 1e-3 * before).all():  # scale only ever falls
            break
    return -_log_t(-z.log(), t)

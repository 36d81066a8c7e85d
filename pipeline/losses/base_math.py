"""Quotients and powers that stay finite, with their slopes, where a class or every pixel is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

TINY = 1e-12  # keeps 0 / 0 away where a class or every pixel is missing; never near a value that counts


def ratio(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole, and 0 where both are 0."""
    return part / whole.where(whole > 0, 1.0)


def fraction(part: Tensor, rest: Tensor) -> Tensor:
    """part / (part + rest), both at least 0; 0 of nothing.

    By the smaller of the two: the derivative of x / (x + y) by x is a difference, which has no right digit where y is
    nothing beside x, as for a rare class that is hardly found in a large batch.
    """
    whole = (part + rest).clamp(min=TINY)
    return torch.where(part <= rest, part / whole, 1 - rest / whole)


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Sum of weighted values over the sum of weights; 0 if there is no weight at all."""
    return ratio((values * weights).sum(), weights.sum())


def root(values: Tensor, exponent: Tensor | float) -> Tensor:
    """values^exponent for exponents from 0 to 1: 0 stays 0, with a slope of 0 there instead of infinity."""
    return values.clamp(min=torch.finfo(values.dtype).tiny) ** exponent * (values > 0)

"""What a loss may know besides a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Facts(NamedTuple):
    """What some losses need besides a batch of logits and targets; training knows all of it."""

    train_pixels: Tensor | None = None
    """`c`: pixels of each class in the train split, each above 0."""
    train_images: Tensor | None = None
    """`c`: train images that hold each class, each above 0."""
    distances: Tensor | None = None
    """`b c h w`: signed distance in pixels to the boundary of each class in its image, see `base_distances.py`;
    given to losses that ask for it by `needs_distances`."""
    progress: float = 0.0
    """Share of the iterations that are done, from 0 to below 1."""
    learned: Tensor | None = None
    """As many numbers as the loss asks for by `learned_numbers`; they start at 0 and are trained with the model."""
    terms: list[Tensor | None] | None = None
    """A list, where somebody wants to see the terms of a sum: the loss fills it, in the order of `term_names`, with the
    value of each, a scalar without gradient; None for one that was not computed since its weight is 0."""

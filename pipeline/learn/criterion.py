"""A loss together with all that it may know of a training, under what a strategy does to logits, target and weights."""

import bisect
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.losses.base import Facts, with_background
from pipeline.plumbing.labels import IGNORE
from pipeline.strategies.base import ClassStatistics, Strategy


class Criterion(nn.Module):
    """Scores logits by a loss. Its parameters, where the loss learns numbers of its own, are trained with the model."""

    seen: Tensor
    """`c` int64: pixels of each class that the loss has got so far."""
    terms: Tensor | None
    """`iterations k`: values of the terms of a sum, NaN where one was not computed; None for any other loss."""

    def __init__(self, loss: Any, strategy: Strategy, statistics: ClassStatistics, iterations: int) -> None:
        super().__init__()
        self.loss, self.iterations = loss, iterations
        stretches = strategy.stretches(iterations)
        self.starts = [iterations.start for iterations, _ in stretches]
        self.phases = nn.ModuleList(Phase(each, statistics) for _, each in stretches)
        pixels, images = statistics.pixels.sum(axis=0), statistics.images_with
        self.register_buffer("train_pixels", torch.from_numpy(pixels).float())  # `prepare` refuses a class without any
        self.register_buffer("train_images", torch.from_numpy(images).float())
        self.register_buffer("seen", torch.zeros(len(pixels), dtype=torch.int64))
        self.term_names = loss.term_names()
        terms = torch.full((iterations, len(self.term_names)), torch.nan) if self.term_names else None
        self.register_buffer("terms", terms)
        learned = loss.learned_numbers()
        self.learned = nn.Parameter(torch.zeros(learned)) if learned else None

    def forward(self, logits: Tensor, target: Tensor, distances: Tensor | None = None, iteration: int = 0) -> Tensor:
        """The loss of a batch, as `pipeline.losses.base.Loss` describes it; `iteration` is counted from 0."""
        phase = self.phases[bisect.bisect(self.starts, iteration) - 1]
        logits, target = phase(with_background(logits), target)
        self.seen += count_classes(target, len(self.seen))
        terms = None if self.terms is None else []
        facts = Facts(self.train_pixels, self.train_images, distances, iteration / self.iterations, self.learned, terms)
        loss = self.loss(logits, target, phase.class_weights, facts)
        for k, value in enumerate(terms or []):
            if value is not None:
                self.terms[iteration, k] = value
        return loss

    def mean_terms(self, iterations: range) -> dict[str, float]:
        """Mean of each term, by its name, over those iterations in which it had a weight; NaN without any."""
        if self.terms is None:
            return {}
        means = self.terms[iterations.start : iterations.stop].nanmean(dim=0).tolist()
        return dict(zip(self.term_names, means, strict=True))


class Phase(nn.Module):
    """What one strategy does to the input of the loss."""

    class_weights: Tensor | None

    def __init__(self, strategy: Strategy, statistics: ClassStatistics) -> None:
        super().__init__()
        self.strategy = strategy
        self.register_buffer("class_weights", _per_class(strategy.class_weights(statistics)))
        self.register_buffer("logit_shift", _per_class(strategy.logit_shift(statistics)))

    def forward(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Logits `b c h w` and target `b h w` (int64), as the loss is to get them."""
        target = target.long()
        with torch.no_grad():
            kept = self.strategy.kept_pixels(logits.float(), target)
        if kept is not None:
            target = target.where(kept, IGNORE)
        if self.logit_shift is not None:
            logits = logits.float() + self.logit_shift.view(-1, 1, 1)
        return logits, target


def count_classes(target: Tensor, classes: int) -> Tensor:
    """Pixels of each class, `c` int64. Unlike `torch.bincount` it does not make the host wait for a GPU."""
    return (target.flatten() == torch.arange(classes, device=target.device)[:, None]).sum(dim=1)


def _per_class(numbers: np.ndarray | None) -> Tensor | None:
    return None if numbers is None else torch.tensor(numbers, dtype=torch.float32)

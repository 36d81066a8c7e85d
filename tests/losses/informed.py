"""A loss together with what a training would tell it, for tests that have only logits and a target."""

from typing import Any

import numpy as np
import torch

from pipeline.learn.distances import signed_distances
from pipeline.losses.base import Batch, Facts

# Of the first, second, ... class of a made-up train split, and again from the start.
TRAIN_PIXELS = (4000.0, 250.0, 900.0, 60.0, 1500.0)
TRAIN_IMAGES = (40.0, 12.0, 30.0, 5.0, 35.0)


class Informed:
    """Calls a loss with made-up facts: class statistics, real distance maps, and learned numbers that are not 0."""

    def __init__(self, loss: Any, order: list[int] | None = None) -> None:
        """`order` names the classes anew: class i has the statistics of class `order[i]`."""
        self.loss, self.order = loss, order

    def __call__(self, logits: torch.Tensor, target: torch.Tensor, class_weights: Any = None) -> torch.Tensor:
        return self.loss(logits, target, class_weights, self.facts(target, max(2, logits.shape[1])))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loss, name)

    def in_float64(self, logits: torch.Tensor, target: torch.Tensor, class_weights: Any = None) -> torch.Tensor:
        """The formula without its float32 entrance."""
        weights = None if class_weights is None else class_weights.double()
        facts = [each.double() if torch.is_tensor(each) else each for each in self.facts(target, logits.shape[1])]
        return self.loss.formula(Batch(logits.double(), target.long(), weights, Facts(*facts)))

    def facts(self, target: torch.Tensor, classes: int) -> Facts:
        order = self.order or range(classes)
        maps = [signed_distances(mask.numpy().astype(np.uint8), classes) for mask in target]
        learned = self.loss.learned_numbers()
        return Facts(
            train_pixels=torch.tensor([TRAIN_PIXELS[index % 5] for index in order]),
            train_images=torch.tensor([TRAIN_IMAGES[index % 5] for index in order]),
            distances=torch.from_numpy(np.stack(maps)) if self.loss.needs_distances() else None,
            progress=0.25,
            learned=torch.linspace(-0.5, 0.5, learned) if learned else None,
        )

"""A loss together with all that it may know of a training."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.losses.base import Facts


class Criterion(nn.Module):
    """Scores logits by a loss. Its parameters, where the loss learns numbers of its own, are trained with the model."""

    def __init__(self, loss: Any, class_weights: np.ndarray | None, class_pixels: np.ndarray, iterations: int) -> None:
        """`class_weights` of a strategy, `c`; `class_pixels` of each class in each train image, `n c`."""
        super().__init__()
        self.loss, self.iterations = loss, iterations
        weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)
        self.register_buffer("class_weights", weights)
        counts = {"train_pixels": class_pixels.sum(axis=0), "train_images": (class_pixels > 0).sum(axis=0)}
        for name, count in counts.items():  # `prepare` refuses a class without a train pixel
            self.register_buffer(name, torch.from_numpy(count).float())
        learned = loss.learned_numbers()
        self.learned = nn.Parameter(torch.zeros(learned)) if learned else None

    def forward(self, logits: Tensor, target: Tensor, distances: Tensor | None = None, iteration: int = 0) -> Tensor:
        """The loss of a batch, as `pipeline.losses.base.Loss` describes it; `iteration` is counted from 0."""
        progress = iteration / self.iterations
        facts = Facts(self.train_pixels, self.train_images, distances, progress, self.learned)
        return self.loss(logits, target, self.class_weights, facts)

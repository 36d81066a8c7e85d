"""Prediction of a whole split, in order, without augmentation."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn


def predict(
    model: nn.Module, images: np.ndarray, batch_size: int, device: torch.device
) -> Iterator[tuple[slice, Tensor]]:
    """Yield the positions of each batch of `images` (`n h w 3` uint8) and its predicted classes `b h w` (int64).

    The model is set to evaluation for the prediction and left as it was found.
    """
    training = model.training
    model.eval()
    try:
        for start in range(0, len(images), batch_size):
            where = slice(start, min(start + batch_size, len(images)))
            batch = on_device(images[where], device).permute(0, 3, 1, 2)
            with torch.inference_mode():  # not around the yield, where the caller's code would run in it
                predicted = model(batch).argmax(dim=1)
            yield where, predicted
    finally:
        model.train(training)


def on_device(part: np.ndarray, device: torch.device) -> Tensor:
    """A copy of a part of a memory-mapped array, which is read-only, as a tensor."""
    return torch.from_numpy(np.array(part)).to(device, non_blocking=True)

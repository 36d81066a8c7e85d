"""Prediction of a whole split, in order, without augmentation."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn


def predict(
    model: nn.Module,
    images: np.ndarray,
    batch_size: int,
    device: torch.device,
    offsets: Tensor | None = None,
) -> Iterator[tuple[slice, Tensor]]:
    """Yield the positions of each batch of `images` (`n h w 3` uint8) and its predicted classes `b h w` (int64).

    `offsets` (`c` float32) are added to the logits before the largest is taken. The model is set to evaluation for the
    prediction and left as it was found.
    """
    for where, logits in predict_logits(model, images, batch_size, device):
        with torch.inference_mode():  # not around the yield, where the caller's code would run in it
            predicted = (logits if offsets is None else logits + offsets.view(-1, 1, 1)).argmax(dim=1)
        yield where, predicted


def predict_logits(
    model: nn.Module, images: np.ndarray, batch_size: int, device: torch.device
) -> Iterator[tuple[slice, Tensor]]:
    """As `predict`, but yield the logits `b c h w`.

    The next batch is under way when one is yielded: a GPU computes while the caller looks at what it gave.
    """
    training, before = model.training, None
    model.eval()
    try:
        for start in range(0, len(images), batch_size):
            where = slice(start, min(start + batch_size, len(images)))
            batch = on_device(images[where], device).permute(0, 3, 1, 2)
            with torch.inference_mode():
                logits = model(batch)
            if before:
                yield before
            before = where, logits
        if before:
            yield before
    finally:
        model.train(training)


def on_device(part: np.ndarray, device: torch.device) -> Tensor:
    """A copy of a part of a memory-mapped array, which is read-only, as a tensor; a GPU fetches it in its own time."""
    copy = torch.from_numpy(np.array(part))
    return (copy.pin_memory() if device.type == "cuda" else copy).to(device, non_blocking=True)

"""Integer counts: what every metric is computed from.

Counts are arrays `... c 4` of int64, the last axis in the order of `COUNTS`; leading axes may be images or nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

COUNTS = ("tp", "fp", "fn", "tn")


def count(prediction: Tensor, target: Tensor, classes: int) -> np.ndarray:
    """Counts `b c 4` of predicted and true class indices `b h w`, of any integer dtype; void pixels count nowhere.

    Void is a true class of its own, whose row is left out: picking the valid pixels would take five times as long as
    counting all. int32 halves what is read.
    """
    rows = classes + 1
    pair = target.clamp(max=classes).to(torch.int32).mul_(classes).add_(prediction.to(torch.int32))
    image = torch.arange(len(target), dtype=torch.int32, device=target.device).view(-1, 1, 1) * (rows * classes)
    confusion = torch.bincount(pair.add_(image).flatten(), minlength=len(target) * rows * classes)
    return from_confusion(confusion.view(len(target), rows, classes)[:, :classes])


def from_confusion(confusion: Tensor) -> np.ndarray:
    """Counts `... c 4` of confusion matrices `... c c`, with a row per true and a column per predicted class."""
    tp = confusion.diagonal(dim1=-2, dim2=-1)
    fp, fn = confusion.sum(dim=-2) - tp, confusion.sum(dim=-1) - tp
    tn = confusion.sum(dim=(-2, -1)).unsqueeze(-1) - tp - fp - fn
    return torch.stack([tp, fp, fn, tn], dim=-1).cpu().numpy()


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole`, and NaN where the whole is 0: a class that is not there has no score."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(whole > 0, part / whole, np.nan)


def iou(counts: np.ndarray) -> np.ndarray:
    """Intersection over union `... c`: TP / (TP + FP + FN), NaN for a class neither predicted nor true."""
    tp, fp, fn, _ = np.moveaxis(counts, -1, 0)
    return ratio(tp, tp + fp + fn)


def mean_iou(counts: np.ndarray) -> float:
    """Mean IoU over the classes that occur, from counts `n c 4` summed over images: what the checkpoint rule reads."""
    return float(np.nanmean(iou(counts.sum(axis=0))))

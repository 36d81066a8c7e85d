"""Scores decisions on the validation split, for the strategies that are fitted to a trained model."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.learn.predict import on_device, predict_logits
from pipeline.learn.samples import open_split
from pipeline.measure.counts.region import from_confusion, mean_iou
from pipeline.plumbing.labels import IGNORE


class Others(NamedTuple):
    """The decision among all classes but one, for the pixels of a split."""

    index: int
    """The class that is left out."""
    offsets: np.ndarray
    """`c`: those of the others."""
    best: Tensor
    """`n`: what the sum of logit and offset of the class must exceed to be the decision."""
    pair: Tensor
    """`n`: true class times c plus the class of the largest."""


class ValidationScore:
    """Mean IoU on the validation split of argmax(logits + offsets), from logits that are predicted once.

    They are kept on the device: 4 bytes per class and valid pixel. The mean is over the classes that are true or
    predicted somewhere. Asked for offsets that differ from those before in one class, as a search does, it only decides
    anew between this class and the best of the others, which is four times as fast.
    """

    def __init__(self, model: nn.Module, prepared: Path, batch_size: int, device: torch.device) -> None:
        images, masks = open_split(prepared, "val")
        logits, truth = [], []
        for where, found in predict_logits(model, images, batch_size, device):
            target = on_device(masks[where], device)
            valid = target != IGNORE
            logits.append(found.movedim(1, 0)[:, valid].float())
            truth.append(target[valid].long())
        self.logits = torch.cat(logits, dim=1)
        """`c n`"""
        self.truth = torch.cat(truth)
        """`n`: true class."""
        self.row = self.truth * len(self.logits)
        """`n`: where the row of the true class begins in a flat confusion matrix."""
        self.last: np.ndarray | None = None
        self.others: Others | None = None

    @torch.inference_mode()
    def __call__(self, offsets: np.ndarray) -> float:
        """The score under `offsets`, `c`."""
        moved = [] if self.last is None else np.flatnonzero(offsets != self.last)
        self.last = np.array(offsets)
        if len(moved) != 1:
            return self._mean_iou(self._decide(offsets, range(len(offsets)))[1])
        index = int(moved[0])
        if not (self.others and self.others.index == index and _equal_but(index, offsets, self.others.offsets)):
            rest = [each for each in range(len(offsets)) if each != index]
            best, pair = self._decide(offsets, rest)
            later = pair - self.row > index  # from which this class takes also equal sums, as argmax has it
            best = best.where(~later, best.nextafter(best.new_tensor(-torch.inf)))
            self.others = Others(index, self.last, best, pair)
        own = self.logits[index] + float(offsets[index])
        return self._mean_iou(torch.where(own > self.others.best, self.row + index, self.others.pair))

    def _decide(self, offsets: np.ndarray, classes: Sequence[int]) -> tuple[Tensor, Tensor]:
        """The largest sum among `classes`, and the place of each pixel in the confusion matrix, both `n`."""
        first, *rest = classes
        best, winner = self.logits[first] + float(offsets[first]), torch.full_like(self.row, first)
        for index in rest:  # five times as fast as argmax over the first dimension on a CPU
            value = self.logits[index] + float(offsets[index])
            winner.masked_fill_(value > best, index)
            torch.maximum(best, value, out=best)
        return best, self.row + winner

    def _mean_iou(self, pair: Tensor) -> float:
        classes = len(self.logits)
        confusion = torch.bincount(pair, minlength=classes**2).view(classes, classes)
        return mean_iou(from_confusion(confusion.unsqueeze(0)))


def _equal_but(index: int, one: np.ndarray, other: np.ndarray) -> bool:
    return np.array_equal(np.delete(one, index), np.delete(other, index))


def as_tensor(offsets: np.ndarray, device: torch.device) -> Tensor:
    """Offsets `c` as the logits they are added to."""
    return torch.tensor(offsets, dtype=torch.float32, device=device)

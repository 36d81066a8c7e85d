"""Counts on the test split: a model predicts it once, and everything that a metric needs is counted on the way."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.learn.decision import ValidationScore, as_tensor
from pipeline.learn.predict import on_device, predict_logits
from pipeline.learn.samples import open_split
from pipeline.learn.temperature import fit_temperature
from pipeline.measure.counts.calibration import count_probabilities
from pipeline.measure.counts.region import COUNTS, count
from pipeline.measure.counts.shapes import count_shapes
from pipeline.measure.counts.store import Counts
from pipeline.plumbing.prepared import Size, read_test_masks, read_test_spacing
from pipeline.strategies.base import ClassStatistics, Strategy


class JudgedSplit:
    """The test split of a dataset as it is judged at one size: opened once, for all models."""

    def __init__(self, prepared: Path, size: Size) -> None:
        self.prepared, self.size = prepared, size
        self.images, _ = open_split(prepared, "test")
        self.truths = read_test_masks(prepared, size)
        self.spacing = read_test_spacing(prepared, size)
        self.true_skeletons: dict[int, np.ndarray] = {}
        """Of the true masks, found with the first model and kept for the others."""


class Judge:
    """Judges one model under the decisions of one strategy after another; its validation split is predicted once."""

    def __init__(self, model: nn.Module, split: JudgedSplit, settings: dict[str, Any], device: torch.device) -> None:
        """`settings` is the block `eval`."""
        self.model, self.split, self.settings, self.device = model, split, settings, device
        self.validation = ValidationScore(model, split.prepared, settings["batch_size"], device)

    def __call__(self, strategy: Strategy) -> tuple[Counts, np.ndarray]:
        """The counts of the model on the test split, and its predicted masks at the prepared size, `n h w` uint8.

        Decision and temperature are fitted on the validation split.
        """
        validation, settings = self.validation, self.settings
        decides = "decisions" in strategy.aspects
        decision = decide(strategy, ClassStatistics.read(self.split.prepared), validation) if decides else None
        offsets = np.array(decision["offsets"]) if decision else np.zeros(len(validation.logits))
        offsets = as_tensor(offsets, self.device)
        temperature = fit_temperature(validation.logits + offsets.unsqueeze(1), validation.truth)
        counts, masks = count_split(self.model, offsets, temperature, self.split, settings, self.device)
        evaluation = {"temperature": temperature, "size": self.split.size, "tolerance": settings["tolerance"]}
        return counts._replace(evaluation=evaluation | ({"decision": decision} if decision else {})), masks


def decide(strategy: Strategy, statistics: ClassStatistics, validation: ValidationScore) -> dict[str, Any]:
    """What is added to the logits of each class, and mean IoU on the validation split without and with it."""
    offsets = strategy.decision(statistics, validation)
    before = validation(np.zeros_like(offsets))
    return {"offsets": offsets.tolist(), "val_miou_before": before, "val_miou": validation(offsets)}


def count_split(
    model: nn.Module,
    offsets: Tensor,
    temperature: float,
    split: JudgedSplit,
    settings: dict[str, Any],
    device: torch.device,
) -> tuple[Counts, np.ndarray]:
    """Counts of the whole test split under `offsets` (`c`), and the predicted masks at the prepared size."""
    truths = split.truths
    region, sums, bins, predicted, masks = [], [], [], [], []
    for where, logits in predict_logits(model, split.images, settings["batch_size"], device):
        decided = logits.float() + offsets.view(-1, 1, 1)
        masks.append(decided.argmax(dim=1).to(torch.uint8).cpu().numpy())
        for several, truth in _scored(decided, [truths[at] for at in range(where.start, where.stop)], device):
            found = several.argmax(dim=1)
            region.append(count(found, truth, len(offsets)))
            predicted += list(found.to(torch.uint8).cpu().numpy())
            raw, scaled = (count_probabilities(several / scale, truth, len(offsets)) for scale in (1.0, temperature))
            sums.append(raw[0] | {f"{name}_scaled": scaled[0][name] for name in ("nll", "brier")})
            bins.append(np.stack([raw[1], scaled[1]]))
    shapes = count_shapes(predicted, truths, len(offsets), split.spacing, settings["tolerance"], split.true_skeletons)
    counts = Counts(
        classes=dict(zip(COUNTS, np.moveaxis(np.concatenate(region), -1, 0), strict=True)) | shapes,
        images={name: np.concatenate([each[name] for each in sums]) for name in sums[0]},
        bins=np.concatenate(bins, axis=1),
        evaluation={},
        cost={},
    )
    return counts, np.concatenate(masks)


def _scored(logits: Tensor, truths: Sequence[np.ndarray], device: torch.device) -> list[tuple[Tensor, Tensor]]:
    """Logits and true masks at the size of the masks: one batch where that is the prepared size, else image by image.

    Logits are resized bilinearly, and decided on afterwards: enlarged masks would have steps for edges.
    """
    if all(truth.shape == logits.shape[2:] for truth in truths):
        return [(logits, on_device(np.stack(truths), device))]
    return [
        (F.interpolate(each.unsqueeze(0), truth.shape, mode="bilinear"), on_device(truth[None], device))
        for each, truth in zip(logits, truths, strict=True)
    ]

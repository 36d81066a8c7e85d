"""Stage `train`: trains one cell and keeps the weights that the checkpoint rule chooses.

Writes to `models/<cell>/`:
    cell.json        the cell, its resolved options, and what came of it
    history.csv      a row per validation
    model/           for `smp.from_pretrained`; absent if training diverged
    provenance.json  when, where, with which versions and how fast: the one file that differs between equal runs
"""

import argparse
import functools
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from pipeline.learn import model as unet
from pipeline.learn.augmentation import Augmentation
from pipeline.learn.device import chosen_device, loader_workers
from pipeline.learn.fit import Outcome, Validation, fit
from pipeline.learn.predict import on_device, predict
from pipeline.learn.samples import Draws, batches, draw_order, open_split
from pipeline.learn.settings import Fit, UNet
from pipeline.measure.counts import count, iou, mean_iou
from pipeline.plumbing import plugins
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.errors import UserError, run_stage
from pipeline.plumbing.files import read_json, whole, write_csv, write_json
from pipeline.plumbing.plan import MODELS, PREPARED, fingerprint, read_cell_plan
from pipeline.plumbing.provenance import provenance
from pipeline.plumbing.random_streams import small_seed
from pipeline.plumbing.tracking import LiveRun
from pipeline.strategies.base import ClassStatistics


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cell", help="DATASET-MODEL-LOSS-STRATEGY-SEED, names as in params.yaml")
    name = parser.parse_args().cell
    try:
        cell = Cell.parse(name)
    except ValueError:
        raise UserError(f"{name}: not a cell; it must read DATASET-MODEL-LOSS-STRATEGY-SEED.") from None
    train(cell)


def train(cell: Cell) -> None:
    """Train one cell of the plan on its prepared dataset."""
    plan, prepared, device = read_cell_plan(cell), PREPARED / cell.dataset, chosen_device()
    meta = read_json(prepared / "meta.json")
    settings = Fit.model_validate(plan["dataset"]["fit"])
    facts = {
        "cell": cell._asdict(),
        "plan": plan,
        "fingerprint": fingerprint(plan, meta["digest"]),
        "data_digest": meta["digest"],
        **{key: meta[key] for key in ("classes", "image_size", "mean", "std")},
    }
    torch.manual_seed(small_seed(cell.seed, "initial weights"))
    options, classes = UNet.model_validate(plan["model"]), len(meta["classes"])
    model = unet.build(options, classes, settings.dropout, meta["mean"], meta["std"]).to(device)
    torch.manual_seed(small_seed(cell.seed, "dropout"))
    loader, loss = assemble(cell, plan, settings, device)

    clock, times = time.time(), []
    with LiveRun(facts, clock) as live:

        def report(validation: Validation) -> None:
            times.append(time.time())
            shown = {"train/loss": validation.train_loss, "val/miou": validation.val_miou}
            live.log(shown, validation.iteration, times[-1])

        validate = functools.partial(validation_scores, prepared, classes, settings, device)
        outcome = fit(model, loss, loader, settings, device, validate, report)
    write(cell, facts, outcome, model, provenance(device, settings.iterations * settings.batch_size, clock, times))


def assemble(cell: Cell, plan: dict[str, Any], settings: Fit, device: torch.device) -> tuple[Any, Any]:
    """What the strategy and the loss make of the common settings: the batches, and the loss with its class weights."""
    prepared = PREPARED / cell.dataset
    statistics = ClassStatistics(np.load(prepared / "train_class_pixels.npy"))
    strategy = plugins.restore("strategies", _options(plan["strategy"]), f"strategy {cell.strategy}")
    loss = plugins.restore("losses", _options(plan["loss"]), f"loss {cell.loss}")

    draws = settings.iterations * settings.batch_size
    order = draw_order(cell.seed, draws, len(statistics.pixels), strategy.image_weights(statistics))
    augmentation = Augmentation(settings.augmentation, settings.horizontal_flip, strategy.augmentation(statistics))
    loader = batches(
        Draws(prepared, order, augmentation, cell.seed), settings.batch_size, loader_workers(device), device
    )
    weights = strategy.class_weights(statistics)
    if weights is not None:
        weights = torch.tensor(weights, dtype=torch.float32, device=device)
    return loader, functools.partial(loss, class_weights=weights)


def _options(planned: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in planned.items() if key != "code"}


def validation_scores(
    prepared: Path, classes: int, settings: Fit, device: torch.device, model: nn.Module
) -> tuple[float, list[float]]:
    """Mean IoU and IoU per class on the validation split."""
    images, masks = open_split(prepared, "val")
    counts = [
        count(predicted, on_device(masks[where], device), classes)
        for where, predicted in predict(model, images, 2 * settings.batch_size, device)
    ]
    counts = np.concatenate(counts)
    return mean_iou(counts), iou(counts.sum(axis=0)).tolist()


def write(cell: Cell, facts: dict[str, Any], outcome: Outcome, model: nn.Module, origin: dict[str, Any]) -> None:
    """Write the directory of the cell, whole or not at all."""
    result = {
        "status": "diverged" if outcome.diverged_at else "finished",
        "diverged_at": outcome.diverged_at,
        "checkpoint": outcome.chosen and {"iteration": outcome.chosen.iteration, "val_miou": outcome.chosen.val_miou},
    }
    *columns, last = Validation._fields
    columns += [f"{last}/{name}" for name in facts["classes"]]
    rows = [dict(zip(columns, [*each[:-1], *each.val_iou], strict=True)) for each in outcome.history]
    with whole(MODELS / cell.name) as part:
        part.mkdir(parents=True)
        write_json(part / "cell.json", {**facts, **result})
        write_csv(part / "history.csv", rows, columns)
        write_json(part / "provenance.json", origin)
        if outcome.chosen:
            unet.save(model, part / "model")
    if outcome.diverged_at:
        print(f"{cell.name}: diverged at iteration {outcome.diverged_at}; this is recorded as its result.")
    else:
        print(f"{cell.name}: validation mIoU {outcome.chosen.val_miou:.3f} at iteration {outcome.chosen.iteration}.")


if __name__ == "__main__":
    run_stage(main)

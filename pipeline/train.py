"""Stage `train`: trains one cell and keeps the weights that the checkpoint rule chooses.

Writes to `models/<cell>/`:
    cell.json        the cell, its resolved options, and what came of it
    history.csv      a row per validation
    model/           for `smp.from_pretrained`; absent if training diverged
    provenance.json  when, where, with which versions and how fast: the one file that differs between equal runs
"""

import argparse
import time
from typing import Any

from torch import nn

from pipeline.learn import model as unet
from pipeline.learn.device import chosen_device
from pipeline.learn.fit import Outcome, Validation
from pipeline.learn.settings import Fit, UNet
from pipeline.learn.training import Task, run_training
from pipeline.plumbing import plugins
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.errors import UserError, run_stage
from pipeline.plumbing.files import read_json, whole, write_csv, write_json
from pipeline.plumbing.plan import MODELS, PREPARED, fingerprint, options_of, read_cell_plan, read_rate
from pipeline.plumbing.provenance import provenance
from pipeline.plumbing.tracking import LiveRun


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
    """Train one cell of the plan on its prepared dataset, at the learning rate that `tune` chose."""
    plan, device = read_cell_plan(cell), chosen_device()
    meta, rate = read_json(PREPARED / cell.dataset / "meta.json"), read_rate(cell)
    task = Task(
        prepared=PREPARED / cell.dataset,
        meta=meta,
        model=UNet.model_validate(plan["model"]),
        fit=Fit.model_validate(plan["dataset"]["fit"] | {"lr": rate["lr"]}),
        loss=plugins.restore("losses", options_of(plan["loss"]), f"loss {cell.loss}"),
        strategy=plugins.restore("strategies", options_of(plan["strategy"]), f"strategy {cell.strategy}"),
        seed=cell.seed,
    )
    facts = {
        "cell": cell._asdict(),
        "plan": plan,
        "lr": rate["lr"],
        "fingerprint": fingerprint(plan, rate["lr"], meta["digest"]),
        "data_digest": meta["digest"],
        **{key: meta[key] for key in ("classes", "image_size", "mean", "std")},
    }
    clock, times = time.time(), []
    with LiveRun(facts, clock) as live:

        def report(validation: Validation) -> None:
            times.append(time.time())
            shown = {"train/loss": validation.train_loss, "val/miou": validation.val_miou}
            live.log(shown, validation.iteration, times[-1])

        model, criterion, outcome = run_training(task, device, report)
    facts["learned"] = [] if criterion.learned is None else criterion.learned.tolist()
    write(cell, facts, outcome, model, provenance(device, task.fit.iterations * task.fit.batch_size, clock, times))


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

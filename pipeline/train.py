"""Stage `train`: trains one cell and keeps the weights that the checkpoint rule chooses.

Writes to `models/<cell>/`:
    cell.json        the cell, its resolved options, and what came of it
    history.csv      a row per validation, with a column per term of a loss that is a sum
    model/           for `smp.from_pretrained`; absent if training diverged, or if weights are reused
    provenance.json  when, where, with which versions and how fast: the one file that differs between equal runs
A strategy that acts on decisions alone trains nothing: its cell names the one whose weights `evaluate` judges for it.
A training that was killed goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.learn.settings import Fit, UNet
from pipeline.plumbing import plugins
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.checkpoints import checkpoint_directory, keep_finished, restore_finished
from pipeline.plumbing.errors import UserError, run_stage
from pipeline.plumbing.files import check_writable, read_json, whole, write_csv, write_json
from pipeline.plumbing.fingerprints import as_planned
from pipeline.plumbing.journal import Journal
from pipeline.plumbing.lifeline import die_with_parent
from pipeline.plumbing.live_view import LiveView
from pipeline.plumbing.plan import MODELS, PREPARED, fingerprint, options_of, read_cell_plan, read_rate
from pipeline.plumbing.provenance import provenance, provenance_without_training

if TYPE_CHECKING:
    from pipeline.learn.trainer import Outcome, Validation
    from pipeline.learn.training import Task
    from pipeline.losses.base import Loss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cell", help="DATASET-MODEL-LOSS-STRATEGY-SEED, names as in params.yaml")
    name = parser.parse_args().cell
    die_with_parent()
    try:
        cell = Cell.parse(name)
    except ValueError:
        raise UserError(f"{name}: not a cell; it must read DATASET-MODEL-LOSS-STRATEGY-SEED.") from None
    train(cell)


def train(cell: Cell) -> None:
    """Train one cell of the plan, unless its strategy is one that only judges the weights of another."""
    facts = planned(cell)
    source = facts["plan"]["strategy"].get("weights_of")
    if source is None:
        train_weights(cell, facts)
    else:
        reuse_weights(cell, facts, cell._replace(strategy=source))


def planned(cell: Cell) -> dict[str, Any]:
    """What is known of a cell before it is trained: its plan, the learning rate that `tune` chose, and its data."""
    plan, rate = read_cell_plan(cell), read_rate(cell)
    meta = read_json(PREPARED / cell.dataset / "meta.json")
    return {
        "cell": cell._asdict(),
        "plan": plan,
        "lr": rate["lr"],
        "fingerprint": fingerprint(plan, rate["lr"], meta["digest"]),
        "data_digest": meta["digest"],
        **{key: meta[key] for key in ("classes", "image_size", "mean", "std")},
    }


def train_weights(cell: Cell, facts: dict[str, Any]) -> None:
    """Train a model on the prepared dataset and write it with what came of it."""
    from pipeline.learn import model as unet  # imports torch for seconds, which reused weights do not need
    from pipeline.learn.checkpoint import Checkpoint
    from pipeline.learn.device import chosen_device
    from pipeline.learn.journalist import Journalist
    from pipeline.learn.training import run_training

    check_writable(MODELS / cell.name)
    device, task = chosen_device(), task_of(cell, facts)
    directory = checkpoint_directory(cell.name, [facts["fingerprint"], device.type])
    with as_planned(facts["plan"]):  # now that all the code is loaded
        if restore_finished(directory, MODELS / cell.name):
            return print(f"{cell.name}: was trained before; its outputs are put back.")
    journal = Journal(cell.name, facts)
    with LiveView(cell.name):
        listener = Journalist(journal, task.fit.iterations, task.fit.batch_size)
        with as_planned(facts["plan"]):
            model, criterion, outcome = run_training(task, device, listener, Checkpoint(directory))
        journal.end("diverged" if outcome.diverged_at else "finished")
    learned = [] if criterion.learned is None else criterion.learned.tolist()
    facts |= result(outcome) | {"learned": learned, "seen_pixels": criterion.seen.tolist()}
    origin = provenance(device, outcome.record())
    with whole(MODELS / cell.name) as part:
        write(part, facts, outcome.history, origin)
        if outcome.chosen:
            unet.save(model, part / "model")
    keep_finished(directory, MODELS / cell.name)
    if outcome.diverged_at:
        print(f"{cell.name}: diverged at iteration {outcome.diverged_at}; this is recorded as its result.")
    else:
        print(f"{cell.name}: validation mIoU {outcome.chosen.val_miou:.3f} at iteration {outcome.chosen.iteration}.")


def task_of(cell: Cell, facts: dict[str, Any]) -> Task:
    """What `run_training` needs to know. Raises UserError if a plug-in or one of its options is gone."""
    from pipeline.learn.training import Task

    plan = facts["plan"]
    return Task(
        prepared=PREPARED / cell.dataset,
        meta=read_json(PREPARED / cell.dataset / "meta.json"),
        model=UNet.model_validate(plan["model"]),
        fit=Fit.model_validate(plan["dataset"]["fit"] | {"lr": facts["lr"]}),
        loss=loss_of(cell, plan),
        strategy=plugins.restore("strategies", options_of(plan["strategy"]), f"strategy {cell.strategy}"),
        seed=cell.seed,
    )


def loss_of(cell: Cell, plan: dict[str, Any]) -> Loss:
    return plugins.restore("losses", options_of(plan["loss"]), f"loss {cell.loss}")


def result(outcome: Outcome) -> dict[str, Any]:
    """What cell.json says of the end of a training."""
    return {
        "status": "diverged" if outcome.diverged_at else "finished",
        "diverged_at": outcome.diverged_at,
        "checkpoint": outcome.chosen and {"iteration": outcome.chosen.iteration, "val_miou": outcome.chosen.val_miou},
    }


def reuse_weights(cell: Cell, facts: dict[str, Any], source: Cell) -> None:
    """Record that the weights of `source` are judged once more, under the decision of the cell's strategy."""
    facts |= {"status": "reused", "weights_of": source.name, "diverged_at": None, "checkpoint": None}
    facts |= {"learned": [], "seen_pixels": None}
    with whole(MODELS / cell.name) as part, as_planned(facts["plan"]):
        write(part, facts, [], provenance_without_training())
    print(f"{cell.name}: trains nothing; the weights of {source.name} are judged once more.")


def write(directory: Path, facts: dict[str, Any], history: list[Validation], origin: dict[str, Any]) -> None:
    """Write what the directory of every cell holds, in history.csv a row per validation."""
    terms = loss_of(Cell(**facts["cell"]), facts["plan"]).term_names()
    columns = ["iteration", "lr", "train_loss", *(f"train_loss/{name}" for name in terms)]
    columns += ["val_miou", *(f"val_iou/{name}" for name in facts["classes"])]
    rows = [[*each[:3], *(each.terms[name] for name in terms), each.val_miou, *each.val_iou] for each in history]
    directory.mkdir(parents=True)
    write_json(directory / "cell.json", facts)
    write_csv(directory / "history.csv", [dict(zip(columns, row, strict=True)) for row in rows], columns)
    write_json(directory / "provenance.json", origin)


if __name__ == "__main__":
    run_stage(main)

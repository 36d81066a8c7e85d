"""Stage `gradients`: compares the gradients of all losses at equal weights and on equal batches.

For every dataset and model, at the first seed and on the train images of the first iterations without augmentation:
all losses at the initial weights, and each loss, beside cross-entropy, at the weights that it has trained itself. It
is the losses that are compared, so no strategy weighs classes here; trained models are those of the control's strategy.
Writes to `results/gradients/`:
    norms.csv      norms with respect to the weights and the logits, and the cosine with cross-entropy
    classes.csv    share of the gradient with respect to the logits that lies on the pixels of each class
    cosines.csv    cosine between every two losses at the initial weights
What was measured is kept in `.cache/` by what it depends on. A new loss is measured at the end of its own training;
at the initial weights all losses share their predictions and are measured together again, which takes a backward pass
each, where keeping their gradients would take a copy of the model each.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from pipeline.learn import model as unet
from pipeline.learn.augmentation import Augmentation
from pipeline.learn.criterion import Criterion
from pipeline.learn.device import chosen_device
from pipeline.learn.gradients import Gradients, gradients, ratio
from pipeline.learn.samples import TrainSamples, batches, shuffled_passes
from pipeline.learn.settings import Fit, UNet
from pipeline.learn.training import Task, initial_model
from pipeline.measure.tables.gradients import END, START, write_gradients
from pipeline.plumbing import plugins
from pipeline.plumbing.cached import read_cached, write_cached
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.errors import run_stage
from pipeline.plumbing.files import CACHE, digest, file_digest, read_json
from pipeline.plumbing.fingerprints import as_planned
from pipeline.plumbing.plan import GRADIENTS, MODELS, PREPARED, options_of, read_plan
from pipeline.plumbing.random_streams import small_seed
from pipeline.strategies.base import ClassStatistics, Draws, Strategy

BATCHES = 4

Row = dict[str, Any]


def main() -> None:
    plan, device = read_plan("gradients"), chosen_device()
    rows = {"norms": [], "classes": [], "cosines": []}
    with as_planned(plan):
        for dataset, model in itertools.product(plan["fits"], plan["models"]):
            for table, found in compare(plan, dataset, model, device).items():
                rows[table] += [{"dataset": dataset, "model": model, **row} for row in found]
    write_gradients(GRADIENTS, rows)
    absent = [
        f"{row['dataset']}-{row['model']}-{row['loss']} ({row['state']})" for row in rows["norms"] if row["state"]
    ]
    print(f"Without the end of: {', '.join(absent)}." if absent else f"Complete: {GRADIENTS}.")


def compare(plan: dict[str, Any], dataset: str, model: str, device: torch.device) -> dict[str, list[Row]]:
    """The rows of each table for one dataset and model."""
    untrained = [loss for loss in plan["losses"] if not _any_trained(dataset, model, loss)]
    losses = {loss: planned for loss, planned in plan["losses"].items() if loss not in untrained}
    plan = plan | {"losses": losses}
    task = _task(plan, dataset, model)
    classes = task.meta["classes"]
    start = measured_at_start(plan, task, device)
    points = [(START, loss, start, place) for place, loss in enumerate(losses, start=1)]
    absent = [{"loss": loss, "at": END, "state": "missing"} for loss in untrained]
    for loss in tqdm(losses, unit="loss", dynamic_ncols=True, disable=None):
        cell = Cell(dataset, model, loss, plan["strategy"], plan["seed"])
        facts, state = trained(cell, task.meta["digest"])
        if state:
            absent.append({"loss": loss, "at": END, "state": state})
        else:
            points.append((END, loss, measured_at_end(plan, task, cell, facts, device), 1))
    cosines = start.cosines[1:, 1:]
    return {
        "norms": [norms(*point) for point in points] + absent,
        "classes": [row for point in points for row in class_shares(*point, classes)],
        "cosines": [
            {"loss": loss, "other": other, "cosine": cosines[row, column]}
            for (row, loss), (column, other) in itertools.product(enumerate(losses), repeat=2)
        ],
    }


def _any_trained(dataset: str, model: str, loss: str) -> bool:
    """Whether a training of the loss ended: one with a defect must not stop the others from being compared."""
    return any(MODELS.glob(f"{dataset}-{model}-{loss}-*/cell.json"))


def norms(at: str, loss: str, found: Gradients, place: int) -> Row:
    """Norms of the loss at `place`; cross-entropy stands at 0."""
    return {
        "loss": loss,
        "at": at,
        "state": "",
        "weights_norm": found.weight_norms[place],
        "weights_relative": ratio(found.weight_norms, found.weight_norms[0])[place],
        "logits_norm": found.logit_norms[place],
        "logits_relative": ratio(found.logit_norms, found.logit_norms[0])[place],
        "cosine": found.cosines[0, place],
    }


def class_shares(at: str, loss: str, found: Gradients, place: int, classes: list[str]) -> Iterator[Row]:
    for name, pixels, pull in zip(classes, found.pixel_shares, found.pull_shares[place], strict=True):
        yield {"loss": loss, "at": at, "class_name": name, "pixel_share": pixels, "gradient_share": pull}


def trained(cell: Cell, data_digest: str) -> tuple[Row, str]:
    """What training recorded of a cell, and why it cannot be used: empty if it can."""
    file = MODELS / cell.name / "cell.json"
    if not file.is_file():
        return {}, "missing"
    facts = read_json(file)
    if facts["data_digest"] != data_digest:
        return facts, "trained on data that is no longer prepared"
    return facts, f"diverged at iteration {facts['diverged_at']}" if facts["status"] == "diverged" else ""


def measured_at_start(plan: dict[str, Any], task: Task, device: torch.device) -> Gradients:
    """Cross-entropy and all losses at the weights that every training of the seed begins with."""
    planned = [plan["cross_entropy"], *plan["losses"].values()]
    criteria = [_criterion(each, task, []) for each in planned]
    depends_on = [_basis(plan, task, device), planned]
    return kept(plan, depends_on, lambda: measure(task, initial_model(task), criteria, 0, device))


def measured_at_end(plan: dict[str, Any], task: Task, cell: Cell, facts: Row, device: torch.device) -> Gradients:
    """Cross-entropy and the loss of a cell at the weights that its training has kept."""
    directory, meta = MODELS / cell.name / "model", task.meta
    files = {each.name: file_digest(each) for each in directory.iterdir() if each.suffix in (".json", ".safetensors")}
    planned, step = [plan["cross_entropy"], plan["losses"][cell.loss]], facts["checkpoint"]["iteration"] - 1
    criteria = [_criterion(each, task, learned) for each, learned in zip(planned, ([], facts["learned"]), strict=True)]

    def now() -> Gradients:
        return measure(task, unet.load(directory, meta["mean"], meta["std"]), criteria, step, device)

    return kept(plan, [_basis(plan, task, device), planned, files, facts["learned"], step], now)


def measure(task: Task, model: nn.Module, criteria: list[Criterion], iteration: int, device: torch.device) -> Gradients:
    """The gradients of all criteria on the train images that a training of the seed meets first."""
    torch.manual_seed(small_seed(task.seed, "dropout"))  # some encoders drop whole blocks in training
    images, classes = task.meta["counts"]["train"], len(task.meta["classes"])
    draws = Draws.of(shuffled_passes(task.seed, BATCHES * task.fit.batch_size, images))
    distances_to = classes if any(each.loss.needs_distances() for each in criteria) else 0
    samples = TrainSamples(
        task.prepared, [(draws, Augmentation("none", horizontal_flip=False))], task.seed, distances_to
    )
    loader = batches(samples, task.fit.batch_size, workers=0, device=device)
    return gradients(model.to(device), [each.to(device) for each in criteria], loader, iteration)


def kept(plan: dict[str, Any], depends_on: Any, now: Callable[[], Gradients]) -> Gradients:
    """What was measured earlier on all that it depends on, or else is measured now."""
    file = CACHE / "gradients" / f"{digest(depends_on)}.json"
    found = read_cached(file)
    if found is None:
        with as_planned(plan):  # once the losses are loaded
            found = {name: array.tolist() for name, array in now()._asdict().items()}
        write_cached(file, found)
    return Gradients(**{name: np.array(values) for name, values in found.items()})


def _task(plan: dict[str, Any], dataset: str, model: str) -> Task:
    """A training without dropout and without a strategy."""
    prepared = PREPARED / dataset
    meta, unet_options = read_json(prepared / "meta.json"), UNet.model_validate(plan["models"][model])
    fit = Fit.model_validate(plan["fits"][dataset]).model_copy(update={"dropout": 0.0})
    return Task(prepared, meta, unet_options, fit, _loss(plan["cross_entropy"]), Strategy(), plan["seed"])


def _basis(plan: dict[str, Any], task: Task, device: torch.device) -> list[Any]:
    """What every gradient of a dataset and model depends on."""
    options = [task.model.model_dump(), task.fit.batch_size, task.fit.iterations, task.seed]
    return [plan["code"], plan["versions"], task.meta["digest"], *options, device.type]


def _criterion(planned: dict[str, Any], task: Task, learned: list[float]) -> Criterion:
    """A loss of the plan without class weights, with the numbers that its training has `learned`."""
    statistics = ClassStatistics.read(task.prepared)
    criterion = Criterion(_loss(planned), Strategy(), statistics, task.fit.iterations)
    if learned:
        criterion.learned.data.copy_(torch.tensor(learned))
    return criterion


def _loss(planned: dict[str, Any]) -> Any:
    return plugins.restore("losses", options_of(planned), f"loss {planned['kind']}")


if __name__ == "__main__":
    run_stage(main)

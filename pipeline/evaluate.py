"""Stage `evaluate`: predicts the test split with every trained model and stores counts per image and class.

Writes `results/counts/<cell>/` (see `pipeline/measure/counts/store.py`) and `results/predictions/<cell>.npz` (the
predicted masks, for the gallery). What needs fitting, a temperature and the decision of a strategy that acts on
decisions, is fitted on the validation split, with the cell's own model or with the one that it reuses. Counts are kept
in `.cache/` by what they depend on, so after an edit only new or changed cells are predicted. This is the only code
that predicts the test split.
"""

import shutil
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from tqdm import tqdm

from pipeline.learn import model as unet
from pipeline.learn.device import chosen_device
from pipeline.learn.judging import Judge, JudgedSplit
from pipeline.measure.counts.store import write_counts
from pipeline.plumbing import plugins
from pipeline.plumbing.cached import is_sealed, seal
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.checkpoints import forget
from pipeline.plumbing.errors import UserError, run_stage
from pipeline.plumbing.files import CACHE, digest, file_digest, read_json, whole
from pipeline.plumbing.fingerprints import as_planned, changed
from pipeline.plumbing.plan import COUNTS, MODELS, PLAN, PREDICTIONS, PREPARED, options_of, read_plan
from pipeline.plumbing.prepared import scoring_basis
from pipeline.strategies.base import Strategy


class Obstacle(Exception):
    """Why a cell cannot be judged, as the end of a sentence about it."""


class Judgeable(NamedTuple):
    """A cell that can be judged."""

    cell: Cell
    facts: dict[str, Any]
    """Its cell.json."""
    strategy: Strategy
    weights: str
    """Name of the cell whose model is judged."""


class Evaluation(NamedTuple):
    """The counts and predicted masks of a cell, in a directory that is named by all that they depend on."""

    cell: Cell
    directory: Path
    new: bool


def main() -> None:
    settings, device = read_plan("evaluate"), chosen_device()
    found, new = find(), 0
    with whole(COUNTS) as counts, whole(PREDICTIONS) as predictions, as_planned(settings, *decisions()):
        counts.mkdir(parents=True)
        predictions.mkdir(parents=True)
        evaluations = evaluate(found, settings, device)
        for each in tqdm(evaluations, total=len(found), unit="cell", dynamic_ncols=True, disable=None):
            shutil.copytree(each.directory / "counts", counts / each.cell.name)
            shutil.copy(each.directory / "predictions.npz", predictions / f"{each.cell.name}.npz")
            new += each.new
    forget(file.parent.name for file in MODELS.glob("[!.]*/cell.json"))  # DVC has recorded them before this stage
    print(f"{len(found)} cells, {new} of them predicted now.")


def find() -> list[Judgeable]:
    """The cells in `models/` that can be judged, sorted by dataset and model; the others are named."""
    digests = {file.parent.name: read_json(file)["digest"] for file in PREPARED.glob("[!.]*/meta.json")}
    found = []
    for file in MODELS.glob("[!.]*/cell.json"):  # a dot begins what a killed process left
        facts = read_json(file)
        try:
            found.append(judgeable(facts, digests))
        except Obstacle as reason:
            print(f"{Cell(**facts['cell']).name}: left out, it {reason}.")
    return sorted(found, key=lambda one: (one.cell.dataset, one.weights, one.cell.name))


def judgeable(facts: dict[str, Any], digests: dict[str, str]) -> Judgeable:
    """What cell.json says of a cell, made ready, given the digest of each prepared dataset. Raises Obstacle."""
    cell = Cell(**facts["cell"])
    if digests.get(cell.dataset) != facts["data_digest"]:
        raise Obstacle("rests on data that is no longer prepared")
    if facts["status"] == "diverged":
        raise Obstacle(f"diverged at iteration {facts['diverged_at']}")
    try:
        strategy = restored(facts["plan"]["strategy"])
    except UserError as mistake:  # of a cell that params.yaml no longer names
        raise Obstacle(f"has a strategy that can no longer be built ({str(mistake).rstrip('.')})") from None
    if "decisions" in strategy.aspects and changed(facts["plan"]["strategy"]):
        raise Obstacle("has a strategy whose code has changed since it was trained")
    weights = facts.get("weights_of", cell.name)
    if weights != cell.name:
        source = MODELS / weights / "cell.json"
        try:
            if not source.is_file():
                raise Obstacle("is missing")
            judgeable(read_json(source), digests)
        except Obstacle as reason:
            raise Obstacle(f"judges the weights of {weights}, which {reason}") from None
    return Judgeable(cell, facts, strategy, weights)


def decisions() -> list[dict[str, Any]]:
    """The plans of the strategies of params.yaml that decide: their code works here as well."""
    plans = [read_json(file) for file in PLAN.glob("train/strategy/*.json")]
    return [plan for plan in plans if "decisions" in restored(plan).aspects]


def restored(plan: dict[str, Any]) -> Strategy:
    return plugins.restore("strategies", options_of(plan), f"strategy {plan['kind']}")


def evaluate(cells: list[Judgeable], settings: dict[str, Any], device: torch.device) -> Iterator[Evaluation]:
    """The evaluation of each cell; neighbours share the split of a dataset, and the model."""
    for dataset, of_dataset in groupby(cells, key=lambda one: one.cell.dataset):
        split = JudgedSplit(PREPARED / dataset, settings["size"])
        for _, of_model in groupby(of_dataset, key=lambda one: one.weights):
            yield from evaluate_model(list(of_model), split, settings, device)


def evaluate_model(
    cells: list[Judgeable], split: JudgedSplit, settings: dict[str, Any], device: torch.device
) -> Iterator[Evaluation]:
    """The evaluations of cells that judge the same weights, which are loaded if one of them is not kept."""
    directory, facts = MODELS / cells[0].weights / "model", cells[0].facts
    files = {file.name: file_digest(file) for file in directory.iterdir() if file.suffix in (".json", ".safetensors")}
    basis = [files, facts["data_digest"], facts["mean"], facts["std"], settings, device.type]
    basis += scoring_basis(split.prepared, split.size)
    judge = None
    for each in cells:
        decision = [each.facts["plan"]["strategy"]] if "decisions" in each.strategy.aspects else []
        kept = CACHE / "evaluate" / f"{each.cell.name}-{digest([*basis, *decision])}"
        if new := not is_sealed(kept):
            if judge is None:
                model = unet.load(directory, facts["mean"], facts["std"]).to(device)
                judge = Judge(model, split, settings, device)
            keep(judge, each.strategy, kept)
        yield Evaluation(each.cell, kept, new)


def keep(judge: Judge, strategy: Strategy, directory: Path) -> None:
    """Judge a model and write what came of it into a new directory."""
    counts, masks = judge(strategy)
    with whole(directory) as part:
        write_counts(part / "counts", counts)
        np.savez_compressed(part / "predictions.npz", masks=masks)
        seal(part)


if __name__ == "__main__":
    run_stage(main)

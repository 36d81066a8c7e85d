"""What the files hold of each planned cell, as the report needs it; a file that is not there yet is no error."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from pipeline.measure.counts.store import Counts, read_counts
from pipeline.measure.pools import Pool, pooled_cell
from pipeline.plumbing.cells import Cell, combinations
from pipeline.plumbing.files import read_json
from pipeline.plumbing.plan import COUNTS, MODELS, PREPARED, TUNED

Facts = Mapping[Cell, Mapping[str, Any] | None]


def read_facts(cells: Iterable[Cell]) -> dict[Cell, dict[str, Any] | None]:
    """What training recorded of each cell; None if it is not trained yet."""
    return {cell: facts_of(cell) for cell in cells}


def facts_of(cell: Cell) -> dict[str, Any] | None:
    """What training recorded of a cell; None if it is not trained yet."""
    file = MODELS / cell.name / "cell.json"
    return read_json(file) if file.is_file() else None


def source_of(known: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """What is recorded of the cell whose weights a cell judges: the cell itself, unless it reuses those of another."""
    return facts_of(Cell.parse(known["weights_of"])) if known and known["status"] == "reused" else known


def read_meta(dataset: str) -> dict[str, Any]:
    """What is known of a prepared dataset, with its licence and citation."""
    return read_json(PREPARED / dataset / "meta.json") | read_json(PREPARED / dataset / "about.json")


def trained(facts: Facts) -> dict[Cell, Mapping[str, Any]]:
    """The cells that were trained themselves, to the end or until they diverged."""
    return {cell: known for cell, known in facts.items() if known and known["status"] != "reused"}


def state_of(cell: Cell, known: Mapping[str, Any] | None) -> str:
    """`finished`, `diverged at iteration n` or `missing`. A reused cell is in the state of the one whose weights it
    judges once more."""
    source = source_of(known)
    if source and source["status"] == "diverged":
        return f"diverged at iteration {source['diverged_at']}"
    return "finished" if source and (COUNTS / cell.name).is_dir() else "missing"


def counts_of(cell: Cell, known: Mapping[str, Any]) -> Counts:
    """What is stored of a finished cell, with what its training cost, or that of the cell whose weights it judges."""
    source = source_of(known)
    origin = read_json(MODELS / Cell(**source["cell"]).name / "provenance.json")
    per_iteration = origin["seconds_per_iteration"]
    speed = source["plan"]["dataset"]["fit"]["batch_size"] / per_iteration
    cost = {name: origin[name] for name in ("seconds", "seconds_per_iteration", "loss_share", "peak_memory")}
    return read_counts(COUNTS / cell.name, cost | {"images_per_second": speed})


def reused_strategies(facts: Facts) -> dict[str, str]:
    """Strategies that train nothing, each with the strategy whose weights its cells judge once more."""
    reused = {cell.strategy: known for cell, known in facts.items() if known and known["status"] == "reused"}
    return {strategy: Cell.parse(known["weights_of"]).strategy for strategy, known in reused.items()}


def learning_curves(facts: Facts, pools: list[Pool]) -> pd.DataFrame:
    """A row per cell, as the report names it, and validation: axes, iteration, lr, train_loss, val_miou."""
    columns = [*Cell._fields, "iteration", "lr", "train_loss", "val_miou"]
    histories = {cell: pd.read_csv(MODELS / cell.name / "history.csv") for cell in trained(facts)}
    # A history is empty if training diverged before its first validation.
    curves = [
        history.assign(**pooled_cell(cell, pools)._asdict())[columns]
        for cell, history in histories.items()
        if len(history)
    ]
    return pd.concat(curves) if curves else pd.DataFrame(columns=columns)


def searches(axes: dict[str, list[str]]) -> dict[tuple[str, ...], dict[str, Any]]:
    """What `tune` found, by dataset, model and loss."""
    names = dict.fromkeys((cell.dataset, cell.model, cell.loss) for cell in combinations(axes))
    files = {each: TUNED / "-".join(each) / "search.json" for each in names}
    return {each: read_json(file) for each, file in files.items() if file.is_file()}


def origins(facts: Facts) -> list[dict[str, Any]]:
    """provenance.json of each cell that was trained itself."""
    return [read_json(MODELS / cell.name / "provenance.json") for cell in trained(facts)]

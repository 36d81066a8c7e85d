"""What the files hold of each planned cell, as the report needs it; a file that is not there yet is no error."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.measure.story import Shown
from pipeline.measure.tables.scores import Judged, counts_from_table
from pipeline.plumbing.cells import Cell, combinations
from pipeline.plumbing.files import read_json
from pipeline.plumbing.plan import COUNTS, MODELS, PREDICTIONS, PREPARED, TUNED

Facts = Mapping[Cell, Mapping[str, Any] | None]


def read_facts(axes: dict[str, list[str]]) -> dict[Cell, dict[str, Any] | None]:
    """What training recorded of each cell; None if it is not trained yet."""
    return {cell: facts_of(cell) for cell in combinations(axes)}


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


def judge(cell: Cell, known: Mapping[str, Any] | None) -> Judged:
    """State and counts of a cell. A reused cell is in the state of the one whose weights it judges once more."""
    source = source_of(known)
    if source is None:
        return Judged("missing", [], None)
    if source["status"] == "diverged":
        return Judged(f"diverged at iteration {source['diverged_at']}", source["classes"], None)
    file = COUNTS / f"{cell.name}.parquet"
    if not file.is_file():
        return Judged("missing", source["classes"], None)
    return Judged("finished", source["classes"], counts_from_table(pd.read_parquet(file)))


def reused_strategies(facts: Facts) -> dict[str, str]:
    """Strategies that train nothing, each with the strategy whose weights its cells judge once more."""
    reused = {cell.strategy: known for cell, known in facts.items() if known and known["status"] == "reused"}
    return {strategy: Cell.parse(known["weights_of"]).strategy for strategy, known in reused.items()}


def learning_curves(facts: Facts) -> pd.DataFrame:
    """A row per cell and validation: axes, iteration, lr, train_loss, val_miou."""
    columns = [*Cell._fields, "iteration", "lr", "train_loss", "val_miou"]
    histories = {cell: pd.read_csv(MODELS / cell.name / "history.csv") for cell in trained(facts)}
    # A history is empty if training diverged before its first validation.
    curves = [history.assign(**cell._asdict())[columns] for cell, history in histories.items() if len(history)]
    return pd.concat(curves) if curves else pd.DataFrame(columns=columns)


def searches(axes: dict[str, list[str]]) -> dict[tuple[str, ...], dict[str, Any]]:
    """What `tune` found, by dataset, model and loss."""
    names = dict.fromkeys((cell.dataset, cell.model, cell.loss) for cell in combinations(axes))
    files = {each: TUNED / "-".join(each) / "search.json" for each in names}
    return {each: read_json(file) for each, file in files.items() if file.is_file()}


def decisions(facts: Facts) -> dict[Cell, dict[str, Any]]:
    """What `evaluate` fitted on the validation split for each cell with a decision: offsets, val_miou_before and
    val_miou."""
    files = {cell: COUNTS / f"{cell.name}.decision.json" for cell in facts}
    return {cell: read_json(file) for cell, file in files.items() if file.is_file()}


def gallery(dataset: str, meta: dict[str, Any], facts: Facts) -> list[Shown]:
    """The test images whose predictions were kept, with that of the first seed of each experiment that finished."""
    images = np.load(PREPARED / dataset / "test_images.npy", mmap_mode="r")
    masks = np.load(PREPARED / dataset / "test_masks.npy", mmap_mode="r")
    names = read_json(PREPARED / dataset / "names.json")["test"]
    shown, kept = set(), {}
    for cell, known in facts.items():
        file = PREDICTIONS / f"{cell.name}.npz"
        if cell.dataset == dataset and known and file.is_file() and cell.experiment not in shown:
            shown.add(cell.experiment)
            with np.load(file) as stored:
                for position, mask in zip(stored["positions"].tolist(), stored["masks"], strict=True):
                    kept.setdefault(position, {})[cell] = mask
    return [
        Shown(dataset, names[at], np.array(images[at]), np.array(masks[at]), meta["classes"], predictions)
        for at, predictions in kept.items()
    ]


def origins(facts: Facts) -> list[dict[str, Any]]:
    """provenance.json of each cell that was trained itself."""
    return [read_json(MODELS / cell.name / "provenance.json") for cell in trained(facts)]

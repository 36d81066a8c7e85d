"""Stage `publish`: makes MLflow show exactly what the files say.

One experiment per dataset; a run per cell, found by its fingerprint and completed if it exists, also if it only judges
the weights of another; a summary run per loss and strategy; a run per trial of a search for a learning rate. Runs that
no longer belong to params.yaml stay, marked as superseded. Doing it twice changes nothing, and after `mlflow.db` is
deleted it brings everything back: `make publish`.
"""

import re
import tempfile
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from tqdm import tqdm

from pipeline.measure.evidence import facts_of, read_meta, source_of
from pipeline.measure.figures.cell import learning_curve, predictions
from pipeline.measure.metrics.table import METRICS
from pipeline.measure.pools import Pool, find_pools, pooled_cell
from pipeline.measure.tables.gallery import stored_masks
from pipeline.measure.tables.scores import CELL, EXPERIMENT
from pipeline.plumbing.cells import Cell, combinations, repeats
from pipeline.plumbing.errors import run_stage
from pipeline.plumbing.files import digest, file_digest, read_json
from pipeline.plumbing.plan import COUNTS, MODELS, PREDICTIONS, PREPARED, TUNED, options_of, read_plan
from pipeline.plumbing.tracking import KEY, Store, cell_tags, failures_explained, tracking_uri

RESULTS = Path("results")


def main() -> None:
    plan, shown = read_plan("report"), Shown.read()
    pools = find_pools({name: read_meta(name) for name in plan["axes"]["dataset"]})
    with failures_explained():
        store = Store()
        for pool in pools:
            for entry in pool.entries:
                note = _note(entry, plan["primary_metric"])
                publish_dataset(store, store.experiment(entry, note=note), plan, pool, entry, shown)
    print(f"MLflow at {tracking_uri()} shows what results/ says.")


class Shown(NamedTuple):
    """What the report says, as it stands in `results/`."""

    scores: dict[tuple[str, ...], dict[str, float]]
    """Metrics by the names of a cell in the report."""
    board: pd.DataFrame
    gallery: dict[str, list[int]]
    """Places of the images of the gallery among the test images, by dataset."""

    @classmethod
    def read(cls) -> Self:
        cells, board, gallery = (_table(RESULTS / f"{name}.csv") for name in ("cells", "leaderboard", "tables/gallery"))
        scores = {tuple(row[axis] for axis in CELL): _known(row, METRICS) for row in cells.to_dict("records")}
        return cls(scores, board, {name: rows["image"].tolist() for name, rows in gallery.groupby("dataset")})


def publish_dataset(store: Store, experiment: str, plan: dict[str, Any], pool: Pool, entry: str, shown: Shown) -> None:
    """Make one experiment show the cells and summaries of its dataset, and nothing else as current.

    Of folds that are reported together, each has an experiment for its cells; the summaries stand in that of the first.
    """
    runs = {run.data.tags[KEY]: run for run in store.runs(experiment) if KEY in run.data.tags}
    again = repeats(plan["axes"], plan["control"], plan["noise_floor"])
    planned = [cell for cell in [*combinations(plan["axes"]), *again] if cell.dataset == entry]
    names = {cell: tuple(map(str, pooled_cell(cell, [pool]))) for cell in planned if source_of(facts_of(cell))}
    current, ended = set(), {}
    for cell in tqdm(
        [each for each in names if names[each] in shown.scores], unit="run", dynamic_ncols=True, disable=None
    ):
        kind = "repeat" if cell in again else "cell"
        scores, images = shown.scores[names[cell]], shown.gallery.get(entry, [])
        current.add(publish_cell(store, experiment, runs, cell, kind, scores, images))
        ended[names[cell][:4]] = max(_ended(cell), ended.get(names[cell][:4], 0))
    for row in shown.board.to_dict("records") if entry == pool.first else []:
        if (experiment_names := tuple(row[axis] for axis in EXPERIMENT)) in ended:
            current.add(publish_summary(store, experiment, runs, row, ended[experiment_names]))
    for search in dict.fromkeys(cell.search for cell in planned):
        current |= {publish_trial(store, experiment, runs, search, file) for file in _trials(search)}
    for key in runs.keys() - current:
        store.describe(runs[key], {"state": "superseded"}, {})


def publish_cell(
    store: Store,
    experiment: str,
    runs: dict[str, Any],
    cell: Cell,
    kind: str,
    scores: dict[str, float],
    images: list[int],
) -> str:
    """Make or complete the run of a cell, and return its key. A run that shows these files already is left alone."""
    directory = MODELS / cell.name
    facts, origin = read_json(directory / "cell.json"), read_json(directory / "provenance.json")
    evaluated, stored = COUNTS / cell.name / "evaluation.json", PREDICTIONS / f"{cell.name}.npz"
    decision = read_json(evaluated).get("decision") if evaluated.is_file() else None
    images = images if stored.is_file() else []
    digests, end = [file_digest(stored), images] if images else [], source_of(facts)["status"]
    content = digest([facts, origin, kind, scores, digests, decision, end, read_plan("publish")])
    key = facts["fingerprint"]
    run = _reusable(store, runs.get(key), content)
    if run and run.data.tags.get("content") == content:
        store.describe(run, {"state": "current"}, {})
        return key
    run = run or store.start(experiment, cell.name, origin["started"])
    tags = {**cell_tags(facts), "kind": kind, "status": facts["status"], "git.commit": origin["git_commit"]}
    stage = {"cell": cell.stage, "repeat": f"repeat@{cell.name}"}[kind]
    store.describe(run, tags | {"dvc.stage": stage, "state": "current"}, cell_params(facts, origin))
    ended = _ended(cell)
    last_step = facts["plan"]["dataset"]["fit"]["iterations"]
    finals = {f"{'cost' if METRICS[name].family == 'cost' else 'test'}/{name}": value for name, value in scores.items()}
    finals |= decision_metrics(facts, decision) if decision else {}
    last = [(name, value, last_step, ended) for name, value in finals.items()]
    store.complete(run, [*_curve(directory, facts["classes"], origin), *last])
    about = read_json(PREPARED / cell.dataset / "about.json")
    store.add_dataset(run, cell.dataset, facts["data_digest"], about["citation"])
    add_files(store, run, cell, facts["classes"], images)
    store.finish(run, ended, "FINISHED" if end == "finished" else "FAILED")
    store.describe(run, {"content": content}, {})  # last: an interrupted publication is done again
    return key


def publish_summary(store: Store, experiment: str, runs: dict[str, Any], row: dict[str, Any], at: float) -> str:
    """Make or complete the run that shows mean, standard deviation and interval over the seeds of one experiment."""
    names = {axis: row[axis] for axis in EXPERIMENT}
    key = digest({name: str(value) for name, value in row.items()})
    run = runs.get(key) or store.start(
        experiment, f"{row['model']} · {row['loss']} · {row['strategy']} · all seeds", at
    )
    store.describe(run, {"kind": "summary", KEY: key, "state": "current", **names}, {**names, "n": row["n"]})
    numbers = _known(row, [name for name in row if name not in names])
    store.complete(run, [(f"test/{name}", value, 0, at) for name, value in numbers.items()])
    store.finish(run, at)
    return key


def publish_trial(store: Store, experiment: str, runs: dict[str, Any], search: str, file: Path) -> str:
    """Make or complete the run of one trial of a search for a learning rate."""
    trial, chosen = read_json(file), read_json(TUNED / search / "rate.json")["lr"]
    origin, key = trial["provenance"], digest([search, trial])
    dataset, model, loss = search.split("-")
    run = runs.get(key) or store.start(experiment, f"{search} · lr {trial['lr']:.3g}", origin["started"])
    tags = {"kind": "trial", KEY: key, "dataset": dataset, "model": model, "loss": loss, "dvc.stage": f"tune@{search}"}
    state = {"state": "current", "chosen": str(trial["lr"] == chosen).lower()}
    store.describe(run, tags | state, {"fit.lr": trial["lr"], "loss": loss, "model": model, "dataset": dataset})
    shown = {"train/loss": "train_loss", "val/miou": "val_miou"}
    points = [
        (key, each[column], each["iteration"], at)
        for each, at in zip(trial["history"], origin["validated"], strict=True)
        for key, column in shown.items()
    ]
    store.complete(run, points)
    ended = origin["started"] + origin["seconds"]
    store.finish(run, ended, "FAILED" if trial["diverged_at"] else "FINISHED")
    return key


def _trials(search: str) -> list[Path]:
    return sorted((TUNED / search / "trials").glob("[!.]*.json"))


def cell_params(facts: dict[str, Any], origin: dict[str, Any]) -> dict[str, Any]:
    """Flat params, numbers as numbers: the axes, then every resolved option as `loss.gamma` or `fit.lr`."""
    plan, flat = facts["plan"], dict(facts["cell"])
    fit = plan["dataset"]["fit"] | {"lr": facts["lr"]}
    blocks = {"model": plan["model"], "loss": plan["loss"], "strategy": plan["strategy"], "fit": fit}
    for block, options in blocks.items():
        flat |= {f"{block}.{key}": value for key, value in options_of(options).items()}
    return flat | {key: origin[key] for key in ("device", "threads") if origin[key] is not None}


def decision_metrics(facts: dict[str, Any], decision: dict[str, Any]) -> dict[str, float]:
    """What was fitted on the validation split: numbers added to the logits, and mean IoU without and with them.

    Where nothing was trained there is no curve of `val/miou`, so the mean IoU is its one point.
    """
    names = _plain(facts["classes"])
    found = {f"decision/offset/{name}": value for name, value in zip(names, decision["offsets"], strict=True)}
    found |= {f"decision/{name}": decision[name] for name in ("val_miou_before", "val_miou")}
    return found | ({"val/miou": decision["val_miou"]} if facts["status"] == "reused" else {})


def add_files(store: Store, run: Any, cell: Cell, classes: list[str], images: list[int]) -> None:
    """Log the directory of the cell with its model, and pictures of the learning curve and of predicted test images."""
    store.add_files(run, MODELS / cell.name)
    history = pd.read_csv(MODELS / cell.name / "history.csv")
    with tempfile.TemporaryDirectory() as folder:
        if len(history):
            learning_curve(history).savefig(Path(folder, "learning_curve.png"))
        if images:
            pictures, truths = (
                np.load(PREPARED / cell.dataset / f"test_{kind}.npy", mmap_mode="r")[images]
                for kind in ("images", "masks")
            )
            figure = predictions(pictures, truths, stored_masks(cell, images), classes)
            figure.savefig(Path(folder, "predictions.png"))
        store.add_files(run, Path(folder))


def _ended(cell: Cell) -> float:
    origin = read_json(MODELS / cell.name / "provenance.json")
    return origin["started"] + origin["seconds"]


def _reusable(store: Store, run: Any, content: str) -> Any:
    """The run, unless it shows other files: what MLflow has logged cannot be changed, so that run is replaced."""
    if run and run.data.tags.get("content", content) != content:
        store.delete(run)
        return None
    return run


def _table(path: Path) -> pd.DataFrame:
    """A table of the report; names stay text, also such as 2024 or nan."""
    return pd.read_csv(path, dtype=dict.fromkeys(CELL, str), keep_default_na=False, na_values=[""])


def _curve(directory: Path, classes: list[str], origin: dict[str, Any]) -> list[tuple[str, float, int, float]]:
    """Points of the validations: key, value, step, time."""
    keys = {f"val_iou/{name}": f"val/iou/{plain}" for name, plain in zip(classes, _plain(classes), strict=True)}
    history = pd.read_csv(directory / "history.csv")
    history = history.rename(columns={"train_loss": "train/loss", "val_miou": "val/miou", **keys})
    points = []
    for row, at in zip(history.to_dict("records"), origin["validated"], strict=True):
        step = int(row.pop("iteration"))
        points += [(key, value, step, at) for key, value in _known(row, row).items()]
    return points


def _plain(classes: list[str]) -> list[str]:
    """Names of classes without the signs that MLflow refuses in a key."""
    plain = [re.sub(r"[^\w -]", "_", name) for name in classes]
    return plain if len(set(plain)) == len(plain) else [f"{index} {name}" for index, name in enumerate(plain)]


def _known(row: dict[str, Any], names: Any) -> dict[str, float]:
    """The named numbers of a row that are known, neither NaN nor None."""
    return {name: float(row[name]) for name in names if not pd.isna(row[name])}


def _note(dataset: str, primary: str) -> str:
    return (
        f"Every loss and strategy on **{dataset}**. Runs with tag `kind` = *cell* are single trainings, *summary* the "
        f"mean over seeds, *repeat* the control trained once more. Filter "
        f"`tags.state = 'current' and tags.kind = 'summary'`, sort by `test/{primary}`."
    )


if __name__ == "__main__":
    run_stage(main)

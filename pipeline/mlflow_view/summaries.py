"""The run of each experiment: its row of the leaderboard over all seeds, above the runs of its cells, and its entry
among the models, which makes MLflow's view of models the leaderboard. The weights stay in DVC."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from pipeline.measure.metrics.table import METRICS
from pipeline.measure.tables.scores import EXPERIMENT, SPREAD
from pipeline.mlflow_view.keys import metric_key, plain
from pipeline.mlflow_view.report import Report, known, names_of
from pipeline.mlflow_view.showcase import Exhibit
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.files import digest, read_json
from pipeline.plumbing.plan import MODELS, PREPARED, read_plan
from pipeline.plumbing.tracked_models import add_external_model
from pipeline.plumbing.tracking import Point, Store

DIFFERENCE = {
    "mean": "difference",
    "low": "difference_low",
    "high": "difference_high",
    "probability_better": "p_better",
}
RANK = {"rank": "rank", "low": "rank_low", "high": "rank_high", "first": "p_first"}


def summary_exhibit(row: dict[str, Any], report: Report, cells: Sequence[Cell]) -> Exhibit:
    """The run of one row of the leaderboard, whose `cells` are in this dataset."""
    names, primary = names_of(row), read_plan("report")["primary_metric"]
    origins = [read_json(MODELS / cell.name / "provenance.json") for cell in cells]
    ended = max(each["ended"] for each in origins)
    entry, params = cells[0].dataset, dict(zip(EXPERIMENT, names, strict=True)) | {"n": row["n"]}
    meta = read_json(PREPARED / entry / "meta.json") | read_json(PREPARED / entry / "about.json")
    verdict = verdict_of(report, names)
    headline, others = headline_numbers(row, report, primary), other_numbers(row, report, primary, meta["classes"])

    def fill(store: Store, run: Any) -> tuple[list[Point], dict[str, Any]]:
        about = {"verdict": verdict, "dvc.path": " ".join(str(MODELS / cell.name) for cell in cells)}
        model = add_external_model(store, run, " · ".join(names[2:] + names[1:2]), params, about)
        store.add_dataset(run, entry, meta["digest"], meta["citation"])
        store.finish(run, ended)
        of = model.model_id, (entry, meta["digest"])
        points = [Point(key, value, 0, ended, *of) for key, value in headline.items()]
        return [*points, *(Point(key, value, 0, ended) for key, value in others.items())], params

    content = digest([params, verdict, headline, others, meta["digest"], [*map(str, cells)], read_plan("publish")])
    tags = {"kind": "summary", **dict(zip(EXPERIMENT, names, strict=True)), "verdict": verdict}
    name = f"{names[2]} · {names[3]} · all seeds · {names[1]}"
    return Exhibit(digest(names), name, min(each["started"] for each in origins), tags, content, fill)


def headline_numbers(row: dict[str, Any], report: Report, primary: str) -> dict[str, float]:
    """What the first table of the report says of an experiment: rank, primary metric with spread, and difference from
    the control; and what a training took."""
    rank, difference = report.ranks.get(names_of(row), {}), report.differences.get(names_of(row), {})
    numbers = {metric_key(f"{primary}{suffix}"): row[f"{primary}{suffix}"] for suffix in SPREAD}
    numbers |= {f"rank/{key}": rank.get(column) for column, key in RANK.items()}
    numbers |= {f"control/{key}": difference.get(column) for column, key in DIFFERENCE.items()}
    numbers |= {metric_key(name): row[name] for name in ("seconds", "peak_memory")}
    return known(numbers, numbers)


def other_numbers(row: dict[str, Any], report: Report, primary: str, classes: list[str]) -> dict[str, float]:
    """The mean of every other metric over the seeds, and of the IoU of each class."""
    scores = report.classes.get(names_of(row), [])  # in the order of the classes, or none if no seed was judged
    numbers = {metric_key(column): value for column, value in known(row, METRICS).items()}
    numbers |= {f"test/iou/{name}": each["iou"] for name, each in zip(plain(classes), scores, strict=bool(scores))}
    return known(numbers, numbers.keys() - headline_numbers(row, report, primary).keys())


def verdict_of(report: Report, names: tuple[str, ...]) -> str:
    """better, worse, equivalent or inconclusive, as the report says; of what is not compared, control."""
    verdict = report.differences.get(names, {}).get("verdict", "control")
    return "" if pd.isna(verdict) else verdict

"""How MLflow shows an experiment: its note, its primary metric, and saved views, which stand in the menu "Views".

A saved view is a tag of the experiment that MLflow's page reads. Its format is internal to MLflow, so views are written
only for versions in which they were seen to work.
"""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

from pipeline.measure.metrics.table import METRICS
from pipeline.mlflow_view.keys import metric_key

SEEN_TO_WORK = ("3.17.",)  # versions of MLflow
MADE = 1_700_000_000_000  # milliseconds since 1970; the same for all, so that writing a view again changes nothing
LONGEST = 20_000  # characters of such a tag
CURRENT = "tags.state = 'current'"
NAME = "attributes.`Run Name`"


def experiment_tags(dataset: str, primary: str, classes: list[str], version: str) -> dict[str, str]:
    """Tags of the experiment of a dataset, for MLflow in this version; `classes` as in keys of metrics."""
    views = saved_views(primary, classes) if version.startswith(SEEN_TO_WORK) else {}
    tags = {
        "mlflow.note.content": _note(dataset, primary),
        "mlflow.experiment.primaryMetric.name": metric_key(primary),
        "mlflow.experiment.primaryMetric.greaterIsBetter": str(METRICS[primary].higher_is_better),
    }
    return tags | {f"mlflow.sharedViewState.{key}": view for key, view in views.items()}


def saved_views(primary: str, classes: list[str]) -> dict[str, str]:
    """The views by the key that stands in their address as `viewStateShareKey`."""
    score, ious = metric_key(primary), [f"test/iou/{name}" for name in classes]
    spread = [metric_key(f"{primary}_{end}") for end in ("low", "high", "std")]
    versus = [f"control/{name}" for name in ("difference", "difference_low", "difference_high")]
    metrics, params = partial(_columns, "metrics"), partial(_columns, "params")
    verdict, cost = _columns("tags", ["verdict"]), metrics(["cost/seconds"])
    order = {"orderByKey": _column("metrics", score), "orderByAsc": not METRICS[primary].higher_is_better}
    summaries, trained = f"{CURRENT} and tags.kind = 'summary'", f"{CURRENT} and tags.kind = 'cell'"
    cells = [*params(["seed"]), *metrics([score, "val/miou"]), *cost]
    both = " and ".join([CURRENT, *(f"tags.kind != '{kind}'" for kind in ("repeat", "trial", "report"))])
    return {
        "leaderboard": _view(
            "Leaderboard",
            summaries,
            [*metrics([score, *spread]), *params(["n"]), *metrics(versus), *verdict, *cost],
            {"scores": [_bar(score), _bar("control/difference"), _scatter("cost/seconds", score)]},
            order,
        ),
        "seeds": _view(
            "Experiments with their seeds",
            both,
            [*metrics([score, "val/miou"]), *cost],
            {"scores": [_bar(score)]},
            {"orderByKey": "attributes.start_time", "orderByAsc": False},  # in any other order nothing is nested
        ),
        "curves": _view("Curves", trained, cells, {"curves": [_line("val/miou"), _line("train/loss")]}, order),
        "predictions": _view("Predictions", trained, cells, {"predictions": [_images("predictions")]}, order),
        "classes": next(
            view
            for shown in range(len(ious), -1, -1)  # as many as there is room for, the first ones
            if len(view := _classes_view(summaries, score, ious[:shown], order)) <= LONGEST
        ),
    }


def _classes_view(search: str, score: str, ious: list[str], order: dict[str, Any]) -> str:
    return _view("Classes", search, _columns("metrics", [score, *ious]), {"classes": [*map(_bar, ious)]}, order)


def _view(
    name: str, search: str, columns: list[str], sections: dict[str, list[dict[str, Any]]], order: dict[str, Any]
) -> str:
    """A saved view: the runs that `search` finds, with these columns, and a section for each group of charts."""
    charts = [
        {"uuid": f"{section}-{place}", "metricSectionId": section, "deleted": False, "isGenerated": False, **chart}
        for section, group in sections.items()
        for place, chart in enumerate(group)
    ]
    state = {
        "searchFilter": search,
        **order,
        "selectedColumns": columns,
        "columnOrder": ["1", NAME, *columns],  # "1" has the boxes to select runs
        "columnWidths": {NAME: 300, **dict.fromkeys(columns, 130)},
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": charts,
        "compareRunSections": [
            {"uuid": section, "name": section, "display": True, "isReordered": True} for section in sections
        ],
        "isAccordionReordered": True,
    }
    text = partial(json.dumps, ensure_ascii=False)  # an escape would take six characters for one
    return text({"name": name, "createdAt": MADE, "updatedAt": MADE, "state": text(state)})


def _bar(key: str) -> dict[str, Any]:
    return {"type": "BAR", "metricKey": key, "runsCountToCompare": 20}


def _line(key: str) -> dict[str, Any]:
    shown = {"lineSmoothness": 0, "useGlobalLineSmoothing": False, "xAxisKey": "step", "runsCountToCompare": 20}
    return {"type": "LINE", "metricKey": key, "selectedMetricKeys": [key], **shown}


def _scatter(x: str, y: str) -> dict[str, Any]:
    axes = {axis: {"key": key, "type": "METRIC"} for axis, key in {"xaxis": x, "yaxis": y}.items()}
    return {"type": "SCATTER", **axes, "runsCountToCompare": 100}


def _images(key: str) -> dict[str, Any]:
    return {"type": "IMAGE", "imageKeys": [key], "step": 0, "showRunParams": False, "runsCountToCompare": 10}


def _columns(kind: str, keys: Sequence[str]) -> list[str]:
    return [_column(kind, key) for key in keys]


def _column(kind: str, key: str) -> str:
    return f"{kind}.`{key}`"


def _note(dataset: str, primary: str) -> str:
    return (
        f"Every loss and strategy on **{dataset}**, judged by `{metric_key(primary)}`. Runs of kind *summary* are "
        "experiments, over all seeds; below them are their trainings, of kind *cell*. *repeat* is the control trained "
        "once more, *trial* a training of a search for a learning rate, *report* has the report among its artifacts. "
        "`tags.state = 'current'` leaves out what params.yaml no longer names. The menu *Views* has saved views."
    )

"""Every metric of every experiment as tables of the page, by family."""

import math
from typing import Any, NamedTuple

import pandas as pd

from pipeline.measure.metrics.base import Metric
from pipeline.measure.metrics.table import FAMILIES, METRICS
from pipeline.measure.page.models import without_only_model
from pipeline.measure.story import Story
from pipeline.measure.text import estimate

WIDEST = 9  # metrics side by side, which print just holds
SCALES = {"bytes": (2**20, "MiB")}


class Group(NamedTuple):
    """A table: an experiment in each row, best by the primary metric first."""

    averages: str
    """What all its metrics average over; empty where they differ."""
    rows: list[dict[str, str]]


def metric_groups(story: Story, dataset: str) -> dict[str, list[Group]]:
    """Tables by family; one for each way of averaging where a family is too wide for a single one."""
    board = story.leaderboard[story.leaderboard["dataset"] == dataset].to_dict("records")
    groups = {}
    for family in FAMILIES:
        members = {name: metric for name, metric in METRICS.items() if metric.family == family}
        ways = dict.fromkeys(metric.averages for metric in members.values())
        parts = {"": members}
        if len(members) > WIDEST:
            parts = {way: {name: each for name, each in members.items() if each.averages == way} for way in ways}
        groups[family] = [
            Group(way, without_only_model([_row(row, part) for row in board], story)) for way, part in parts.items()
        ]
    return groups


def _row(row: dict[str, Any], metrics: dict[str, Metric]) -> dict[str, str]:
    scores = {_title(metric): _score(row, name, metric) for name, metric in metrics.items()}
    return {axis: row[axis] for axis in ("model", "loss", "strategy")} | {"n": str(row["n"])} | scores


def _title(metric: Metric) -> str:
    unit = SCALES.get(metric.unit, (1, metric.unit))[1]
    return f"{metric.title} ({unit})" if unit and unit != metric.title else metric.title


def _score(row: dict[str, Any], name: str, metric: Metric) -> str:
    """`0.531 ± 0.088` above `[0.313, 0.748]`."""
    scale = SCALES.get(metric.unit, (1, ""))[0]
    mean, std, low, high = (row[f"{name}{suffix}"] / scale for suffix in ("", "_std", "_low", "_high"))
    form = f".{3 if metric.high == 1 else _decimals(mean)}f"
    return estimate(mean, std, low, high, form)


def _decimals(value: float) -> int:
    """Those with which a number has three digits that count."""
    return 0 if pd.isna(value) or not value else max(0, 2 - math.floor(math.log10(abs(value))))

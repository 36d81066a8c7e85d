"""Keys of metrics in MLflow.

Charts are grouped by what stands before the last slash: `train/`, `train/loss/` (the terms of a sum), `val/`,
`val/iou/`, `test/`, `test/iou/`, `cost/`, `decision/`. What is measured once has step 0, since MLflow draws a bar for
it then, and a line otherwise.
"""

import re

from pipeline.measure.metrics.table import METRICS
from pipeline.measure.tables.scores import SPREAD

LONGEST = 100  # characters of a class; MLflow takes 250 for a key, and its tables and charts show fewer


def metric_key(column: str) -> str:
    """The key of a column of the report: `test/miou`, `test/low/miou` for `miou_low`, `cost/seconds`."""
    name, spread = column, ""
    for suffix in SPREAD[1:]:
        if column not in METRICS and column.endswith(suffix):
            name, spread = column.removesuffix(suffix), f"{suffix[1:]}/"
    return f"{'cost' if METRICS[name].family == 'cost' else 'test'}/{spread}{name}"


def plain(classes: list[str]) -> list[str]:
    """Names of classes as the last part of a key: without the signs that MLflow refuses, cut, and never empty.

    Where two become the same, all begin with their index; also if they differ in case alone, which some databases do
    not tell apart.
    """
    names = [re.sub(r"[^\w -]", "_", name)[:LONGEST] or "_" for name in classes]
    alike = len({name.casefold() for name in names}) < len(names)
    return [f"{index} {name}" for index, name in enumerate(names)] if alike else names

"""Keys of metrics in MLflow.

Charts are grouped by what stands before the last slash: `train/`, `val/`, `val/iou/`, `test/`, `test/iou/`, `cost/`,
`decision/`. What is measured once has step 0, since MLflow draws a bar for it then, and a line otherwise.
"""

import re

from pipeline.measure.metrics.table import METRICS
from pipeline.measure.tables.scores import SPREAD


def metric_key(column: str) -> str:
    """The key of a column of the report: `test/miou`, `test/low/miou` for `miou_low`, `cost/seconds`."""
    name, spread = column, ""
    for suffix in SPREAD[1:]:
        if column not in METRICS and column.endswith(suffix):
            name, spread = column.removesuffix(suffix), f"{suffix[1:]}/"
    return f"{'cost' if METRICS[name].family == 'cost' else 'test'}/{spread}{name}"


def plain(classes: list[str]) -> list[str]:
    """Names of classes without the signs that MLflow refuses in a key."""
    names = [re.sub(r"[^\w -]", "_", name) for name in classes]
    return names if len(set(names)) == len(names) else [f"{index} {name}" for index, name in enumerate(names)]

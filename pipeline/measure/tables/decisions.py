"""Decisions fitted on the validation split: numbers that are added to the logits of each class before the argmax."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.measure.figures.gradients import rarest_first
from pipeline.measure.statistics.estimates import Resampled, Rules, summarise
from pipeline.measure.story import Story
from pipeline.measure.tables.scores import EXPERIMENT, SPREAD, spread
from pipeline.measure.text import mean_and_spread
from pipeline.plumbing.cells import Cell

SCORES = ("val_miou_before", "val_miou")
COLUMNS = [
    *EXPERIMENT,
    "class_name",
    "n",
    *(f"{name}{suffix}" for name in ("offset", *SCORES) for suffix in SPREAD),
]


def decision_table(
    decisions: Mapping[Cell, Mapping[str, Any]], metas: Mapping[str, Mapping[str, Any]], rules: Rules
) -> pd.DataFrame:
    """A row per experiment with a fitted decision and class: the number added to its logits, and the mean IoU of the
    validation split before and after (the same in all rows of an experiment), each as mean over `n` seeds with standard
    deviation and interval."""
    rows = [
        {**cell._asdict(), "class_name": name, "offset": offset, **{score: found[score] for score in SCORES}}
        for cell, found in decisions.items()
        for name, offset in zip(metas[cell.dataset]["classes"], found["offsets"], strict=True)
    ]
    keys = [*EXPERIMENT, "class_name"]
    per_seed = pd.DataFrame(rows, columns=[*Cell._fields, "class_name", "offset", *SCORES])
    table = []
    for names, seeds in per_seed.groupby(keys, sort=False):
        row = dict(zip(keys, names, strict=True)) | {"n": len(seeds)}
        for name in ("offset", *SCORES):
            low, high = (-np.inf, np.inf) if name == "offset" else (0.0, 1.0)
            row |= spread(name, summarise(Resampled(seeds[name].to_numpy(float)), rules, low=low, high=high))
        table.append(row)
    return pd.DataFrame(table, columns=COLUMNS)


def decision_rows(story: Story, dataset: str) -> list[dict[str, Any]]:
    """A row per experiment as text: mean and standard deviation of both scores and of each class, rarest first."""
    known = story.decisions[story.decisions["dataset"] == dataset]
    rows = []
    for names, classes in known.groupby(EXPERIMENT, sort=False):
        by_name = classes.set_index("class_name").to_dict("index")
        ordered = [by_name[name] for name in rarest_first(story, dataset)]
        scores = {score: _spread(ordered[0], score, ".3f") for score in SCORES}
        offsets = [_spread(each, "offset", "+.2f") for each in ordered]
        rows.append(dict(zip(EXPERIMENT, names, strict=True)) | scores | {"n": ordered[0]["n"], "offsets": offsets})
    return rows


def _spread(row: Mapping[str, float], name: str, form: str) -> str:
    """`0.71 ± 0.02`."""
    return mean_and_spread(row[name], row[f"{name}_std"], form)

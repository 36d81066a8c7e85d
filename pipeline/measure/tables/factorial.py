"""The factorial view: what each strategy does under each loss, on average, and whether that depends on the loss.

All differences are paired by seed. A mean over losses or strategies takes a seed only if all of them finished with it,
and the two-way analysis only seeds with which everything finished, so that like is compared with like.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.measure.statistics.estimates import paired_difference
from pipeline.measure.statistics.two_way import Effect, two_way
from pipeline.measure.tables.scores import EXPERIMENT, by_seed, with_verdicts

PLACE = ["dataset", "model"]
FOUND = ["n", "mean", "low", "high", "p"]


class Factorial(NamedTuple):
    """The tables of the factorial view."""

    effects: pd.DataFrame
    """A row per loss and strategy but the control's: paired difference of the primary metric from the control's
    strategy under the same loss, with interval, p-value corrected over all rows of the dataset, and verdict."""
    main: pd.DataFrame
    """A row per `factor` (strategy or loss) and `level` but the control's: the same of the mean over all losses, or
    over all strategies."""
    two_way: pd.DataFrame
    """A row per `effect`: n, df, df_error, F, epsilon, p, partial_eta_squared; see `statistics/two_way.py`."""
    obstacles: pd.DataFrame
    """A row per dataset and model without a two-way analysis: `reason`, a clause."""


def factorial(cells: pd.DataFrame, primary: str, control: Mapping[str, str], confidence: float) -> Factorial:
    """The factorial view of a table of cells."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in Factorial._fields}
    for names, group in cells.groupby(PLACE, sort=False):
        place, scores = dict(zip(PLACE, names, strict=True)), by_seed(group, primary)
        rows["effects"] += [place | row for row in _effects(scores, control["strategy"], confidence)]
        for factor in ("strategy", "loss"):
            rows["main"] += [place | row for row in _main(scores, factor, control[factor], confidence)]
        blocks = complete_blocks(scores)
        if reason := obstacle(blocks):
            rows["obstacles"].append(place | {"reason": reason})
        else:
            found = two_way(blocks).items()
            rows["two_way"] += [place | {"effect": effect} | line._asdict() for effect, line in found]
    return Factorial(
        effects=with_verdicts(pd.DataFrame(rows["effects"], columns=[*EXPERIMENT, *FOUND]), primary, confidence),
        main=with_verdicts(
            pd.DataFrame(rows["main"], columns=[*PLACE, "factor", "level", *FOUND]), primary, confidence
        ),
        two_way=pd.DataFrame(rows["two_way"], columns=[*PLACE, "effect", *Effect._fields]),
        obstacles=pd.DataFrame(rows["obstacles"], columns=[*PLACE, "reason"]),
    )


def complete_blocks(scores: pd.DataFrame) -> np.ndarray:
    """Scores `seeds losses strategies` of the seeds with which every loss and strategy has one."""
    losses, strategies = (scores.columns.unique(axis) for axis in ("loss", "strategy"))
    known = scores[pd.MultiIndex.from_product([losses, strategies])].dropna()
    return known.to_numpy(float).reshape(len(known), len(losses), len(strategies))


def obstacle(blocks: np.ndarray) -> str | None:
    """Why there is no two-way analysis of scores `seeds losses strategies`, as a clause; None if there is one."""
    seeds, losses, strategies = blocks.shape
    for count, axis in ((losses, "loss"), (strategies, "strategy")):
        if count < 2:
            return f"there is only one {axis}"
    if seeds < 2:
        return f"it needs two seeds with which every loss and strategy finished, and there is {seeds or 'none'}"
    return None


def _effects(scores: pd.DataFrame, reference: str, confidence: float) -> Iterator[dict[str, Any]]:
    """Each strategy against the reference under the same loss."""
    for loss, strategy in scores.columns:
        if strategy != reference:
            values, base = (scores[loss, each].to_numpy(float) for each in (strategy, reference))
            found = paired_difference(values, base, confidence)
            yield {"loss": loss, "strategy": strategy} | found._asdict()


def _main(scores: pd.DataFrame, factor: str, reference: str, confidence: float) -> Iterator[dict[str, Any]]:
    """Each level of a factor against the reference, as means over the levels of the other factor."""
    levels = scores.columns.unique(factor)
    means = {level: scores.xs(level, axis=1, level=factor).mean(axis=1, skipna=False) for level in levels}
    for level in levels:
        if level != reference:
            values, base = (means[each].to_numpy(float) for each in (level, reference))
            yield {"factor": factor, "level": level} | paired_difference(values, base, confidence)._asdict()

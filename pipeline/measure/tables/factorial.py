"""The factorial view: what each strategy does under each loss, on average, and whether that depends on the loss.

All differences are paired by seed and by test image. A mean over losses or strategies takes a seed only if all of them
finished with it, and the two-way analysis only seeds with which everything finished: like is compared with like.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.measure.metrics.table import METRICS
from pipeline.measure.statistics.estimates import Difference, Rules, difference
from pipeline.measure.statistics.two_way import Effect, two_way
from pipeline.measure.tables.scores import EXPERIMENT, PAIR, PLACE, Scores, with_verdicts

FOUND = list(Difference._fields)


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


def factorial(
    scores: Mapping[tuple[str, str], Scores],
    control: Mapping[str, str],
    noise: pd.DataFrame,
    primary: str,
    rules: Rules,
) -> Factorial:
    """The factorial view of the scores of each dataset and model."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in Factorial._fields}
    for names, each in scores.items():
        place = dict(zip(PLACE, names, strict=True))
        compared = Compared(each, rules, METRICS[primary].higher_is_better)
        rows["effects"] += [place | row for row in _effects(compared, control["strategy"])]
        for factor in ("strategy", "loss"):
            rows["main"] += [place | row for row in _main(compared, factor, control[factor])]
        blocks = complete_blocks(each.values)
        if reason := obstacle(blocks):
            rows["obstacles"].append(place | {"reason": reason})
        else:
            found = two_way(blocks).items()
            rows["two_way"] += [place | {"effect": effect} | line._asdict() for effect, line in found]
    effects = pd.DataFrame(rows["effects"], columns=[*EXPERIMENT, *FOUND])
    main = pd.DataFrame(rows["main"], columns=[*PLACE, "factor", "level", *FOUND])
    return Factorial(
        effects=with_verdicts(effects, primary, rules, noise),
        main=with_verdicts(main, primary, rules),  # a mean over losses has less noise than the repeated control
        two_way=pd.DataFrame(rows["two_way"], columns=[*PLACE, "effect", *Effect._fields]),
        obstacles=pd.DataFrame(rows["obstacles"], columns=[*PLACE, "reason"]),
    )


class Compared(NamedTuple):
    """How the experiments of one dataset and model are compared."""

    scores: Scores
    rules: Rules
    higher_is_better: bool

    def between(self, pairs: list[tuple[str, str]], reference: list[tuple[str, str]]) -> dict[str, float]:
        """The difference of the mean of some experiments from that of others."""
        both = (self.scores.of(*each) for each in (pairs, reference))
        return difference(*both, self.rules, self.scores.units, self.higher_is_better)._asdict()


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


def _effects(compared: Compared, reference: str) -> Iterator[dict[str, Any]]:
    """Each strategy against the reference under the same loss."""
    for loss, strategy in compared.scores.values.columns:
        if strategy != reference:
            found = compared.between([(loss, strategy)], [(loss, reference)])
            yield {"loss": loss, "strategy": strategy} | found


def _main(compared: Compared, factor: str, reference: str) -> Iterator[dict[str, Any]]:
    """Each level of a factor against the reference, as means over the levels of the other factor."""
    columns = compared.scores.values.columns
    place = PAIR.index(factor)
    of_level = {level: [pair for pair in columns if pair[place] == level] for level in columns.unique(factor)}
    for level, pairs in of_level.items():
        if level != reference:
            yield {"factor": factor, "level": level} | compared.between(pairs, of_level[reference])

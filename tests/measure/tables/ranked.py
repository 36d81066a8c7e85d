"""Scores of made experiments, and the part of a story that the ranking needs."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipeline.measure.metrics.table import METRICS
from pipeline.measure.statistics.estimates import Rules, Units
from pipeline.measure.story import Story
from pipeline.measure.tables.ranking import rankings
from pipeline.measure.tables.scores import PAIR, PLACE, Scores

RULES = Rules(confidence=0.95, interval="t", rope=0.005)
CONTROL = {"loss": "cross_entropy", "strategy": "none"}


def pairs(count: int) -> list[tuple[str, str]]:
    """The control and other experiments."""
    return [("cross_entropy", "none"), *((f"focal_tversky_{i}", "class_weights") for i in range(count - 1))]


def scores_of_values(values: np.ndarray, noise: float = 0.0, overlap: float = 0.0, draws: int = 400) -> Scores:
    """Scores `s e` of one place; under a resample of the images, all of them are `noise` better or worse, and each a
    tenth of it."""
    random = np.random.default_rng(1)
    shape = (draws, *values.shape)
    drawn = values + noise * random.normal(size=(draws, 1, 1)) + 0.1 * noise * random.normal(size=shape)
    columns = pd.MultiIndex.from_tuples(pairs(values.shape[1]), names=PAIR)
    return Scores(pd.DataFrame(values, columns=columns), drawn, None, Units(50, overlap))


def ladder(experiments: int, seeds: int, step: float = 0.01) -> np.ndarray:
    """Scores `s e`: each experiment a step above the one before, seeds as far apart as a step."""
    random = np.random.default_rng(2)
    return 0.5 + step * (np.arange(experiments) + random.normal(size=(seeds, experiments)))


def board_of(scores: Mapping[tuple[str, str], Scores], **others: float) -> pd.DataFrame:
    """A leaderboard: mIoU, and other metrics as a multiple of it; all else is unknown."""
    tables = []
    for place, each in scores.items():
        table = each.values.mean().rename("miou").reset_index()
        table = table.assign(**dict(zip(PLACE, place, strict=True)))
        known = {name: factor * table["miou"] for name, factor in others.items()}
        unknown = {name: np.nan for name in METRICS if name != "miou" and name not in others}
        tables.append(table.assign(**known, **unknown))
    return pd.concat(tables)


def ranked_story(scores: Mapping[tuple[str, str], Scores], **others: float) -> Story:
    """What the figures and the words of the ranking read of a story; the rest of it is None."""
    cells = [
        {**dict(zip(PLACE, place, strict=True)), "seed": seed}
        for place in scores
        for seed in scores[place].values.index
    ]
    return Story._make([None] * len(Story._fields))._replace(
        primary="miou",
        rules=RULES,
        control=CONTROL,
        cells=pd.DataFrame(cells),
        ranking=rankings(scores, board_of(scores, **others), "miou", RULES),
    )

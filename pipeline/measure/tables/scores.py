"""The tables of the report: one row per cell, per experiment, per class, per difference.

Experiments are compared by `Scores`: one metric of one dataset and model, per seed, and under the same resamples of the
test images for all, so that every difference is paired by seed and by image.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.measure.metrics.table import CLASS_SCORES, METRICS, Metric
from pipeline.measure.statistics.estimates import (
    Difference,
    Estimate,
    Resampled,
    Rules,
    Units,
    difference,
    holm,
    summarise,
)
from pipeline.measure.statistics.verdicts import verdict
from pipeline.measure.tables.measured import Measured
from pipeline.plumbing.cells import AXES, Cell

EXPERIMENT = list(AXES[:4])
CELL = list(AXES)
PLACE = EXPERIMENT[:2]
PAIR = EXPERIMENT[2:]
SPREAD = ("", "_std", "_low", "_high")


class Scores(NamedTuple):
    """The primary metric of one dataset and model."""

    values: pd.DataFrame
    """A row per seed, a column per pair of loss and strategy, in the order of params.yaml; NaN unless finished."""
    draws: np.ndarray
    """`b s e`, of the same seeds and experiments: under each resample of the test images."""
    left_out: np.ndarray | None
    """`u s e`: without each unit of resampling."""
    units: Units

    def of(self, *pairs: tuple[str, str]) -> Resampled:
        """The scores of an experiment, or the mean of several; NaN at a seed with which one of them did not finish."""
        at = [self.values.columns.get_loc(pair) for pair in pairs]
        left_out = None if self.left_out is None else self.left_out[..., at].mean(axis=-1)
        return Resampled(self.values.to_numpy()[:, at].mean(axis=-1), self.draws[..., at].mean(axis=-1), left_out)


def cell_table(measured: Mapping[Cell, Measured]) -> pd.DataFrame:
    """A row per cell: axes, state and every metric (NaN unless finished)."""
    rows = [{**cell._asdict(), "state": each.state, **each.metrics} for cell, each in measured.items()]
    return pd.DataFrame(rows, columns=[*CELL, "state", *METRICS])


def scores_of(
    measured: Mapping[Cell, Measured], units: Mapping[str, Units], primary: str
) -> dict[tuple[str, str], Scores]:
    """The scores of the primary metric by dataset and model; `units` by dataset."""
    places = dict.fromkeys((cell.dataset, cell.model) for cell in measured)
    return {place: _scores(_of_place(measured, place), units[place[0]], primary) for place in places}


def leaderboard(
    measured: Mapping[Cell, Measured], units: Mapping[str, Units], primary: str, rules: Rules
) -> pd.DataFrame:
    """A row per experiment, best first within a dataset: axes, n, and M, M_std, M_low, M_high for each metric M."""
    rows = []
    for experiment, seeds in by_experiment(measured).items():
        row: dict[str, Any] = dict(zip(EXPERIMENT, experiment, strict=True))
        row["n"] = sum(each.state == "finished" for each in seeds)
        for name, metric in METRICS.items():
            scores = _resampled(seeds, name, primary)
            row |= spread(name, summarise(scores, rules, units[row["dataset"]], metric.low, metric.high))
        rows.append(row)
    return _best_first(pd.DataFrame(rows), primary, METRICS[primary])


def difference_table(
    scores: Mapping[tuple[str, str], Scores],
    control: Mapping[str, str],
    noise: pd.DataFrame,
    primary: str,
    rules: Rules,
) -> pd.DataFrame:
    """A row per experiment but the control: paired difference of the primary metric from the control of its dataset and
    model, with interval, p-values corrected over all rows of the dataset, and verdict."""
    rows, reference = [], (control["loss"], control["strategy"])
    for place, each in scores.items():
        for pair in each.values.columns:
            if pair != reference:
                found = difference(
                    each.of(pair), each.of(reference), rules, each.units, METRICS[primary].higher_is_better
                )
                rows.append(dict(zip(EXPERIMENT, (*place, *pair), strict=True)) | found._asdict())
    return with_verdicts(pd.DataFrame(rows, columns=[*EXPERIMENT, *Difference._fields]), primary, rules, noise)


def with_verdicts(
    differences: pd.DataFrame, primary: str, rules: Rules, noise: pd.DataFrame | None = None
) -> pd.DataFrame:
    """Differences with `p_holm` and `p_equivalent`, both corrected over all rows of a dataset, and the verdict that
    they allow. With `noise`, a difference is better or worse only beyond that of the repeated control."""
    p_holm, p_equivalent = (
        differences.groupby("dataset")[name].transform(lambda p: holm(p.to_numpy(float)))
        for name in ("p", "p_equivalent")
    )
    floors = {} if noise is None else noise.set_index(PLACE)["mean"].abs().to_dict()
    floor = [floors.get(place, np.nan) for place in differences[PLACE].itertuples(index=False, name=None)]
    higher = METRICS[primary].higher_is_better
    verdicts = [
        verdict(*row, rules.confidence, higher)
        for row in zip(differences["mean"], p_holm, p_equivalent, floor, strict=True)
    ]
    return differences.assign(p_holm=p_holm, p_equivalent=p_equivalent, verdict=verdicts)


def noise_table(
    repeated: Mapping[Cell, Measured],
    scores: Mapping[tuple[str, str], Scores],
    control: Mapping[str, str],
    primary: str,
    rules: Rules,
) -> pd.DataFrame:
    """A row per dataset and model whose control was trained once more with other seeds: n, its `score` with spread, and
    its difference from the control. Seeds are paired in their order, which means nothing: they share no initial
    weights."""
    rows, pair = [], (control["loss"], control["strategy"])
    for place in dict.fromkeys((cell.dataset, cell.model) for cell in repeated):
        units, higher = scores[place].units, METRICS[primary].higher_is_better
        again = _resampled(list(_of_place(repeated, place).values()), primary, primary)
        first = scores[place].of(pair)
        n = min(len(again.values), len(first.values))
        found = difference(_first_seeds(again, n), _first_seeds(first, n), rules, units, higher)
        metric = METRICS[primary]
        row = dict(zip(PLACE, place, strict=True)) | found._asdict()
        rows.append(row | spread("score", summarise(again, rules, units, metric.low, metric.high)))
    spreads = [f"score{suffix}" for suffix in SPREAD]
    return pd.DataFrame(rows, columns=[*PLACE, "n", *spreads, "mean", "low", "high"])


def class_table(
    measured: Mapping[Cell, Measured],
    classes: Mapping[str, list[str]],
    frequencies: Mapping[str, list[float]],
    units: Mapping[str, Units],
    rules: Rules,
) -> pd.DataFrame:
    """A row per experiment and class: share of train pixels, images without the class in truth and prediction, and the
    mean over seeds of each score with standard deviation and interval."""
    rows = []
    for experiment, every in by_experiment(measured).items():
        seeds = [each for each in every if each.state == "finished"]
        for index, name in enumerate(classes[experiment[0]] if seeds else []):
            row: dict[str, Any] = dict(zip(EXPERIMENT, experiment, strict=True))
            row |= {"class_name": name, "train_frequency": frequencies[experiment[0]][index], "n": len(seeds)}
            row["absent"] = np.mean([each.absent[index] for each in seeds])
            for key, score in CLASS_SCORES.items():
                of_class = Resampled(
                    np.array([each.class_scores[key][index] for each in seeds]),
                    np.stack([each.class_draws[key][:, index] for each in seeds], axis=1),
                    None,
                )
                row |= spread(
                    key, summarise(of_class, rules._replace(interval="t"), units[experiment[0]], score.low, score.high)
                )
            rows.append(row)
    spreads = [f"{name}{suffix}" for name in CLASS_SCORES for suffix in SPREAD]
    return pd.DataFrame(rows, columns=[*EXPERIMENT, "class_name", "train_frequency", "n", "absent", *spreads])


def spread(name: str, found: Estimate) -> dict[str, float]:
    """Mean, standard deviation and ends of the interval, as columns of a table."""
    return dict(zip((f"{name}{suffix}" for suffix in SPREAD), found[1:], strict=True))


def by_experiment(measured: Mapping[Cell, Measured]) -> dict[tuple[str, ...], list[Measured]]:
    """The cells of each experiment, in the order of their seeds."""
    groups: dict[tuple[str, ...], list[Measured]] = {}
    for cell, each in measured.items():
        groups.setdefault(cell.experiment, []).append(each)
    return groups


def _of_place(measured: Mapping[Cell, Measured], place: tuple[str, str]) -> dict[Cell, Measured]:
    return {cell: each for cell, each in measured.items() if (cell.dataset, cell.model) == place}


def _resampled(seeds: list[Measured], metric: str, primary: str) -> Resampled:
    """A metric of all seeds of an experiment; NaN unless finished."""
    left_out = [each.left_out for each in seeds if each.left_out is not None and metric == primary]
    return Resampled(
        np.array([each.metrics[metric] for each in seeds]),
        np.stack([each.draws[metric] for each in seeds], axis=1),
        np.stack(left_out, axis=1) if left_out else None,
    )


def _scores(measured: Mapping[Cell, Measured], units: Units, primary: str) -> Scores:
    pairs = list(dict.fromkeys((cell.loss, cell.strategy) for cell in measured))
    found = [_resampled(seeds, primary, primary) for seeds in by_experiment(measured).values()]
    seeds = pd.Index(dict.fromkeys(cell.seed for cell in measured), name="seed")
    values, draws = (np.stack([getattr(each, part) for each in found], axis=-1) for part in ("values", "draws"))
    left_out = None if found[0].left_out is None else np.stack([each.left_out for each in found], axis=-1)
    return Scores(pd.DataFrame(values, seeds, pd.MultiIndex.from_tuples(pairs, names=PAIR)), draws, left_out, units)


def _first_seeds(scores: Resampled, n: int) -> Resampled:
    return Resampled(*(None if each is None else each[..., :n] for each in scores))


def _best_first(table: pd.DataFrame, primary: str, metric: Metric) -> pd.DataFrame:
    """Datasets in the order of params.yaml, within each the best first; experiments without a score last."""
    order = {dataset: place for place, dataset in enumerate(table["dataset"].unique())}
    table = table.assign(_place=table["dataset"].map(order))
    table = table.sort_values(["_place", primary], ascending=[True, not metric.higher_is_better], kind="stable")
    return table.drop(columns="_place").reset_index(drop=True)

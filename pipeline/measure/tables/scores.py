"""The tables of the report, from stored counts: one row per cell, per experiment, per class, per difference."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.measure.counts.region import COUNTS
from pipeline.measure.metrics.table import CLASS_SCORES, METRICS, Metric
from pipeline.measure.statistics.estimates import holm, paired_difference, summarise, verdict
from pipeline.plumbing.cells import AXES, Cell

EXPERIMENT = list(AXES[:4])
CELL = list(AXES)


class Judged(NamedTuple):
    """What is known of one cell: its state, and the counts `n c 4` of its test images if it finished."""

    state: str
    """`finished`, `diverged at iteration n`, or `missing`."""
    classes: list[str]
    counts: np.ndarray | None


def counts_from_table(table: pd.DataFrame) -> np.ndarray:
    """Counts `n c 4` from the rows that `evaluate` stored."""
    table = table.sort_values(["image", "class_index"])
    return table[list(COUNTS)].to_numpy().reshape(table["image"].nunique(), -1, len(COUNTS))


def cell_table(judged: Mapping[Cell, Judged]) -> pd.DataFrame:
    """A row per cell: axes, state and every metric (NaN unless finished)."""
    rows = []
    for cell, each in judged.items():
        known = each.counts is not None
        scores = {name: metric.compute(each.counts) if known else np.nan for name, metric in METRICS.items()}
        rows.append({**cell._asdict(), "state": each.state, **scores})
    return pd.DataFrame(rows, columns=[*CELL, "state", *METRICS])


def leaderboard(cells: pd.DataFrame, primary: str, confidence: float) -> pd.DataFrame:
    """A row per experiment, best first within a dataset: axes, n, and M, M_std, M_low, M_high for each metric M."""
    rows = []
    for experiment, seeds in cells.groupby(EXPERIMENT, sort=False):
        row = dict(zip(EXPERIMENT, experiment, strict=True)) | {"n": int(seeds[primary].notna().sum())}
        for name, metric in METRICS.items():
            _, row[name], *spread = summarise(seeds[name].to_numpy(float), confidence, metric.low, metric.high)
            row |= dict(zip((f"{name}_std", f"{name}_low", f"{name}_high"), spread, strict=True))
        rows.append(row)
    return _best_first(pd.DataFrame(rows), primary, METRICS[primary])


def difference_table(cells: pd.DataFrame, primary: str, control: Mapping[str, str], confidence: float) -> pd.DataFrame:
    """A row per experiment but the control: paired difference of the primary metric from the control of its dataset and
    model, with interval, p-value corrected over all rows of the dataset, and verdict."""
    rows = []
    reference = (control["loss"], control["strategy"])
    for (dataset, model), group in cells.groupby(EXPERIMENT[:2], sort=False):
        scores = by_seed(group, primary)
        for pair in scores.columns:
            if pair != reference:
                values, base = (scores[each].to_numpy(float) for each in (pair, reference))
                found = paired_difference(values, base, confidence)
                rows.append(dict(zip(EXPERIMENT, (dataset, model, *pair), strict=True)) | found._asdict())
    return with_verdicts(
        pd.DataFrame(rows, columns=[*EXPERIMENT, "n", "mean", "low", "high", "p"]), primary, confidence
    )


def by_seed(cells: pd.DataFrame, primary: str) -> pd.DataFrame:
    """Scores of the cells of one dataset and model: a row per seed, a column per pair of loss and strategy."""
    pairs = pd.MultiIndex.from_frame(cells[EXPERIMENT[2:]].drop_duplicates())  # in the order of params.yaml
    return cells.pivot(index="seed", columns=EXPERIMENT[2:], values=primary).reindex(columns=pairs)


def with_verdicts(differences: pd.DataFrame, primary: str, confidence: float) -> pd.DataFrame:
    """Differences with `p_holm`, corrected over all rows of a dataset, and the verdict that it allows."""
    corrected = differences.groupby("dataset")["p"].transform(lambda p: holm(p.to_numpy(float)))
    higher = METRICS[primary].higher_is_better
    verdicts = [verdict(mean, p, confidence, higher) for mean, p in zip(differences["mean"], corrected, strict=True)]
    return differences.assign(p_holm=corrected, verdict=verdicts)


def class_table(
    judged: Mapping[Cell, Judged], frequencies: Mapping[str, list[float]], confidence: float
) -> pd.DataFrame:
    """A row per experiment and class: share of train pixels, images without the class in truth and prediction, and the
    mean over seeds of each score with standard deviation and interval."""
    rows = []
    for cell, each in judged.items():
        if each.counts is None:
            continue
        total = each.counts.sum(axis=0)
        absent = (each.counts[..., :3].sum(axis=-1) == 0).sum(axis=0)
        scores = {name: score(total) for name, score in CLASS_SCORES.items()}
        for index, name in enumerate(each.classes):
            place = {"class_name": name, "train_frequency": frequencies[cell.dataset][index], "absent": absent[index]}
            rows.append({**cell._asdict(), **place, **{score: scores[score][index] for score in scores}})
    per_seed = pd.DataFrame(rows, columns=[*CELL, "class_name", "train_frequency", "absent", *CLASS_SCORES])
    keys = [*EXPERIMENT, "class_name", "train_frequency"]
    groups = per_seed.groupby(keys, sort=False)
    rows = [_class_row(dict(zip(keys, key, strict=True)), seeds, confidence) for key, seeds in groups]
    spread = [f"{name}{suffix}" for name in CLASS_SCORES for suffix in ("", "_std", "_low", "_high")]
    return pd.DataFrame(rows, columns=[*keys, "n", "absent", *spread])


def _class_row(keys: dict, seeds: pd.DataFrame, confidence: float) -> dict:
    row = {**keys, "n": len(seeds), "absent": seeds["absent"].mean()}
    for name in CLASS_SCORES:
        _, row[name], *spread = summarise(seeds[name].to_numpy(float), confidence, 0.0, 1.0)
        row |= dict(zip((f"{name}_std", f"{name}_low", f"{name}_high"), spread, strict=True))
    return row


def _best_first(table: pd.DataFrame, primary: str, metric: Metric) -> pd.DataFrame:
    """Datasets in the order of params.yaml, within each the best first; experiments without a score last."""
    order = {dataset: place for place, dataset in enumerate(table["dataset"].unique())}
    table = table.assign(_place=table["dataset"].map(order))
    table = table.sort_values(["_place", primary], ascending=[True, not metric.higher_is_better], kind="stable")
    return table.drop(columns="_place").reset_index(drop=True)

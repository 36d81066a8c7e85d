"""How far the order of the leaderboard can be relied on, as tables.

The order of one dataset and model is drawn again and again: seeds with replacement, and test images as all experiments
share them. An experiment is ranked by its mean over the seeds with which it finished; one without such a seed is not
ranked. A resample in which a ranked experiment has none of the seeds drawn is left out. Seeds drawn from a few
vary less than new ones would (for S of them by (S - 1) / S), so the order is less stable than it looks.

The tests between many experiments take datasets and models as blocks where there are at least two; otherwise the seeds
of the only one, which share their test images and so speak of training again and of nothing else. They take the
experiments that finished in every block.
"""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.measure.metrics.table import METRICS
from pipeline.measure.statistics.bootstrap import seed_weights
from pipeline.measure.statistics.estimates import Rules
from pipeline.measure.statistics.ranking import (
    critical_difference,
    friedman,
    kendall_tau,
    nemenyi,
    rank_interval,
    rank_shares,
    resampled_means,
    smallest_p,
    tau_range,
    wilcoxon_holm,
)
from pipeline.measure.tables.scores import EXPERIMENT, PAIR, PLACE, Scores
from pipeline.plumbing.random_streams import stream

ALL = "(all)"  # in place of a dataset and a model, none of which can have this name
TOP = 3
OTHER = [f"other_{axis}" for axis in PAIR]
COLUMNS = {
    "ranks": [*EXPERIMENT, "n", "rank", "mean_rank", "low", "high", "first", "top3"],
    "shares": [*EXPERIMENT, "rank", "share"],
    "stability": [*PLACE, "experiments", "resamples", "tau", "tau_low", "tau_high"],
    "between_metrics": [*PLACE, "metric", "experiments", "tau"],
    "omnibus": [*PLACE, "of", "blocks", "experiments", "statistic", "p", "critical_difference", "warning"],
    "block_ranks": [*EXPERIMENT, "mean_rank"],
    "pairs": [*EXPERIMENT, *OTHER, "p_holm", "p_nemenyi"],
}


class Ranking(NamedTuple):
    """The tables of the ranking."""

    ranks: pd.DataFrame
    """A row per ranked experiment, best first within a dataset and model: finished seeds, rank on the leaderboard
    (midrank of a tie); over the resamples the mean rank, the interval of ranks, and the share in which it is first and
    among the first three, where those that tie share evenly."""
    shares: pd.DataFrame
    """A row per ranked experiment and rank that it has in any resample: the share of the resamples."""
    stability: pd.DataFrame
    """A row per dataset and model: the resamples that were kept, and Kendall's tau of their orders with that of the
    leaderboard, mean and interval."""
    between_metrics: pd.DataFrame
    """A row per dataset, model and metric that is no cost and not the primary one: Kendall's tau of its order of the
    experiments with that of the primary metric, each with its best first."""
    omnibus: pd.DataFrame
    """One row: of what the `blocks` are, Friedman's chi-squared and p, and Nemenyi's critical difference.
    `warning`, a sentence or empty, says why they cannot be computed (then NaN) or cannot find anything."""
    block_ranks: pd.DataFrame
    """A row per experiment of those tests, best first: the mean over the blocks of its rank within each."""
    pairs: pd.DataFrame
    """A row per two of them, the better mean rank first: p of Wilcoxon's signed-rank test after Holm's correction over
    all rows, and of Nemenyi's test."""


def rankings(scores: Mapping[tuple[str, str], Scores], board: pd.DataFrame, primary: str, rules: Rules) -> Ranking:
    """The ranking of every dataset and model by the primary metric; `board` is the leaderboard, for the others."""
    rows: dict[str, list[dict[str, Any]]] = {name: [] for name in COLUMNS}
    for place, each in scores.items():
        _resampled(rows, dict(zip(PLACE, place, strict=True)), each, primary, rules.confidence)
    for place, group in board.groupby(PLACE, sort=False):
        rows["between_metrics"] += [dict(zip(PLACE, place, strict=True)) | row for row in _agreement(group, primary)]
    place, blocks, of = _blocks(scores)
    _tests(rows, dict(zip(PLACE, place, strict=True)), blocks, of, primary, rules.confidence)
    return Ranking(**{name: pd.DataFrame(rows[name], columns=columns) for name, columns in COLUMNS.items()})


def _resampled(
    rows: dict[str, list[dict[str, Any]]], place: dict[str, str], scores: Scores, primary: str, confidence: float
) -> None:
    """Rows of one dataset and model: what ranks the experiments take over the resamples."""
    finished = scores.values.notna().sum()
    ranked, higher = finished.to_numpy() > 0, METRICS[primary].higher_is_better
    means = scores.values.mean().to_numpy()[ranked]
    weights = seed_weights(len(scores.values), len(scores.draws), stream(0, f"ranks of {'-'.join(place.values())}"))
    drawn = resampled_means(scores.draws[..., ranked], weights)
    drawn = drawn[~np.isnan(drawn).any(axis=1)]
    tau = tau_range(kendall_tau(drawn, means), confidence)
    found = dict(zip(("tau", "tau_low", "tau_high"), tau, strict=True))
    rows["stability"].append(place | {"experiments": len(means), "resamples": len(drawn)} | found)
    if not drawn.size:
        return
    shares = rank_shares(drawn, higher)
    low, high = rank_interval(shares, confidence)
    midranks, places = stats.rankdata(-means if higher else means), np.arange(1, len(means) + 1)
    pairs, n = scores.values.columns[ranked], finished.to_numpy()[ranked]
    for each in np.argsort(midranks, kind="stable"):
        experiment = place | dict(zip(PAIR, pairs[each], strict=True))
        numbers = (n[each], midranks[each], shares[each] @ places, low[each], high[each])
        top = (shares[each, 0], shares[each, :TOP].sum())
        rows["ranks"].append(experiment | dict(zip(COLUMNS["ranks"][len(EXPERIMENT) :], (*numbers, *top), strict=True)))
        rows["shares"] += [
            experiment | {"rank": rank, "share": share}
            for rank, share in zip(places, shares[each], strict=True)
            if share > 0
        ]


def _agreement(board: pd.DataFrame, primary: str) -> list[dict[str, Any]]:
    """Kendall's tau of the orders by the primary metric and by each other one."""
    rows, best = [], METRICS[primary].higher_is_better
    for name, metric in METRICS.items():
        if name == primary or metric.family == "cost":
            continue
        known = board[[primary, name]].dropna().to_numpy(float)
        sign = 1 if metric.higher_is_better == best else -1
        tau = kendall_tau(sign * known[None, :, 1], known[:, 0])[0]
        rows.append({"metric": name, "experiments": len(known), "tau": tau})
    return rows


def _blocks(scores: Mapping[tuple[str, str], Scores]) -> tuple[tuple[str, str], pd.DataFrame, str]:
    """Where the tests are of, their scores (a row per block, a column per experiment, no NaN), and of what the blocks
    are."""
    if len(scores) == 1:
        ((place, each),) = scores.items()
        return place, each.values.dropna(axis=1, how="all").dropna(), "repeats" if each.units.overlap > 0 else "seeds"
    means = pd.DataFrame([each.values.mean() for each in scores.values()])
    several = [axis for axis, names in zip(PLACE, zip(*scores, strict=True), strict=True) if len(set(names)) > 1]
    of = f"{several[0]}s" if len(several) == 1 else "pairs of dataset and model"
    return (ALL, ALL), means.dropna(how="all").dropna(axis=1), of


def _tests(
    rows: dict[str, list[dict[str, Any]]],
    place: dict[str, str],
    blocks: pd.DataFrame,
    of: str,
    primary: str,
    confidence: float,
) -> None:
    """The row of the omnibus test and those of all pairs."""
    count, experiments = blocks.shape
    row = place | {"of": of, "blocks": count, "experiments": experiments}
    if count < 2 or experiments < 3:
        rows["omnibus"].append(row | {"warning": _obstacle(count, experiments, of)})
        return
    values = blocks.to_numpy()
    statistic, p = friedman(values)
    difference = critical_difference(count, experiments, confidence)
    numbers = {"statistic": statistic, "p": p, "critical_difference": difference}
    rows["omnibus"].append(row | numbers | {"warning": _limits(count, experiments, of, difference, confidence)})
    signed = -values if METRICS[primary].higher_is_better else values
    ranks = pd.Series(stats.rankdata(signed, axis=1).mean(axis=0), blocks.columns).sort_values(kind="stable")
    rows["block_ranks"] += [
        place | dict(zip(PAIR, pair, strict=True)) | {"mean_rank": rank} for pair, rank in ranks.items()
    ]
    best_first = blocks[ranks.index].to_numpy()
    one, other = (ranks.index[each].to_frame(index=False) for each in np.triu_indices(experiments, 1))
    names = pd.concat([one.set_axis(PAIR, axis=1), other.set_axis(OTHER, axis=1)], axis=1)
    tests = names.assign(**place, p_holm=wilcoxon_holm(best_first), p_nemenyi=nemenyi(best_first))
    rows["pairs"] += tests.to_dict("records")


def _obstacle(blocks: int, experiments: int, of: str) -> str:
    """Why there are no tests between all experiments."""
    if blocks < 2:
        return f"There are no tests between all experiments: they need two {of}, and there is {blocks or 'none'}."
    return f"There are no tests between all experiments: they need three that finished, and there are {experiments}."


def _limits(blocks: int, experiments: int, of: str, difference: float, confidence: float) -> str:
    """Why the tests cannot find anything, however much experiments differ; empty if they can."""
    level, least, pairs = 1 - confidence, smallest_p(blocks), experiments * (experiments - 1) // 2
    sentences = []
    if least * pairs >= level:
        needed = next(count for count in itertools.count(blocks) if smallest_p(count) * pairs < level)
        short = (
            f"{blocks} {of} cannot reach p < {level:.2g} in any exact paired test (the smallest two-sided p is 2 / "
            f"2^{blocks} = {least:.3g}), and"
        )
        reason = f"{f'{short} ' if least >= level else ''}Holm's correction over {pairs} pairs takes {needed} {of}"
        sentences.append(f"No two experiments can be told apart here, however much they differ: {reason}.")
    if difference > experiments - 1:
        sentences.append(
            f"Nemenyi's critical difference, {difference:.2f}, exceeds the greatest possible difference of mean ranks, "
            f"{experiments - 1}."
        )
    return " ".join(sentences)

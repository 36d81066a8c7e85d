"""What the searches for learning rates found: which rate each loss got, how much it mattered, and the figure of it.

Scores of trials are of the validation split; the comparison of tuned with untuned losses is of the test split.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.measure.figures.style import legend, line_styles, of, styled
from pipeline.measure.metrics.table import METRICS
from pipeline.measure.statistics.estimates import Rules, difference
from pipeline.measure.story import Story
from pipeline.measure.tables.scores import Scores

SEARCH = ["dataset", "model", "loss"]
WHICH = ("tuned", "untuned")
Searches = Mapping[tuple[str, ...], Mapping[str, Any]]  # search.json by dataset, model and loss


def rate_table(searches: Searches) -> pd.DataFrame:
    """A row per search: the rate taken, the rate of the block `fit`, validation mIoU at both, the flag, the trials."""
    rows = []
    for names, found in searches.items():
        scores = {trial["lr"]: trial["val_miou"] for trial in found["trials"]}
        at = {name: scores.get(found[rate]) for name, rate in (("val_miou", "lr"), ("val_untuned", "untuned_lr"))}
        row = {"lr": found["lr"], "untuned_lr": found["untuned_lr"], **at, "trials": len(scores), "flag": found["flag"]}
        rows.append(dict(zip(SEARCH, names, strict=True)) | row)
    columns = [*SEARCH, "lr", "untuned_lr", "val_miou", "val_untuned", "trials", "flag"]
    return pd.DataFrame(rows, columns=columns).astype({"val_miou": float, "val_untuned": float})


def trial_table(searches: Searches) -> pd.DataFrame:
    """A row per trial: dataset, model, loss, lr, val_miou (NaN if it diverged)."""
    rows = [
        dict(zip(SEARCH, names, strict=True)) | {"lr": trial["lr"], "val_miou": trial["val_miou"]}
        for names, found in searches.items()
        for trial in found["trials"]
    ]
    return pd.DataFrame(rows, columns=[*SEARCH, "lr", "val_miou"]).astype({"lr": float, "val_miou": float})


def tuning_table(
    scores: Mapping[tuple[str, str], Scores], losses: Mapping[str, Any], rates: pd.DataFrame, primary: str, rules: Rules
) -> pd.DataFrame:
    """Losses that params.yaml lists twice, tuned and with `tune: false`, side by side at equal seeds.

    `losses` describes each loss; two are the same loss if their descriptions are equal. A row per pair and strategy:
    both means, the paired difference with its interval, and the rank of each among the pairs of that strategy.
    """
    rows, higher = [], METRICS[primary].higher_is_better
    for (dataset, model), each in scores.items():
        searched = of(rates, dataset, model).set_index("loss")["trials"] > 0
        pairs = [
            (tuned, untuned)
            for tuned in searched[searched].index
            for untuned in searched[~searched].index
            if tuned in losses and losses[tuned] == losses.get(untuned)
        ]
        strategies = each.values.columns.unique("strategy")
        for (tuned, untuned), strategy in ((pair, name) for pair in pairs for name in strategies):
            both = [each.of((loss, strategy)) for loss in (tuned, untuned)]
            found = difference(*both, rules, each.units, higher)
            names = {"dataset": dataset, "model": model, "loss": tuned, "untuned": untuned, "strategy": strategy}
            means = {f"{which}_mean": pd.Series(one.values).mean() for which, one in zip(WHICH, both, strict=True)}
            rows.append(
                names | {"n": found.n} | means | {"difference": found.mean, "low": found.low, "high": found.high}
            )
    columns = ["dataset", "model", "loss", "untuned", "strategy", "n", "tuned_mean", "untuned_mean"]
    table = pd.DataFrame(rows, columns=[*columns, "difference", "low", "high"])
    by_strategy = table.groupby(["dataset", "model", "strategy"])
    for which in WHICH:
        ranks = by_strategy[f"{which}_mean"].rank(ascending=not METRICS[primary].higher_is_better, method="min")
        table[f"{which}_rank"] = ranks.astype("Int64")
    return table


@styled
def sensitivity(story: Story, dataset: str, model: str) -> Figure:
    """Validation mIoU of every trial against its learning rate, a line per loss; a ring marks the rate that was taken
    and a dashed line the rate of the block `fit`."""
    trials, rates = of(story.trials, dataset, model), of(story.rates, dataset, model).set_index("loss")
    figure = Figure(figsize=(7.2, 4), layout="constrained")
    axes = figure.subplots()
    for loss, style in line_styles(story).items():
        tried = trials[trials["loss"] == loss].sort_values("lr")
        if tried.empty:
            continue
        axes.plot(tried["lr"], tried["val_miou"], markersize=4, linewidth=1.4, label=loss, **style)
        taken = rates.loc[loss]
        axes.plot(taken["lr"], taken["val_miou"], "o", markersize=11, fillstyle="none", color=style["color"])
    for rate in np.unique(rates["untuned_lr"]):
        axes.axvline(rate, linestyle="--", linewidth=1, color="#777777")
    axes.set_xscale("log")
    axes.grid(True)
    axes.set(xlabel="learning rate (peak)", ylabel="validation mIoU", title=f"Search: {dataset}, {model}")
    legend(figure, story)
    return figure

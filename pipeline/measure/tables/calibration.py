"""Tables of calibration: reliability by bin, the fitted temperatures, and both beside the scores as text."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.measure.metrics.table import METRICS
from pipeline.measure.statistics.estimates import Resampled, Rules, summarise
from pipeline.measure.story import Story
from pipeline.measure.tables.measured import Measured
from pipeline.measure.tables.scores import EXPERIMENT, SPREAD, by_experiment, spread
from pipeline.measure.text import estimate
from pipeline.plumbing.cells import Cell

RELIABILITY = [*EXPERIMENT, "scaled", "bin", "n", "share", "confidence", "accuracy", "accuracy_std"]
TEMPERATURES = [*EXPERIMENT, "n", *(f"temperature{suffix}" for suffix in SPREAD)]
TOP = 0  # the place of the top label in the bins
SHOWN = {"ece": "ECE", "classwise_ece": "class-wise ECE", "nll": "NLL", "brier": "Brier score"}


def reliability_table(measured: Mapping[Cell, Measured]) -> pd.DataFrame:
    """A row per experiment, without or with temperature, and bin of the top label's probability that holds a pixel of
    the test split: its share of the pixels, mean probability, and the share of it that is right, pooled over the seeds;
    `n` seeds have pixels there, and `accuracy_std` is the standard deviation over them."""
    rows = []
    for experiment, seeds in by_experiment(measured).items():
        known = [each.bins[:, TOP] for each in seeds if each.bins is not None]
        if known:
            place = dict(zip(EXPERIMENT, experiment, strict=True))
            rows += [place | row for row in _reliability(np.stack(known))]
    return pd.DataFrame(rows, columns=RELIABILITY)


def _reliability(bins: np.ndarray) -> list[dict[str, Any]]:
    """Rows from the bins `s 2 bins 3` of several seeds."""
    pooled = bins.sum(axis=0)
    total = pooled[..., 0].sum(axis=-1)
    rows = []
    for scaled, place in zip(*np.nonzero(pooled[..., 0]), strict=True):
        pixels, confidence, hits = pooled[scaled, place]
        counts = bins[:, scaled, place]
        counts = counts[counts[:, 0] > 0]
        accuracy = counts[:, 2] / counts[:, 0]
        rows.append(
            {
                "scaled": bool(scaled),
                "bin": int(place),
                "n": len(accuracy),
                "share": pixels / total[scaled],
                "confidence": confidence / pixels,
                "accuracy": hits / pixels,
                "accuracy_std": accuracy.std(ddof=1) if len(accuracy) > 1 else np.nan,
            }
        )
    return rows


def temperature_table(measured: Mapping[Cell, Measured], rules: Rules) -> pd.DataFrame:
    """A row per experiment with a finished seed: the temperature that was fitted on the validation split, as mean over
    `n` seeds with standard deviation and interval."""
    rows = []
    for experiment, seeds in by_experiment(measured).items():
        known = np.array([each.evaluation["temperature"] for each in seeds if each.evaluation], dtype=float)
        if len(known):
            found = summarise(Resampled(known), rules, low=0.0)
            place = dict(zip(EXPERIMENT, experiment, strict=True))
            rows.append(place | {"n": found.n} | spread("temperature", found))
    return pd.DataFrame(rows, columns=TEMPERATURES)


def calibration_rows(story: Story, dataset: str) -> list[dict[str, str]]:
    """The experiments of a dataset as text, in the order of the leaderboard: temperature, and each score of
    probabilities without and with it; mean and standard deviation over seeds above the interval."""
    fitted = story.temperatures.set_index(EXPERIMENT).to_dict("index")
    board = story.leaderboard[story.leaderboard["dataset"] == dataset].to_dict("records")
    rows = []
    for row in board:
        experiment = tuple(row[axis] for axis in EXPERIMENT)
        if experiment in fitted:
            known = row | fitted[experiment]
            axes = {axis: row[axis] for axis in ("model", "loss", "strategy")}
            rows.append(
                axes | {"n": str(known["n"]), "temperature": _text(known, "temperature", ".2f")} | _scores(known)
            )
    return rows


def _scores(row: Mapping[str, Any]) -> dict[str, str]:
    texts = {}
    for name, title in SHOWN.items():
        form = ".3f" if METRICS[name].high == 1 else ".3g"
        texts[title] = _text(row, name, form)
        texts[f"{title}, scaled"] = _text(row, f"{name}_scaled", form)
    return texts


def _text(row: Mapping[str, Any], name: str, form: str) -> str:
    """`0.071 ± 0.002` above `[0.066, 0.076]`."""
    return estimate(*(row[f"{name}{suffix}"] for suffix in SPREAD), form)

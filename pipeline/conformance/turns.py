"""Runs by turns, so that what else the machine does falls on all of them, and what is written of their ratios."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

FEWEST, MOST = 5, 60  # rounds
ENOUGH = 400.0  # seconds, after the fewest rounds


class Ratio(NamedTuple):
    """Of what two runs of a round take: the median over rounds, and the quartiles."""

    median: float
    lower: float
    upper: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.lower:.2f} to {self.upper:.2f})"


def by_turns(runs: Sequence[Callable[[], float]]) -> np.ndarray:
    """What the runs say they took, a row per run and a column per round."""
    times, started = [], time.perf_counter()
    while len(times) < FEWEST or (len(times) < MOST and time.perf_counter() - started < ENOUGH):
        times.append([run() for run in runs])
    return np.array(times).T


def ratio(one: np.ndarray, other: np.ndarray) -> Ratio:
    """Of the times of two runs."""
    return Ratio(*np.quantile(one / other, (0.5, 0.25, 0.75)).tolist())


def digits(number: float) -> str:
    """Three of them."""
    return f"{float(f'{number:.3g}'):,g}"

"""What the report tells, as data: the tables, figures and words are all made from this."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.measure.tables.dial import Dial
from pipeline.measure.tables.factorial import Factorial
from pipeline.measure.tables.gradients import GradientTables
from pipeline.plumbing.cells import Cell


class Shown(NamedTuple):
    """One test image of the gallery."""

    dataset: str
    name: str
    image: np.ndarray
    """`h w 3` uint8."""
    truth: np.ndarray
    """`h w` uint8 class indices, 255 where void."""
    classes: list[str]
    predictions: dict[Cell, np.ndarray]
    """`h w` uint8 class indices by cell, one cell per experiment, in the order of params.yaml."""


class Story(NamedTuple):
    """All that is known of the planned cells; the tables are described in `pipeline/measure/tables/scores.py`."""

    primary: str
    """Name of the metric that sorts the leaderboard."""
    confidence: float
    control: dict[str, str]
    """`loss` and `strategy` of the control."""
    datasets: dict[str, dict[str, Any]]
    """meta.json of each dataset."""
    fits: dict[str, dict[str, Any]]
    """Training settings of each dataset of which a cell is trained."""
    cells: pd.DataFrame
    leaderboard: pd.DataFrame
    differences: pd.DataFrame
    classes: pd.DataFrame
    curves: pd.DataFrame
    """A row per cell and validation: axes, iteration, lr, train_loss, val_miou."""
    rates: pd.DataFrame
    """A row per dataset, model and loss: the learning rate it was trained with; see `measure/tables/rates.py`."""
    trials: pd.DataFrame
    """A row per trial of the searches for learning rates."""
    tuning: pd.DataFrame
    """Losses that are listed twice, tuned and untuned, side by side."""
    gradients: GradientTables
    factorial: Factorial
    reused: dict[str, str]
    """Strategies that train nothing, each with the strategy whose weights its cells judge once more."""
    dials: list[Dial]
    dial: pd.DataFrame
    """A row per dial, position and experiment; see `pipeline/measure/tables/dial.py`."""
    seen: pd.DataFrame
    """A row per dataset, strategy and class: what training saw of it; see `pipeline/measure/tables/seen.py`."""
    decisions: pd.DataFrame
    """A row per experiment with a fitted decision and class; see `pipeline/measure/tables/decisions.py`."""
    gallery: list[Shown]
    origins: list[dict[str, Any]]
    """provenance.json of each trained cell."""

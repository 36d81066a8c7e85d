"""What the report tells, as data: the tables, figures and words are all made from this."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.measure.statistics.estimates import Rules, Units
from pipeline.measure.tables.dial import Dial
from pipeline.measure.tables.factorial import Factorial
from pipeline.measure.tables.gradients import GradientTables
from pipeline.measure.tables.ranking import Ranking
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
    """All that is known of the planned cells; the tables are described in `measure/tables/scores.py`."""

    primary: str
    """Name of the metric that sorts the leaderboard."""
    rules: Rules
    """Confidence of all intervals, how they are made, and which differences do not matter."""
    control: dict[str, str]
    """`loss` and `strategy` of the control."""
    datasets: dict[str, dict[str, Any]]
    """meta.json and about.json of each dataset; the folds of one are one dataset here, see `measure/pools.py`."""
    units: dict[str, Units]
    """What is resampled of each dataset."""
    evaluations: dict[str, dict[str, Any]]
    """How each dataset of which a cell has finished was scored: `size` and `tolerance`."""
    fits: dict[str, dict[str, Any]]
    """Training settings of each dataset of which a cell is trained."""
    cells: pd.DataFrame
    repeats: pd.DataFrame
    """As `cells`: the control, trained once more with other seeds."""
    leaderboard: pd.DataFrame
    noise: pd.DataFrame
    """A row per dataset and model with such repeats."""
    differences: pd.DataFrame
    classes: pd.DataFrame
    ranking: Ranking
    reliability: pd.DataFrame
    """A row per experiment and bin of probability; see `measure/tables/calibration.py`."""
    temperatures: pd.DataFrame
    """A row per experiment: the temperature that was fitted on the validation split."""
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
    chosen: pd.DataFrame
    """A row per image of the gallery; see `measure/tables/gallery.py`."""
    gallery: list[Shown]
    origins: list[dict[str, Any]]
    """provenance.json of each trained cell."""

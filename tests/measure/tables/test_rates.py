"""What the report says of the searches for learning rates."""

import numpy as np
import pandas as pd
import pytest

from pipeline.measure.tables.rates import rate_table, sensitivity, trial_table, tuning_table
from tests.measure.tables.measuring import RULES, scores_by_seed

TRIALS = [{"lr": 0.001, "val_miou": 0.4}, {"lr": 0.01, "val_miou": 0.6}, {"lr": 0.1, "val_miou": None}]
SEARCHES = {
    ("digits", "unet_tiny", "dice"): {"lr": 0.01, "untuned_lr": 0.001, "flag": None, "trials": TRIALS},
    ("digits", "unet_tiny", "focal"): {"lr": 0.001, "untuned_lr": 0.001, "flag": "flat", "trials": TRIALS},
    ("digits", "unet_tiny", "dice_untuned"): {"lr": 0.001, "untuned_lr": 0.001, "flag": None, "trials": []},
    ("digits", "unet_tiny", "focal_untuned"): {"lr": 0.001, "untuned_lr": 0.001, "flag": None, "trials": []},
}
LOSSES = {"dice": {"kind": "dice"}, "focal": {"kind": "focal"}}
LOSSES |= {f"{name}_untuned": block for name, block in LOSSES.items()}


def compared(scores: dict[str, list[float]], losses: dict[str, dict] = LOSSES) -> pd.DataFrame:
    """The table of tuned and untuned losses, from the score of each loss and seed."""
    found = scores_by_seed({(loss, "none"): each for loss, each in scores.items()})
    return tuning_table(found, losses, rate_table(SEARCHES), "miou", RULES).set_index("loss")


def test_a_search_is_summed_up_in_a_row():
    row = rate_table(SEARCHES).set_index("loss").loc["dice"]
    assert (row["lr"], row["untuned_lr"], row["val_miou"], row["val_untuned"], row["trials"]) == (
        0.01,
        0.001,
        0.6,
        0.4,
        3,
    )
    assert np.isnan(rate_table(SEARCHES).set_index("loss").loc["dice_untuned", "val_miou"])


def test_every_trial_is_a_row_and_a_diverged_one_has_no_score():
    scores = trial_table(SEARCHES)["val_miou"].to_numpy()
    np.testing.assert_array_equal(scores, [0.4, 0.6, np.nan, 0.4, 0.6, np.nan])


def test_a_loss_that_is_listed_tuned_and_untuned_is_compared_seed_by_seed():
    """Differences 0.1, 0.2 and 0.3 have mean 0.2, standard deviation 0.1 and a 95 % margin of 4.303 * 0.1 / sqrt(3)."""
    scores = {"dice": [0.6, 0.8, 0.7], "dice_untuned": [0.5, 0.6, 0.4], "focal": [0.5] * 3, "focal_untuned": [0.6] * 3}
    table = compared(scores)
    dice = table.loc["dice"]
    assert (dice["untuned"], dice["n"]) == ("dice_untuned", 3)
    assert dice[["tuned_mean", "untuned_mean", "difference"]].tolist() == pytest.approx([0.7, 0.5, 0.2])
    assert dice["high"] - dice["difference"] == pytest.approx(4.303 * 0.1 / np.sqrt(3), rel=1e-3)
    assert table["tuned_rank"].to_dict() == {"dice": 1, "focal": 2}
    assert table["untuned_rank"].to_dict() == {"dice": 2, "focal": 1}


def test_losses_that_differ_in_an_option_are_no_pair():
    scores = {"dice": [0.6], "dice_untuned": [0.5]}
    other = {"dice": LOSSES["dice"], "dice_untuned": {"kind": "dice", "denominator": "squared"}}
    assert compared(scores, other).empty


def test_the_figure_has_a_line_per_searched_loss_and_rings_the_rate_taken(story):
    axes = sensitivity(story, "digits", "unet_tiny").axes[0]
    lines = [line for line in axes.lines if len(line.get_xdata()) == 3]
    assert [line.get_label() for line in lines] == ["dice"]
    (ring,) = [line for line in axes.lines if line.get_fillstyle() == "none"]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (0.01, 0.6)

"""Fitted decisions, averaged by hand."""

import numpy as np
import pytest

from pipeline.measure.tables.decisions import decision_rows, decision_table
from pipeline.plumbing.cells import Cell
from tests.measure.tables.measuring import RULES

METAS = {"d": {"classes": ["ground", "pole"]}}


def fitted(pole: float, before: float, after: float) -> dict:
    return {"offsets": [0.0, pole], "val_miou_before": before, "val_miou": after}


def test_offsets_and_scores_are_averaged_over_seeds():
    """Offsets 1 and 3: mean 2, standard deviation sqrt(2), and an interval of 12.706 of it over sqrt(2)."""
    found = {
        Cell("d", "m", "dice", "thresholds", 0): fitted(1.0, 0.50, 0.60),
        Cell("d", "m", "dice", "thresholds", 1): fitted(3.0, 0.52, 0.64),
    }
    row = decision_table(found, METAS, RULES).set_index("class_name").loc["pole"]
    assert (row["n"], row["offset"], row["offset_std"]) == (2, 2.0, pytest.approx(2**0.5))
    assert row["offset_high"] - row["offset"] == pytest.approx(12.706, abs=1e-3)
    assert (row["val_miou_before"], row["val_miou"]) == pytest.approx((0.51, 0.62))


def test_one_seed_has_no_spread():
    row = decision_table({Cell("d", "m", "dice", "thresholds", 0): fitted(1.0, 0.5, 0.6)}, METAS, RULES).iloc[0]
    assert np.isnan(row[["offset_std", "val_miou_low"]].to_numpy(float)).all()


def test_no_decision_gives_no_rows(story):
    assert decision_table({}, METAS, RULES).empty
    assert decision_rows(story, "digits") == []


def test_rows_of_the_page_stand_rarest_class_first_with_a_spread(tell, sizes):
    axes = sizes(2, 1, 2)
    story = tell({**axes, "strategy": ["none", "class_thresholds"]})
    rows = decision_rows(story, "digits")
    assert [(row["loss"], row["strategy"], row["n"]) for row in rows] == [
        ("cross_entropy", "class_thresholds", 2),
        ("dice", "class_thresholds", 2),
    ]
    known = story.decisions[(story.decisions["dataset"] == "digits") & (story.decisions["loss"] == "dice")]
    three = known.set_index("class_name").loc["three"]
    assert len(rows[1]["offsets"]) == 5
    assert rows[1]["offsets"][0] == f"{three['offset']:+.2f} ± {three['offset_std']:.2f}"
    assert rows[1]["val_miou"] == f"{three['val_miou']:.3f} ± {three['val_miou_std']:.3f}"

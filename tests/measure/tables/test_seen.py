"""Shares of the pixels that training saw, by hand."""

import pytest

from pipeline.measure.tables.seen import seen_rows, seen_table
from pipeline.plumbing.cells import Cell

METAS = {"d": {"pixel_frequency": [0.9, 0.1]}}


def trained(loss: str, strategy: str, seed: int, pixels: list[int] | None, status: str = "finished") -> tuple:
    facts = {"status": status, "classes": ["ground", "pole"], "seen_pixels": pixels}
    return Cell("d", "m", loss, strategy, seed), facts


def test_shares_are_averaged_over_losses_and_seeds_with_the_range_of_the_losses():
    """Pole: 0.10 and 0.20 under dice, mean 0.15; 0.30 and 0.40 under focal, mean 0.35; together 0.25."""
    facts = dict(
        [
            trained("dice", "hard_pixels", 0, [90, 10]),
            trained("dice", "hard_pixels", 1, [160, 40]),
            trained("focal", "hard_pixels", 0, [7, 3]),
            trained("focal", "hard_pixels", 1, [6, 4]),
        ]
    )
    table = seen_table(facts, METAS).set_index("class_name")
    assert table["train_share"].to_dict() == {"ground": 0.9, "pole": 0.1}
    pole = table.loc["pole"]
    assert (pole["cells"], pole["seen"], pole["seen_low"], pole["seen_high"]) == pytest.approx((4, 0.25, 0.15, 0.35))


def test_only_trainings_that_ran_to_the_end_count():
    """A diverged one saw less, a reused one nothing, and a missing one is not known."""
    facts = dict(
        [
            trained("dice", "none", 0, [50, 50]),
            trained("focal", "none", 0, [100, 0], "diverged"),
            trained("dice", "class_thresholds", 0, None, "reused"),
        ]
    )
    table = seen_table({**facts, Cell("d", "m", "dice", "none", 1): None}, METAS)
    assert table[["strategy", "class_name", "cells", "seen"]].to_numpy().tolist() == [
        ["none", "ground", 1, 0.5],
        ["none", "pole", 1, 0.5],
    ]


def test_nothing_known_gives_no_rows():
    assert seen_table({Cell("d", "m", "dice", "none", 0): None}, METAS).empty


def test_rows_of_the_page_stand_rarest_class_first_and_give_a_range_where_losses_differ(tell, sizes):
    story = tell(sizes(2, 3, 1))
    hard = (story.seen["strategy"] == "class_weights") & (story.seen["class_name"] == "three")
    wide = story.seen.assign(seen_low=story.seen["seen_low"].where(~hard, 0.002))
    rows = seen_rows(story._replace(seen=wide), "digits")
    assert [(row["strategy"], row["cells"]) for row in rows] == [("none", 2), ("class_weights", 2), ("oversample", 2)]
    assert [share["class_name"] for share in rows[0]["shares"]] == ["three", "two", "one", "zero", "background"]
    assert rows[0]["shares"][0] == {"class_name": "three", "train": "0.4 %", "seen": "0.4 %"}
    assert rows[1]["shares"][0]["seen"] == "0.4 % (0.2 to 0.4 %)"

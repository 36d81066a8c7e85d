"""Which datasets stand on a dial, what its table holds, and at what imbalance a remedy is said to pay."""

import numpy as np
import pandas as pd
import pytest

from pipeline.measure.figures.dial import dial_figure
from pipeline.measure.figures.style import png
from pipeline.measure.page.dial import dial_rows, dial_sentences
from pipeline.measure.story import Story
from pipeline.measure.tables.dial import Dial, find_dials


def meta(pixels: list[float], images: list[float], **changes) -> dict:
    classes = ["ground", "car", "pole"][: len(pixels)]
    known = {"kind": "streets", "classes": classes, "image_size": [8, 8]}
    return known | {"pixel_frequency": pixels, "image_frequency": images} | changes


COMMON, RARE = [0.7, 0.2, 0.1], [0.79, 0.2, 0.01]


@pytest.fixture(scope="module")
def turned(tell, sizes) -> Story:
    """Two positions, two losses, three strategies, three seeds."""
    return tell({**sizes(2, 3, 3), "dataset": ["digits", "digits_rare"]})


def test_datasets_that_differ_in_pixels_stand_in_the_order_of_their_share():
    found = find_dials({"rare": meta(RARE, [1, 1, 0.1]), "common": meta(COMMON, [1, 1, 0.5])})
    assert found == [Dial("streets", "pole", "pixels", {"common": 0.1, "rare": 0.01})]
    assert list(found[0].shares) == ["common", "rare"]


def test_images_count_where_the_share_of_pixels_is_the_same():
    """Fewer images with larger objects."""
    (found,) = find_dials({"a": meta(COMMON, [1, 1, 0.5]), "b": meta([0.69, 0.2, 0.11], [1, 1, 0.1])})
    assert (found.quantity, found.shares) == ("images", {"a": 0.5, "b": 0.1})


def test_the_class_of_a_dial_is_the_one_that_changes_most_and_not_the_rarest():
    """Leaving out images with cars leaves poles as rare as they were."""
    (found,) = find_dials({"a": meta([0.69, 0.3, 0.01], [1, 1, 1]), "b": meta([0.89, 0.1, 0.01], [1, 1, 1])})
    assert found.class_name == "car"


@pytest.mark.parametrize(
    "other",
    [
        meta(COMMON, [1, 1, 0.5]),
        meta([0.695, 0.2, 0.105], [1, 1, 0.48]),
        meta(RARE, [1, 1, 0.1], kind="folder"),
        meta(RARE, [1, 1, 0.1], classes=["ground", "car", "sign"]),
        meta(RARE, [1, 1, 0.1], image_size=[16, 16]),
    ],
    ids=["equal", "almost equal", "another kind", "other classes", "another size"],
)
def test_datasets_that_are_not_alike_or_do_not_differ_are_no_dial(other):
    assert find_dials({"a": meta(COMMON, [1, 1, 0.5]), "b": other}) == []


def test_two_dials_of_a_kind_have_names_of_their_own():
    metas = {
        f"{size}_{name}": meta(share, share, image_size=[size, size])
        for size in (8, 16)
        for name, share in (("common", COMMON), ("rare", RARE))
    }
    assert [dial.name for dial in find_dials(metas)] == ["streets", "streets_2"]


def test_the_table_joins_leaderboard_class_and_effect(turned):
    assert turned.dials == [Dial("digits", "three", "pixels", {"digits": 0.004, "digits_rare": 0.0004})]
    assert turned.dial["share"].tolist() == [0.004] * 6 + [0.0004] * 6
    at = ("digits_rare", "dice", "oversample")
    keys = ["dataset", "loss", "strategy"]
    row = turned.dial.set_index(keys).loc[at]
    assert row["miou"] == turned.leaderboard.set_index(keys).loc[at, "miou"]
    of_class = turned.classes[turned.classes["class_name"] == "three"].set_index(keys).loc[at]
    assert row[["iou", "iou_low", "iou_high"]].tolist() == of_class[["iou", "iou_low", "iou_high"]].tolist()
    effect = turned.factorial.effects.set_index(keys).loc[at]
    assert (
        row[["difference", "difference_low", "p_holm", "verdict"]].tolist()
        == effect[["mean", "low", "p_holm", "verdict"]].tolist()
    )
    assert turned.dial.loc[turned.dial["strategy"] == "none", "verdict"].isna().all()


def test_without_a_dial_the_table_has_its_columns_and_no_rows(story, turned):
    assert story.dial.empty
    assert story.dial.columns.tolist() == turned.dial.columns.tolist()


def proven(story: Story, *better: tuple[str, str, str]) -> Story:
    """The story with just these datasets, losses and strategies proven better."""
    rows = list(story.dial[["dataset", "loss", "strategy"]].itertuples(index=False, name=None))
    verdicts = ["better" if row in better else np.nan if row[2] == "none" else "inconclusive" for row in rows]
    return story._replace(dial=story.dial.assign(verdict=pd.Series(verdicts, dtype=object)))


def test_nothing_proven_is_said_to_be_inconclusive(turned):
    (text,) = dial_sentences(proven(turned), turned.dials[0])
    assert "At no position is a strategy proven better than none under the same loss" in text
    assert "inconclusive" in text
    assert {row["better"] for row in dial_rows(proven(turned), turned.dials[0])} == {"none proven"}


def test_the_words_say_from_where_on_a_remedy_is_proven_and_under_which_loss(turned):
    found = proven(
        turned,
        ("digits", "dice", "oversample"),
        ("digits_rare", "dice", "oversample"),
        ("digits_rare", "cross_entropy", "oversample"),
    )
    first, rest = dial_sentences(found, turned.dials[0])
    assert first.startswith("oversample is first proven better than none at 0.4 % (under dice) of the pixels, and also")
    assert "0.04 % (under " in first
    assert rest == "Nowhere proven better: class_weights."


def test_what_is_proven_at_one_position_alone_is_said_so(turned):
    found = proven(turned, ("digits_rare", "dice", "class_weights"))
    assert dial_sentences(found, turned.dials[0])[0] == (
        "class_weights is first proven better than none at 0.04 % (under dice) of the pixels, and nowhere else."
    )


def test_the_rows_have_every_position_and_loss_with_the_difference(turned):
    found = proven(turned, ("digits_rare", "dice", "class_weights"))
    rows = dial_rows(found, turned.dials[0])
    places = [(row["dataset"], row["share of pixels"], row["loss"]) for row in rows]
    assert places == [
        ("digits", "0.4 %", "cross_entropy"),
        ("digits", "0.4 %", "dice"),
        ("digits_rare", "0.04 %", "cross_entropy"),
        ("digits_rare", "0.04 %", "dice"),
    ]
    effect = turned.factorial.effects.set_index(["dataset", "loss", "strategy"]).loc[
        ("digits_rare", "dice", "class_weights")
    ]
    assert rows[3]["better"] == f"class_weights {effect['mean']:+.3f} [{effect['low']:+.3f}, {effect['high']:+.3f}]"


def test_the_figure_has_a_line_per_strategy_in_a_panel_per_loss_and_quantity_rare_to_the_right(turned):
    figure = dial_figure(turned, turned.dials[0], "unet_tiny")
    panels = [axes for axes in figure.axes if axes.lines]
    assert len(panels) == 2 * 2
    for axes in panels:
        assert [line.get_label() for line in axes.lines] == ["none", "class_weights", "oversample"]
        left, right = axes.get_xlim()
        assert left > 0.004 > 0.0004 > right
        assert axes.get_xscale() == "log"
    scores = turned.dial[(turned.dial["loss"] == "cross_entropy") & (turned.dial["strategy"] == "none")]
    assert panels[0].lines[0].get_ydata().tolist() == scores["miou"].tolist()


@pytest.mark.parametrize(("losses", "strategies", "seeds"), [(1, 1, 1), pytest.param(6, 8, 2, marks=pytest.mark.slow)])
def test_a_figure_of_every_size_is_drawn(tell, sizes, losses, strategies, seeds):
    story = tell({**sizes(losses, strategies, seeds), "dataset": ["digits", "digits_rare"]})
    assert png(dial_figure(story, story.dials[0], "unet_tiny")).startswith(b"\x89PNG")

"""The figures, table and sentences of the gradients, of every size and with gaps."""

import pytest

from pipeline.measure.figures.gradients import gradient_classes, gradient_cosines, gradient_norms, rarest_first
from pipeline.measure.figures.style import png
from pipeline.measure.page.gradients import gradient_rows, gradient_sentences
from pipeline.measure.tables.gradients import COLUMNS, END, START, read_gradients, write_gradients
from pipeline.plumbing.cells import Cell

PLACE = ("digits", "unet_tiny")


@pytest.fixture(scope="module")
def with_a_gap(tell, sizes):
    """Of three losses the second diverged."""
    return tell(sizes(3, 1, 1), {Cell(*PLACE, "dice", "none", 0): "diverged at iteration 480"})


def with_norms(story, **changes):
    """The story with other columns in its table of norms."""
    return story._replace(gradients=story.gradients._replace(norms=story.gradients.norms.assign(**changes)))


@pytest.mark.parametrize("draw", [gradient_norms, gradient_classes, gradient_cosines])
@pytest.mark.parametrize("losses", [1, 2, 12])
def test_every_size_is_drawn_twice_alike(tell, sizes, draw, losses):
    story = tell(sizes(losses, 1, 1))
    one, other = (png(draw(story, "streets", "unet_tiny")) for _ in range(2))
    assert one.startswith(b"\x89PNG")
    assert one == other


@pytest.mark.parametrize("draw", [gradient_norms, gradient_classes, gradient_cosines])
def test_no_end_and_no_gradient_at_all_are_drawn(tell, sizes, draw):
    """No loss finished, and one pulls nowhere: neither a warning nor an infinite axis."""
    axes = sizes(2, 1, 1)
    story = tell(axes, {Cell("digits", "unet_tiny", loss, "none", 0): "missing" for loss in axes["loss"]})
    story.gradients.norms.loc[0, "weights_relative":"cosine"] = 0.0
    story.gradients.classes.loc[:4, "gradient_share"] = float("nan")
    assert png(draw(story, *PLACE))


def test_norms_stand_at_their_values_from_start_to_end(with_a_gap):
    start, end = [
        line.get_xdata() for line in gradient_norms(with_a_gap, *PLACE).axes[0].lines if line.get_linestyle() == "None"
    ]
    assert start.tolist() == [1, 0.5, 0.25]
    assert end == pytest.approx([1, float("nan"), 0.05], nan_ok=True)


def test_shares_of_classes_stand_below_those_of_pixels_rarest_first(with_a_gap):
    assert rarest_first(with_a_gap, "digits") == ["three", "two", "one", "zero", "background"]
    panels = gradient_classes(with_a_gap, *PLACE).axes
    start, end = ([text.get_text() for text in axes.texts] for axes in panels[:2])
    assert start[:5] == start[5:10] == ["0.4", "1.1", "2.5", "6", "90"], "pixels, and cross-entropy pulls alike"
    assert start[10] == "4.2"
    assert end[10:15] == ["–"] * 5, "dice has no end"
    image = panels[0].images[0].get_array()
    assert image[1].tolist() == pytest.approx([0] * 5, abs=1e-9)
    assert image[2, 0] > 0 > image[2, 4]


def test_cosines_stand_in_their_cells(with_a_gap):
    texts = [text.get_text() for text in gradient_cosines(with_a_gap, *PLACE).axes[0].texts]
    assert texts == ["1.00", "0.83", "0.67", "0.83", "1.00", "0.83", "0.67", "0.83", "1.00"]


def test_sentences_say_what_the_numbers_mean(with_a_gap):
    (said,) = gradient_sentences(with_a_gap, "digits")
    assert "span a factor of 4, from focal (0.25 times the norm of cross-entropy) to cross_entropy (1 times)" in said
    assert "changes most for focal, from 0.25 to 0.05 times" in said
    assert "The rarest class, three, has 0.4 % of these pixels" in said
    assert "goes from 0.4 % under cross_entropy to 10 % under focal" in said
    assert "Least like cross-entropy in direction is focal, with a cosine of 0.80." in said
    assert said.endswith("Not measured at the end: dice (diverged at iteration 480).")


def test_what_a_span_means_depends_on_the_optimizer(with_a_gap):
    """adamw divides by the size of the gradient, sgd does not."""
    assert "adamw divides" in gradient_sentences(with_a_gap, "digits")[0]
    plain = with_a_gap._replace(fits={"digits": {"optimizer": "sgd"}})
    assert "one learning rate cannot suit all." in gradient_sentences(plain, "digits")[0]


def test_equal_norms_are_called_alike(with_a_gap):
    (said,) = gradient_sentences(with_norms(with_a_gap, weights_relative=1.0), "digits")
    assert said.startswith("At the initial weights the gradients of all losses are alike in norm")
    assert "changes most" not in said


def test_table_has_every_number_and_the_reason_for_a_gap(with_a_gap):
    row = gradient_rows(with_a_gap, "digits")[1]
    assert (row["loss"], row["weights, start"], row["weights, end"]) == ("dice", "0.5", "–")
    assert row["remark"] == "diverged at iteration 480"


def test_without_data_nothing_is_said(nothing_finished):
    assert gradient_sentences(nothing_finished, "digits") == []
    assert gradient_rows(nothing_finished, "digits") == []


def test_tables_come_back_as_they_were_written(with_a_gap, tmp_path):
    """A loss named nan stays text, and what params.yaml no longer names is left out."""
    rows = {name: table.to_dict("records") for name, table in with_a_gap.gradients._asdict().items()}
    rows["norms"].append({"dataset": "digits", "model": "unet_tiny", "loss": "nan", "at": START, "state": ""})
    write_gradients(tmp_path / "gradients", rows)
    axes = {"dataset": ["digits"], "model": ["unet_tiny"], "loss": ["dice", "nan"]}
    found = read_gradients(tmp_path / "gradients", axes)
    assert found.norms[["loss", "at", "state"]].to_numpy().tolist() == [
        ["dice", START, ""],
        ["dice", END, "diverged at iteration 480"],
        ["nan", START, ""],
    ]
    assert found.norms["weights_norm"].tolist() == pytest.approx([0.5, float("nan"), float("nan")], nan_ok=True)
    assert found.cosines["other"].tolist() == ["dice"]


def test_tables_that_are_not_written_yet_are_empty(tmp_path):
    found = read_gradients(tmp_path, {"dataset": [], "model": [], "loss": []})
    assert [list(table) for table in found] == list(COLUMNS)
    assert all(table.empty for table in found)

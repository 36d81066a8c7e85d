"""The reliability diagram shows what the table says."""

import numpy as np
import pytest

from pipeline.measure.figures.reliability import reliability
from pipeline.measure.figures.style import of, png


@pytest.mark.parametrize(("losses", "strategies", "seeds"), [(12, 1, 2), (1, 5, 1), (4, 6, 2)])
def test_every_size_is_drawn(tell, sizes, losses, strategies, seeds):
    assert png(reliability(tell(sizes(losses, strategies, seeds)), "streets", "unet_tiny")).startswith(b"\x89PNG")


@pytest.mark.parametrize(("row", "scaled"), [(0, False), (1, True)])
def test_a_line_goes_through_the_accuracies_of_its_experiment(story, row, scaled):
    figure = reliability(story, "digits", "unet_tiny")
    first = figure.axes[row * 3]  # three strategies side by side
    (line,) = [line for line in first.lines if line.get_label() == "dice"]
    table = of(story.reliability, "digits", "unet_tiny")
    table = table[(table["loss"] == "dice") & (table["strategy"] == "none") & (table["scaled"] == scaled)]
    np.testing.assert_array_equal(line.get_ydata(), table["accuracy"])
    np.testing.assert_array_equal(line.get_xdata(), table["confidence"])


def test_every_loss_is_in_the_legend_once(story):
    labels = [text.get_text() for text in reliability(story, "digits", "unet_tiny").legends[0].get_texts()]
    assert labels == ["cross_entropy", "dice", "focal"]


def test_a_strategy_without_a_finished_cell_has_no_panel(story):
    """Nothing would be in it."""
    known = story.reliability[story.reliability["strategy"] != "oversample"]
    figure = reliability(story._replace(reliability=known), "digits", "unet_tiny")
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == ["none", "class_weights"]

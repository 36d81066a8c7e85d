"""Gains by class follow from the table of classes, rare ones at the left."""

import numpy as np
import pytest

from pipeline.measure.figures.frequency import class_gains
from pipeline.measure.figures.style import png


def panels(figure):
    return {axes.get_title(): axes for axes in figure.axes if axes.get_title()}


def test_lines_are_differences_from_the_control_by_share_of_pixels(story):
    rows = story.classes[story.classes["dataset"] == "digits"].sort_values("train_frequency")
    of_pair = {pair: each["iou"].to_numpy() for pair, each in rows.groupby(["loss", "strategy"])}
    lines = {line.get_label(): line for line in panels(class_gains(story, "digits", "unet_tiny"))["oversample"].lines}
    shares, gains = lines["dice"].get_data()
    assert shares.tolist() == [0.004, 0.011, 0.025, 0.06, 0.9]
    expected = of_pair["dice", "oversample"] - of_pair["cross_entropy", "none"]
    assert np.asarray(gains) == pytest.approx(expected)


def test_the_control_is_zero_and_has_no_line(story):
    axes = panels(class_gains(story, "digits", "unet_tiny"))["none"]
    assert "cross_entropy" not in {line.get_label() for line in axes.lines}


def test_the_legend_has_every_loss_once_in_the_order_of_params(story):
    (legend,) = class_gains(story, "digits", "unet_tiny").legends
    assert [text.get_text() for text in legend.get_texts()] == ["cross_entropy", "dice", "focal"]


@pytest.mark.parametrize(("losses", "strategies", "seeds"), [(12, 1, 2), (1, 5, 1), (1, 1, 1)])
def test_every_size_is_drawn(tell, sizes, losses, strategies, seeds):
    assert png(class_gains(tell(sizes(losses, strategies, seeds)), "streets", "unet_tiny")).startswith(b"\x89PNG")

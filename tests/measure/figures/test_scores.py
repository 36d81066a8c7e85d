"""Figures of every size are drawn without a warning, and colours keep their promises."""

import numpy as np
import pytest

from pipeline.measure.figures import scores as figures
from pipeline.measure.figures.colours import BLACK, VOID, WRONG, class_colours, painted
from pipeline.measure.figures.gallery import errors, gallery
from pipeline.measure.figures.style import axes_of, ink, line_styles, png
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.labels import IGNORE


@pytest.mark.parametrize("draw", [figures.heatmap, figures.curves, figures.class_scores])
@pytest.mark.parametrize(("losses", "strategies", "seeds"), [(12, 1, 2), (1, 5, 1), (4, 6, 2)])
def test_every_size_is_drawn(tell, sizes, draw, losses, strategies, seeds):
    story = tell(sizes(losses, strategies, seeds))
    assert png(draw(story, "streets", "unet_tiny")).startswith(b"\x89PNG")


def test_equal_figures_give_equal_bytes(story):
    one, other = (png(figures.heatmap(story, "digits", "unet_tiny")) for _ in range(2))
    assert one == other
    assert b"matplotlib" not in one


def test_heatmap_says_what_did_not_finish(tell, sizes):
    diverged, missing = (Cell("digits", "unet_tiny", "cross_entropy", "class_weights", seed) for seed in (0, 1))
    story = tell(sizes(1, 2, 2), {diverged: "diverged at iteration 3", missing: "missing"})
    texts = [text.get_text() for text in figures.heatmap(story, "digits", "unet_tiny").axes[0].texts]
    assert texts[1] == "diverged\nmissing"


def test_heatmap_shows_the_interval_beside_the_mean(story):
    row = story.leaderboard.set_index(["dataset", "loss", "strategy"]).loc[("digits", "focal", "oversample")]
    texts = [text.get_text() for text in figures.heatmap(story, "digits", "unet_tiny").axes[0].texts]
    assert texts[8] == f"{row['miou']:.3f}\n[{row['miou_low']:.3f}, {row['miou_high']:.3f}]"


def test_heatmap_of_one_seed_has_no_interval(one_seed):
    (text,) = figures.heatmap(one_seed, "digits", "unet_tiny").axes[0].texts
    assert text.get_text() == f"{one_seed.leaderboard['miou'].iloc[0]:.3f}"


@pytest.mark.slow  # half a minute of drawing
def test_texts_of_a_large_heatmap_stay_within_their_fields(tell, sizes):
    """Ten losses by eight strategies, the longest numbers."""
    figure = figures.heatmap(tell(sizes(10, 8, 2)), "streets", "unet_tiny")
    png(figure)  # puts everything in its place
    axes = figure.axes[0]
    (left, _), (right, _) = axes.transData.transform([(0, 0), (1, 0)])
    assert max(text.get_window_extent().width for text in axes.texts) < right - left


def test_curves_have_no_panel_for_what_trains_nothing(story):
    """A reused cell has no history."""
    trained = story.curves[story.curves["strategy"] != "oversample"]
    figure = figures.curves(story._replace(curves=trained), "digits", "unet_tiny")
    assert [axes.get_title() for axes in figure.axes if axes.get_title()] == ["none", "class_weights"]


def test_control_is_black_and_no_two_losses_look_alike(tell, sizes):
    styles = line_styles(tell(sizes(12, 1, 1)))
    assert styles["cross_entropy"]["color"] == BLACK
    assert len({tuple(style.values()) for style in styles.values()}) == 12
    assert len({style["marker"] for style in styles.values()}) == 12


def test_strategies_have_styles_of_their_own(tell, sizes):
    styles = line_styles(tell(sizes(1, 8, 1)), "strategy")
    assert styles["none"]["color"] == BLACK
    assert len({tuple(style.values()) for style in styles.values()}) == 8


@pytest.mark.parametrize("level", np.linspace(0, 1, 9))
def test_ink_is_readable_on_every_grey(level):
    text = 0.0 if ink((level, level, level)) == "black" else 1.0
    luminance = level / 12.92 if level <= 0.04045 else ((level + 0.055) / 1.055) ** 2.4
    lighter, darker = max(luminance, text), min(luminance, text)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5  # the contrast that WCAG 2 asks for


def test_errors_tell_void_wrong_and_correct():
    image = np.full((1, 3, 3), 100, np.uint8)
    truth, predicted = np.array([[IGNORE, 1, 2]], np.uint8), np.array([[0, 0, 2]], np.uint8)
    void, wrong, correct = errors(image, truth, predicted)[0]
    assert (void == VOID).all()
    assert (wrong == WRONG).all()
    assert correct.tolist() == [200, 200, 200]


def test_colours_of_classes():
    colours = class_colours(22)
    assert len(np.unique(colours, axis=0)) == 22
    assert not (colours == WRONG).all(axis=1).any()
    assert class_colours(200).shape == (200, 3)
    assert (painted(np.array([[1, IGNORE]]), 2)[0] == [colours[1], VOID]).all()


def test_gallery_says_where_a_prediction_is_lacking(story):
    shown = story.gallery[0]
    some = shown._replace(predictions=dict(list(shown.predictions.items())[1:]))
    figure = gallery(some, "unet_tiny", *axes_of(story))
    assert [text.get_text() for text in figure.axes[0].texts].count("no prediction") == 1

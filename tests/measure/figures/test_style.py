"""What figures of many panels share."""

import pytest

from pipeline.measure.figures.style import leftmost, legend, present, small_multiples


@pytest.mark.parametrize(("names", "rows", "expected"), [(3, 2, [0]), (4, 1, [0]), (6, 1, [0, 4]), (9, 2, [0, 4, 8])])
def test_leftmost_are_the_first_axes_of_each_row_of_names(names, rows, expected):
    """At most four names stand side by side."""
    _, grid = small_multiples([str(name) for name in range(names)], rows, height=1)
    assert sorted(grid.index(next(column for column in grid if axes in column)) for axes in leftmost(grid)) == expected
    assert all(axes in [column[0] for column in grid] for axes in leftmost(grid))


def test_the_legend_is_in_the_order_of_params_though_the_first_panel_lacks_a_loss(story):
    figure, grid = small_multiples(["none", "oversample"], 1, height=1)
    for column, losses in zip(grid, (["focal"], ["dice", "focal"]), strict=True):
        for loss in losses:
            column[0].plot([0, 1], label=loss)
    legend(figure, story)
    (drawn,) = figure.legends
    assert [text.get_text() for text in drawn.get_texts()] == ["dice", "focal"]
    assert drawn.get_title().get_text() == "loss"


def test_the_legend_may_name_strategies(story):
    figure, ((axes,),) = small_multiples(["dice"], 1, height=1)
    for strategy in ("oversample", "none"):
        axes.plot([0, 1], label=strategy)
    legend(figure, story, "strategy")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["none", "oversample"]


def test_present_are_those_with_a_row(story):
    board = story.leaderboard
    assert present(story, board[board["loss"] != "dice"], "loss") == ["cross_entropy", "focal"]
    assert present(story, board, "strategy") == ["none", "class_weights", "oversample"]

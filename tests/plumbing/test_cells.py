"""Cells: their names and their order."""

import pytest

from pipeline.plumbing.cells import AXES, NAME, Cell, combinations

CELL = Cell("digits", "unet_tiny", "focal_g5", "class_weights", 3)


def test_a_cell_is_named_by_its_axes_in_order():
    """The name of its directory, and behind `train@` that of its stage."""
    assert CELL.name == "digits-unet_tiny-focal_g5-class_weights-3"
    assert CELL.stage == "train@digits-unet_tiny-focal_g5-class_weights-3"
    assert Cell._fields == AXES


def test_an_experiment_is_a_cell_without_its_seed():
    """A row of the leaderboard."""
    assert CELL.experiment == CELL._replace(seed=4).experiment == ("digits", "unet_tiny", "focal_g5", "class_weights")


@pytest.mark.parametrize("name", [CELL.name, CELL.stage])
def test_a_name_is_parsed_to_its_cell(name):
    """Of a directory or of a stage; the seed is a number."""
    assert Cell.parse(name) == CELL


@pytest.mark.parametrize(
    "name", ["", "digits", "a-b-c-d", "a-b-c-d-e", "a-b-c-d-0-1", "a-b-c-d-", "train", "a-b-c-d-1.0"]
)
def test_what_is_no_name_of_a_cell_is_refused(name):
    """Too few or too many parts, or a seed that is no number."""
    with pytest.raises(ValueError, match=r"unpack|invalid literal"):
        Cell.parse(name)


def test_combinations_are_all_cells_in_the_order_of_the_file():
    """The last axis runs fastest."""
    axes = {"dataset": ["d"], "model": ["m"], "loss": ["b", "a"], "strategy": ["s"], "seed": ["1", "0"]}
    assert [cell.name for cell in combinations(axes)] == ["d-m-b-s-1", "d-m-b-s-0", "d-m-a-s-1", "d-m-a-s-0"]


def test_every_combination_has_another_name_and_is_parsed_back():
    """Names without a dash cannot run into each other."""
    names = ["a", "a_b", "_", "1"]
    assert all(NAME.fullmatch(name) for name in names)
    cells = combinations(dict.fromkeys(AXES[:4], names) | {"seed": ["0", "1"]})
    assert len({cell.name for cell in cells}) == len(cells) == 4**4 * 2
    assert [Cell.parse(cell.name) for cell in cells] == cells

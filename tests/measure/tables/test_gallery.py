"""Which test images the gallery shows, and what of them."""

import numpy as np
import pandas as pd
import pytest

from pipeline.measure.tables.gallery import COLUMNS, first_seeds, gallery_table, shown_images
from pipeline.plumbing.cells import Cell
from tests.measure.recorded import CLASSES, record_dataset, record_masks
from tests.measure.tables.measuring import measured_cells, region

LOSSES = {("cross_entropy", "none"): [[2, 2, 5, 3]], ("dice", "none"): [[2, 4, 1, 3]]}
"""Pixels that are right, of 5 in each class of four images: IoU 2/8, 2/8, 1, 3/7 and 2/8, 4/6, 1/9, 3/7."""


@pytest.fixture(autouse=True)
def prepared(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    record_dataset("digits", groups=[""] * 4)


def test_the_image_on_which_experiments_differ_most_comes_first():
    """Of two values the standard deviation is half their difference."""
    rows = gallery_table(measured_cells(LOSSES), "digits", 2)
    assert rows[["dataset", "image", "name"]].to_numpy().tolist() == [["digits", 2, "2.png"], ["digits", 1, "1.png"]]
    assert rows["disagreement"].tolist() == pytest.approx([(1 - 1 / 9) / 2, (4 / 6 - 2 / 8) / 2])


def test_equal_images_stand_in_their_order():
    rows = gallery_table(measured_cells(LOSSES), "digits", 100)
    assert rows["image"].tolist() == [2, 1, 0, 3]
    assert rows["disagreement"].tolist()[2:] == [0, 0]


def test_an_image_of_void_alone_comes_last_and_is_no_obstacle():
    tables = [np.concatenate([region(right, 5) for right in each]) for each in ([2, 1, 4, 2], [3, 1, 4, 2])]
    for table in tables:
        table[1] = 0
    cells = measured_cells(dict(zip(LOSSES, ([table] for table in tables), strict=True)))
    assert gallery_table(cells, "digits", 4)["disagreement"].tolist() == pytest.approx([(3 / 7 - 2 / 8) / 2, 0, 0, 0])


def test_one_experiment_differs_from_none():
    cells = measured_cells({("dice", "none"): [[2, 4, 1, 3], [1, 1, 1, 1]]})
    assert gallery_table(cells, "digits", 4).empty


def test_an_experiment_that_diverged_is_left_out():
    diverged = {("focal", "none"): [None], ("l1", "none"): [None]}
    cells = measured_cells(LOSSES | diverged)
    pd.testing.assert_frame_equal(gallery_table(cells, "digits", 4), gallery_table(measured_cells(LOSSES), "digits", 4))
    assert [cell.loss for cell in first_seeds(cells, "digits")] == ["cross_entropy", "dice"]


def test_an_experiment_is_shown_by_its_first_seed_that_finished():
    cells = measured_cells({("dice", "none"): [None, [1, 2, 3, 4], [5, 5, 5, 5]]})
    assert first_seeds(cells, "digits") == [Cell("digits", "unet", "dice", "none", 1)]


def test_nothing_finished_adds_no_row_to_that_of_other_datasets():
    """And leaves the numbers of theirs numbers."""
    nothing = gallery_table(measured_cells({pair: [None] for pair in LOSSES}), "digits", 4)
    both = pd.concat([nothing, gallery_table(measured_cells(LOSSES), "digits", 1)])
    assert both.to_numpy().tolist() == [["digits", 2, "2.png", pytest.approx(4 / 9)]]
    assert both.dtypes[["image", "disagreement"]].tolist() == [np.dtype(int), np.dtype(float)]
    assert list(nothing.columns) == COLUMNS


def test_each_experiment_shows_what_it_predicts_of_the_chosen_images():
    cells = measured_cells(LOSSES)
    for value, cell in enumerate(cells):
        masks = np.arange(4, dtype=np.uint8)[:, None, None] * 10 + value + np.zeros((4, 4, 6), np.uint8)
        record_masks(cell, masks)
    chosen = gallery_table(cells, "digits", 2)
    first, second = shown_images(chosen, cells, {"digits": CLASSES}, {"digits": "all digits"})
    assert (first.dataset, first.name, first.classes) == ("all digits", "2.png", CLASSES)
    assert first.image.shape == (4, 6, 3)
    assert (first.image.max(), second.image.max()) == (2, 1)
    assert [mask.max() for mask in first.predictions.values()] == [20, 21]
    assert [mask.max() for mask in second.predictions.values()] == [10, 11]
    assert list(first.predictions) == list(cells)


def test_no_chosen_image_needs_no_file():
    assert shown_images(pd.DataFrame(columns=COLUMNS), {}, {}, {}) == []

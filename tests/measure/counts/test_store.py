"""What is written of a cell is what is read, and the same bytes at any time."""

import numpy as np
import pandas as pd
import pytest

from pipeline.measure.counts.calibration import IN_A_BIN
from pipeline.measure.counts.store import Counts, read_counts, write_counts
from tests.measure.metrics.cells import COST, nothing_known, random_cell

EVALUATION = {"temperature": 1.25, "size": "prepared", "tolerance": 2.0, "decision": {"offsets": [0.1, -0.2, 0.0]}}


@pytest.fixture
def counts() -> Counts:
    """Some classes are nowhere, so distances are NaN; half of the bins are empty."""
    cell = random_cell(images=7, classes=3)
    cell.bins[np.random.default_rng(1).random(cell.bins.shape[:-1]) < 0.5] = 0
    return cell._replace(evaluation=EVALUATION)


def assert_same(found: Counts, expected: Counts) -> None:
    for part in ("classes", "images"):
        columns, stored = getattr(expected, part), getattr(found, part)
        assert list(stored) == list(columns)
        for name, column in columns.items():
            np.testing.assert_array_equal(stored[name], column, err_msg=name)
            assert stored[name].dtype == column.dtype
    np.testing.assert_array_equal(found.bins, expected.bins)
    assert (found.evaluation, found.cost) == (expected.evaluation, expected.cost)


def test_what_is_written_is_read(counts, tmp_path):
    assert np.isnan(counts.classes["hd95"]).any()
    write_counts(tmp_path / "cell", counts)
    assert_same(read_counts(tmp_path / "cell", COST), counts)


@pytest.mark.parametrize(("images", "classes"), [(1, 2), (1, 1), (5, 19)])
def test_any_number_of_images_and_classes_is_read(tmp_path, images, classes):
    cell = random_cell(images, classes)._replace(evaluation=EVALUATION)
    write_counts(tmp_path / "cell", cell)
    assert_same(read_counts(tmp_path / "cell", COST), cell)


def test_a_split_of_void_has_no_bins_and_is_read(tmp_path):
    cell = nothing_known()._replace(evaluation=EVALUATION, cost=COST)
    write_counts(tmp_path / "cell", cell)
    assert pd.read_parquet(tmp_path / "cell" / "bins.parquet").empty
    assert_same(read_counts(tmp_path / "cell", COST), cell)


def test_only_bins_that_hold_a_pixel_are_stored_each_with_its_place(counts, tmp_path):
    """The first of the classes is the top label, -1."""
    write_counts(tmp_path / "cell", counts)
    table = pd.read_parquet(tmp_path / "cell" / "bins.parquet")
    assert len(table) == np.count_nonzero(counts.bins[..., 0])
    for row in table.sample(20, random_state=0).to_dict("records"):
        expected = counts.bins[int(row["scaled"]), row["image"], row["class_index"] + 1, row["bin"]]
        assert [row[name] for name in IN_A_BIN] == expected.tolist()


def test_the_tables_can_be_read_without_this_project(counts, tmp_path):
    """A row per image and class, told by their indices."""
    write_counts(tmp_path / "cell", counts)
    table = pd.read_parquet(tmp_path / "cell" / "classes.parquet").set_index(["image", "class_index"])
    assert table.loc[(4, 1), "tp"] == counts.classes["tp"][4, 1]
    assert pd.read_parquet(tmp_path / "cell" / "images.parquet")["image"].tolist() == list(range(7))


def test_equal_counts_give_equal_bytes(counts, tmp_path):
    """Or DVC would take an unchanged cell for a new one."""
    for name in ("one", "other"):
        write_counts(tmp_path / name, counts)
    one, other = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("one", "other"))
    assert one == other
    assert sorted(one) == ["bins.parquet", "classes.parquet", "evaluation.json", "images.parquet"]


def test_counts_never_mix_with_older_ones(counts, tmp_path):
    write_counts(tmp_path / "cell", counts)
    with pytest.raises(FileExistsError):
        write_counts(tmp_path / "cell", counts)

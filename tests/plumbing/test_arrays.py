"""Arrays of a prepared dataset, whole and otherwise."""

import numpy as np
import pytest

from pipeline.plumbing.arrays import open_array
from pipeline.plumbing.errors import UserError


@pytest.fixture
def file(tmp_path):
    np.save(tmp_path / "train_masks.npy", np.arange(2000, dtype=np.uint8).reshape(20, 10, 10))
    return tmp_path / "train_masks.npy"


def test_a_whole_array_is_opened_and_cannot_be_changed(file):
    found = open_array(file)
    assert np.array_equal(found, np.load(file))
    with pytest.raises(ValueError, match="read-only"):
        found[:] = 0


@pytest.mark.parametrize("left", [0, 5, 100, 1000], ids=lambda left: f"{left} bytes")
def test_a_cut_array_is_one_sentence(file, left):
    """Without a byte, in the mark of the format, in its header, and among the numbers."""
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(
        UserError, match=r"train_masks\.npy: cut or damaged \(.*\)\. Run `dvc repro prepare`, which brings"
    ):
        open_array(file)


@pytest.mark.parametrize(
    "content", [b"\0" * 4096, b"PK\x03\x04" + b"\0" * 100, b"not an array"], ids=["zeros", "zip", "text"]
)
def test_what_is_no_array_is_one_sentence(file, content):
    file.write_bytes(content)
    with pytest.raises(UserError, match="cut or damaged"):
        open_array(file)


def test_an_array_of_objects_is_not_run(file):
    """Reading one would run whatever it holds."""
    np.save(file, np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match="cut or damaged"):
        open_array(file)


def test_a_missing_array_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(UserError, match=r"absent\.npy: missing\. Run `dvc repro prepare`\.$"):
        open_array(tmp_path / "absent.npy")

import gc

import numpy as np
import pytest

from pipeline.plumbing import prepared
from pipeline.plumbing.files import write_json
from pipeline.plumbing.labels import IGNORE

SIZES = [(20, 60), (10, 20), (15, 30)]


@pytest.fixture
def masks() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.choice([0, 1, 7, IGNORE], size).astype(np.uint8) for size in SIZES]


@pytest.fixture
def folder(tmp_path, masks):
    """Three test images prepared at 10 x 20 pixels, which the second one had from the beginning."""
    np.save(
        tmp_path / "test_masks.npy", np.stack([np.zeros((10, 20), np.uint8), masks[1], np.ones((10, 20), np.uint8)])
    )
    write_json(tmp_path / "about.json", {"spacing": [2.0, 0.5], "unit": "mm"})
    write_json(tmp_path / "meta.json", {"image_size": [10, 20]})
    names = ["a, or not", "b", "c"]
    images = [
        prepared.Original(name, "x" if name == "b" else "", *size) for name, size in zip(names, SIZES, strict=True)
    ]
    prepared.write_test_images(tmp_path, images)
    prepared.write_original_masks(tmp_path, {place: prepared.encoded(masks[place]) for place in (0, 2)})
    return tmp_path


def test_original_masks_come_back_as_they_were(folder, masks):
    read = prepared.read_test_masks(folder, "original")
    assert len(read) == 3
    for place, mask in enumerate(masks):
        np.testing.assert_array_equal(read[place], mask)
        assert read[place].dtype == np.uint8
    np.testing.assert_array_equal(read[-1], masks[2])
    assert [mask.shape for mask in read] == SIZES


def test_a_place_that_does_not_exist_is_an_error(folder):
    """Without it, iteration would not end."""
    with pytest.raises(IndexError):
        prepared.read_test_masks(folder, "original")[3]


def test_the_file_is_closed_with_its_reader(folder):
    """Warnings are errors, also that of an open file that was forgotten."""
    read = prepared.read_test_masks(folder, "original")
    assert read[0].shape == (20, 60)
    del read
    gc.collect()


def test_prepared_masks_are_those_of_the_array(folder):
    read = prepared.read_test_masks(folder, "prepared")
    np.testing.assert_array_equal(read, np.load(folder / "test_masks.npy"))


def test_where_none_was_resized_both_sizes_are_the_same(folder):
    (folder / "test_original_masks.zip").unlink()
    prepared.write_original_masks(folder, {})
    assert not (folder / "test_original_masks.zip").exists()
    np.testing.assert_array_equal(prepared.read_test_masks(folder, "original"), np.load(folder / "test_masks.npy"))


def test_an_image_without_a_group_is_its_own(folder):
    """Names may hold what separates columns."""
    assert prepared.read_test_groups(folder) == ["a, or not", "x", "c"]


def test_an_original_pixel_has_the_spacing_that_was_given(folder):
    assert prepared.read_test_spacing(folder, "original") == [(2.0, 0.5)] * 3


def test_a_prepared_pixel_covers_what_was_resized_into_it(folder):
    """By hand: of 20 x 60 pixels 2 x 3 became one, which is 4 mm high and 1.5 mm wide."""
    assert prepared.read_test_spacing(folder, "prepared") == [(4.0, 1.5), (2.0, 0.5), (3.0, 0.75)]


def test_an_image_covers_as_much_at_both_sizes(folder):
    for (height, width), size in zip(prepared.read_test_spacing(folder, "prepared"), SIZES, strict=True):
        assert (height * 10, width * 20) == (2.0 * size[0], 0.5 * size[1])


def test_what_scoring_rests_on_changes_with_the_spacing(folder):
    """At both sizes: distances are in its unit."""
    before = [prepared.scoring_basis(folder, size) for size in ("prepared", "original")]
    write_json(folder / "about.json", {"spacing": [2.0, 0.6], "unit": "mm"})
    after = [prepared.scoring_basis(folder, size) for size in ("prepared", "original")]
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert after == [prepared.scoring_basis(folder, size) for size in ("prepared", "original")]


@pytest.mark.parametrize(("size", "moved"), [("prepared", False), ("original", True)])
def test_original_masks_matter_where_they_are_read(folder, masks, size, moved):
    before = prepared.scoring_basis(folder, size)
    prepared.write_original_masks(folder, {0: prepared.encoded(masks[0]), 2: prepared.encoded(masks[2] * 0)})
    assert (prepared.scoring_basis(folder, size) != before) is moved
    (folder / "test_original_masks.zip").unlink()
    assert (prepared.scoring_basis(folder, size) != before) is moved


def test_written_twice_is_equal_byte_for_byte(folder, masks, tmp_path_factory):
    """A stage whose output changes by the clock would make all that follows run again."""
    again = tmp_path_factory.mktemp("again")
    prepared.write_original_masks(again, {place: prepared.encoded(masks[place]) for place in (0, 2)})
    name = "test_original_masks.zip"
    assert (again / name).read_bytes() == (folder / name).read_bytes()

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.datasets.base import SPLITS, Dataset, listed, read_image, read_mask, split_in_three, split_off
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.labels import IGNORE


@given(st.lists(st.integers(0, 4), min_size=3, max_size=60), st.floats(0.05, 0.9), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_a_split_is_a_partition_however_small_the_strata(strata, share, seed):
    rest, part = split_off(strata, share, seed)
    assert sorted(rest + part) == list(range(len(strata)))
    assert rest
    assert part


def test_a_split_keeps_the_proportions_of_strata():
    strata = ["common"] * 80 + ["rare"] * 20
    splits = split_in_three(strata, 0.2, 0.4, seed=3)
    rare = {split: sum(strata[i] == "rare" for i in splits[split]) for split in SPLITS}
    assert {split: len(splits[split]) for split in SPLITS} == {"train": 40, "val": 20, "test": 40}
    assert rare == {"train": 8, "val": 4, "test": 8}


def test_a_split_depends_on_the_seed_alone():
    assert split_off("aabbccddee" * 3, 0.3, 1) == split_off("aabbccddee" * 3, 0.3, 1)
    assert split_off("aabbccddee" * 3, 0.3, 1) != split_off("aabbccddee" * 3, 0.3, 2)


def test_a_single_sample_cannot_be_split():
    with pytest.raises(UserError, match="1 samples cannot be split"):
        split_off(["a"], 0.5, 0)


class Three(Dataset):
    """Three classes, and no sample."""

    classes: list[str] = ["ground", "common", "rare"]


def held_pixels() -> np.ndarray:
    """`n classes` for 100 images: all hold ground, 60 hold common, 30 hold rare."""
    rng = np.random.default_rng(0)
    held = np.array([np.arange(100) < count for count in (100, 60, 30)]).T
    return rng.permuted(held, axis=0) * rng.integers(1, 9, size=(100, 3))


@pytest.mark.parametrize(("share", "count"), [(1.0, 30), (0.5, 15), (0.1, 3), (0.07, 3), (0.01, 1), (1e-6, 1)])
def test_a_share_of_the_images_with_a_class_is_kept_and_at_least_one(share, count):
    """Rounded up; images without the class all stay."""
    pixels = held_pixels()
    rows = Three(keep={"rare": share}).kept(pixels)
    assert (pixels[rows, 2] > 0).sum() == count
    assert (pixels[rows, 2] == 0).sum() == 70


def test_whole_numbers_are_not_rounded_up():
    """0.07 times 100 is a little more than 7 in floating point."""
    assert len(Three(keep={"ground": 0.07}).kept(held_pixels())) == 7


def test_a_smaller_share_is_a_subset_of_a_larger():
    """So that a sweep compares sets of images that grow, not different ones."""
    pixels = held_pixels()
    sets = [set(Three(keep={"rare": share, "common": 0.8}).kept(pixels).tolist()) for share in (0.05, 0.2, 0.6, 1.0)]
    assert sets[0] < sets[1] < sets[2] < sets[3]


def test_an_image_goes_if_any_class_gives_it_up():
    """Whatever the order in which the classes are named."""
    pixels, shares = held_pixels(), {"rare": 0.2, "common": 0.5}
    alone = [set(Three(keep={name: share}).kept(pixels).tolist()) for name, share in shares.items()]
    for names in (["rare", "common"], ["common", "rare"]):
        both = Three(keep={name: shares[name] for name in names}).kept(pixels)
        assert set(both.tolist()) == alone[0] & alone[1]


def test_what_is_kept_is_random():
    """Neighbours in a video hold the same things, so the first ones would be a poor sample; each class draws its own."""
    pixels = np.ones((100, 3), int)
    drawn = [Three(keep={name: 0.2}).kept(pixels) for name in ("rare", "common")]
    assert all(4 < (rows < 50).sum() < 16 for rows in drawn)
    assert drawn[0].tolist() != drawn[1].tolist()


def test_long_lists_end_with_the_number_left_out():
    assert listed("abc") == "a, b, c"
    assert listed(range(60), most=2) == "0, 1, and 58 more"


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "LA", "CMYK", "1"])
def test_images_of_any_8_bit_mode_become_rgb(tmp_path, mode):
    suffix = ".tif" if mode == "CMYK" else ".png"
    Image.new("RGB", (4, 3), (255, 255, 255)).convert(mode).save(tmp_path / f"image{suffix}")
    pixels = read_image(tmp_path / f"image{suffix}")
    assert pixels.shape == (3, 4, 3)
    assert pixels.min() == 255


def test_transparency_of_a_palette_is_dropped(tmp_path):
    image = Image.new("P", (2, 2))
    image.putpalette([10, 20, 30])
    image.save(tmp_path / "image.png", transparency=b"\x80")
    assert read_image(tmp_path / "image.png")[0, 0].tolist() == [10, 20, 30]


def test_exif_orientation_is_not_applied(tmp_path):
    image = Image.new("RGB", (4, 3))
    image.getexif()[274] = 6
    image.save(tmp_path / "image.jpg", exif=image.getexif())
    assert read_image(tmp_path / "image.jpg").shape == (3, 4, 3)


def test_sixteen_bit_images_are_refused(tmp_path):
    Image.fromarray(np.zeros((2, 2), np.uint16)).save(tmp_path / "image.png")
    with pytest.raises(ValueError, match="more than 8 bits"):
        read_image(tmp_path / "image.png")


@pytest.mark.parametrize("keep", [0, 5, 40, 200])
def test_damaged_files_are_named(tmp_path, keep):
    path = tmp_path / "image.png"
    noise = np.random.default_rng(0).integers(256, size=(20, 20, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"image\.png: "):
        read_image(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.png: No such file"):
        read_image(tmp_path / "none.png")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_mask_values_are_replaced(tmp_path, dtype):
    Image.fromarray(np.array([[1, 2], [3, 2]], dtype)).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", {1: 1, 2: 0, 3: IGNORE}).tolist() == [[1, 0], [IGNORE, 0]]


def test_black_and_white_masks_are_0_and_1(tmp_path):
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", {0: 0, 1: 1}).tolist() == [[1, 0]]


def test_palette_masks_are_read_by_index(tmp_path):
    mask = Image.fromarray(np.array([[0, 2], [1, 2]], np.uint8)).convert("P")
    mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    mask.save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png", {0: 0, 1: 1, 2: 2}).tolist() == [[0, 2], [1, 2]]


def test_unknown_mask_values_are_listed_with_the_allowed_ones(tmp_path):
    Image.fromarray(np.array([[0, 7], [9, 1]], np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(ValueError, match="holds the values 7, 9; allowed are 0, 1, 255"):
        read_mask(tmp_path / "mask.png", {0: 0, 1: 1, 255: IGNORE})


def test_colour_masks_are_refused(tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "mask.png")
    with pytest.raises(ValueError, match="one channel of class indices, this file is RGB"):
        read_mask(tmp_path / "mask.png", {0: 0})

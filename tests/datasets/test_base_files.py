import numpy as np
import pytest
from PIL import Image

from pipeline.datasets.base_files import read_image, read_mask
from pipeline.plumbing.labels import IGNORE


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

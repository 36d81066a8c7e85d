import struct
import zipfile
import zlib
from contextlib import nullcontext

import numpy as np
import pytest

from pipeline import prepare
from pipeline.plumbing import prepared
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import read_json
from tests.toy_dataset import Toy, Usage, faulty, prepared_toy


@pytest.fixture
def toy(tmp_path):
    return prepared_toy(tmp_path, "toy")


def test_room_is_needed_for_the_original_masks(toy, monkeypatch, tmp_path):
    """To the byte where all of them are looked at, as with 5 test images."""
    with zipfile.ZipFile(toy / "test_original_masks.zip") as archive:
        originals = sum(entry.file_size for entry in archive.infolist())
    for free, enough in ((originals, True), (originals - 1, False)):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: Usage(20 * 20 * 30 * 4 + free))
        with nullcontext() if enough else pytest.raises(UserError, match=r"needs .* GB"):
            prepare.check_space(tmp_path, Toy(image_size=[20, 30]), Toy().samples(tmp_path))


def test_the_room_is_estimated_from_what_can_be_read(monkeypatch, tmp_path):
    """Bad samples are reported later, all at once."""
    faulty(monkeypatch, {f"test {index}": OSError("gone") for index in range(4)})
    assert prepare.room_for_originals(Toy(image_size=[20, 30]), Toy().samples(tmp_path)["test"]) > 0


def test_the_original_masks_are_those_of_the_files(toy):
    """Read back at the size that `load` gives, from which the prepared ones were made."""
    read = prepared.read_test_masks(toy, "original")
    assert len(read) == 5
    for index, mask in enumerate(read):
        np.testing.assert_array_equal(mask, Toy().load(f"test {index}")[1])


def test_original_masks_are_kept_of_resized_images_alone(monkeypatch, tmp_path):
    """Of five test images two have another size than the prepared one; the others are read from the arrays."""

    def larger(image, mask):
        return np.pad(image, [(0, 40), (0, 0), (0, 0)]), np.pad(mask, [(0, 40), (0, 0)])

    faulty(monkeypatch, {"test 1": larger, "test 4": larger})
    out = prepared_toy(tmp_path, "mixed", image_size=[40, 60])
    with zipfile.ZipFile(out / "test_original_masks.zip") as archive:
        assert archive.namelist() == ["1.png", "4.png"]
    read = prepared.read_test_masks(out, "original")
    for index in range(5):
        np.testing.assert_array_equal(read[index], Toy().load(f"test {index}")[1])
    assert [image.height for image in prepared.read_test_images(out)] == [40, 80, 40, 40, 80]


def test_nothing_is_kept_of_masks_that_had_the_prepared_size(tmp_path):
    out = prepared_toy(tmp_path, "same", image_size=[40, 60])
    assert not (out / "test_original_masks.zip").exists()
    np.testing.assert_array_equal(prepared.read_test_masks(out, "original"), np.load(out / "test_masks.npy"))


def test_a_large_original_mask_is_read_without_a_warning(toy):
    """Pillow warns of a bomb from 89 megapixels on; here nothing is wrong but that the pixels are missing."""
    header = struct.pack(">IIBBBBB", 10_000, 9_000, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b""))]
    png = b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
    with zipfile.ZipFile(toy / "test_original_masks.zip", "w") as archive:
        archive.writestr("0.png", b"\x89PNG\r\n\x1a\n" + png)
    with pytest.raises(OSError, match="truncated"):
        prepared.read_test_masks(toy, "original")[0]


def test_the_group_of_each_test_image_is_written(monkeypatch, tmp_path):
    monkeypatch.setattr(Toy, "group", lambda _, sample: "even" if int(sample[-1]) % 2 == 0 else None)
    out = prepared_toy(tmp_path, "grouped")
    assert prepared.read_test_groups(out) == ["even", "test 1", "even", "test 3", "even"]


def test_spacing_and_unit_change_nothing_that_training_reads(toy, tmp_path):
    """They are facts for judging: no array and no number in meta.json follows from them."""
    out = prepared_toy(tmp_path, "spaced", spacing=[0.5, 0.25], unit="mm")
    changed = [path.name for path in toy.iterdir() if path.read_bytes() != (out / path.name).read_bytes()]
    assert changed == ["about.json"]
    about = read_json(out / "about.json")
    assert (about["spacing"], about["unit"]) == ([0.5, 0.25], "mm")

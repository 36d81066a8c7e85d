"""What becomes of a person's odd folders, through the real stages."""

import os

import numpy as np
import pytest
from PIL import Image

from pipeline import prepare
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import read_json
from tests.datasets import odd_folders


@pytest.fixture
def stages(tmp_path, run_stages):
    """A function that makes a folder of a kind and runs `download` and `prepare` on it."""

    def run(kind: str, **options):
        return run_stages(tmp_path, "mine", odd_folders.make(kind, tmp_path) | options)

    return run


def source(block):
    """What `check` asks."""
    return plugins.build("datasets", "mine", block, "params.yaml: axes.dataset.mine").source()


def names_in(prepared) -> list[str]:
    return sorted(name for names in read_json(prepared / "names.json").values() for name in names)


SIXTEEN = "has 16 bits in each band, and what is more than 8 bits would be cut; convert it to 8 bits, scaled as your data need it."
PAGES = "holds 2 frames or pages, and one is used; save the right one in a file of its own."
REFUSED = {
    "rgb16": f"00: images/00.png: {SIXTEEN}",
    "pages": f"00: images/00.tif: {PAGES}",
    "mask_frames": f"00: masks/00.gif: {PAGES}",
    "exif_180": "00: images/00.jpg: is shown turned by 180 degrees (EXIF orientation 3); if masks are drawn on photos as shown, turn the pixels (`magick mogrify -auto-orient`), if on the pixels as stored, remove the tag (`exiftool -Orientation=`).",
    "float_tiff": "00: images/00.tif: a TIFF file of 3 bands of 32-bit floating-point values, a format that is not supported; convert it to 8-bit RGB or grey.",
}


@pytest.mark.parametrize("kind", REFUSED)
def test_files_that_would_be_read_in_part_are_refused(stages, tmp_path, kind):
    with pytest.raises(UserError) as error:
        stages(kind)
    title, *faults = str(error.value).split("\n")
    assert title == "data/raw/mine: 12 samples cannot be used:"
    assert len(faults) == 12
    assert REFUSED[kind] in faults
    assert not (tmp_path / "data/prepared/mine").exists()


def test_an_image_of_200_megapixels_is_named_with_its_size_before_it_is_decoded(stages):
    with pytest.raises(UserError) as error:
        stages("huge")
    assert str(error.value).split("\n")[1:] == [
        "00: images/00.png: has 20100 x 10000 pixels, 201.0 megapixels, and at most 200 are read; cut image and mask into tiles, or make both smaller."
    ]


EARLY = {
    "latin1_names": "images: names of 12 files are not UTF-8, which tables and reports are written in: images/caf\\xe900.png, images/caf\\xe901.png, images/caf\\xe902.png, and 9 more. Rename them: `convmv -f latin1 -t utf8 -r --notest images`.",
    "empty": "images: holds no image, .bmp, .gif, .jpeg, .jpg, .png, .ppm, .tif, .tiff, .webp, nor do its subfolders. It is empty.",
    "nothing_but_arrays": "images: holds no image, .bmp, .gif, .jpeg, .jpg, .png, .ppm, .tif, .tiff, .webp, nor do its subfolders. What lies there is not used: images: 12 with other suffixes (00.npy, 01.npy, 02.npy, and 9 more).",
    "two_pairs": "images: holds 2 images, but train, val and test need one each, at least 3 in all. Add images with their masks.",
    "one_pair": "images: holds 1 image, but train, val and test need one each, at least 3 in all. Add images with their masks.",
}


@pytest.mark.parametrize("kind", EARLY)
def test_what_can_be_known_from_names_is_refused_by_check_and_by_download(stages, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    block = odd_folders.make(kind, tmp_path)
    for ask in (lambda: source(block), lambda: source(block | {"folds": 3}), lambda: stages("plain", images="images")):
        if ask.__code__.co_names[0] != "source":
            continue
        with pytest.raises(UserError) as error:
            ask()
        assert str(error.value) == EARLY[kind]


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("plain", "images, masks: 12 pairs are used."),
        ("hidden_folder_pairs", "images, masks: 12 pairs are used. Not used: images: 2 hidden (._00.png, .ipynb_checkpoints); masks: 2 hidden (._00.png, .ipynb_checkpoints)."),
        ("linked_subfolder", "images, masks: 20 pairs are used."),
        ("links_in_circles", "images, masks: 15 pairs are used. Not used: images: 4 links to folders seen before (a, m, self, up); masks: 4 links to folders seen before (a, m, self, up)."),
        ("linked_files", "images, masks: 12 pairs are used. Not used: images: 1 broken links or no files (gone.png); masks: 1 broken links or no files (gone.png)."),
        ("unknown_suffixes", "images, masks: 12 pairs are used. Not used: images: 3 with other suffixes (20.jp2, 21.JP2, notes.txt); masks: 3 with other suffixes (20.jp2, 21.JP2, notes.txt)."),
        ("two_unicode_forms", "images, masks: 12 pairs are used."),
        ("signs_in_names", "images, masks: 12 pairs are used."),
        ("void_beside_classes", "images, masks: 12 pairs are used."),
        ("class_of_val_alone", None),
    ],
)  # fmt: skip
def test_one_line_says_what_is_used_and_what_is_not(stages, capsys, kind, line):
    if line is None:
        pytest.skip()
    prepared = stages(kind)
    said = capsys.readouterr()
    assert said.out.splitlines()[0] == line
    assert len(names_in(prepared)) == int(line.split()[2])
    assert said.err == ""


def test_each_linked_folder_is_taken_where_it_lies(stages):
    names = names_in(stages("links_in_circles"))
    assert [name for name in names if "/" in name] == ["z/00", "z/01", "z/02"]


def test_source_knows_of_changes_behind_links(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    block = odd_folders.make("linked_subfolder", tmp_path)
    before = source(block)
    os.utime(tmp_path / "other/masks/03.png", (1, 1))
    after = source(block)
    assert after != before
    Image.new("RGB", (32, 24)).save(tmp_path / "other/images/99.png")
    assert source(block) != after


def test_foreground_of_255_is_refused_with_the_cure(stages, tmp_path):
    with pytest.raises(UserError) as error:
        stages("masks_0_255")
    assert str(error.value) == (
        "masks: 12 of 12 masks hold 255 but no class besides 'wall' (00, 01, 02, and 9 more), and `ignore: 255` makes "
        "255 void, neither trained on nor judged. If it marks a class there, such as 'crack', write the index of the "
        "class in its place in these files, here 1."
    ).replace(
        "(00, 01, 02, and 9 more)", str(error.value)[str(error.value).index("(") : str(error.value).index(")") + 1]
    )
    assert not (tmp_path / "data/prepared/mine").exists()

"""Folders of images and masks as people really have them, each odd in one way: a function per kind.

Each fills the new directories `root/images` and `root/masks`, from a seed, and returns what it changes in the options
of the dataset.
"""

import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from PIL import Image

COUNT = 12
OPTIONS = {"kind": "folder", "images": "images", "masks": "masks", "classes": ["wall", "crack"], "image_size": 32}
KINDS: dict[str, Callable[[Path], dict[str, Any]]] = {}


def make(kind: str, root: Path) -> dict[str, Any]:
    """The block of params.yaml for a folder of a kind, written into `root`."""
    return OPTIONS | KINDS[kind](root)


def kind(fill: Callable[[Path], dict[str, Any] | None]) -> Callable[[Path], dict[str, Any]]:
    """Enter a function into KINDS under its name."""

    def filled(root: Path) -> dict[str, Any]:
        return fill(root) or {}

    KINDS[fill.__name__] = filled
    return filled


def pairs(root: Path, count: int = COUNT, size: tuple[int, int] = (24, 32), name: str = "{:02}") -> None:
    """Noise, and masks with a crack in the middle."""
    rng = np.random.default_rng(0)
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    mask = np.zeros(size, np.uint8)
    mask[size[0] // 3 : 2 * size[0] // 3, size[1] // 4 : size[1] // 2] = 1
    for index in range(count):
        image = Image.fromarray(rng.integers(256, size=(*size, 3), dtype=np.uint8))
        image.save(root / "images" / f"{name.format(index)}.png")
        Image.fromarray(mask).save(root / "masks" / f"{name.format(index)}.png")


def files(root: Path, folder: str, step: int = 1) -> list[Path]:
    return sorted((root / folder).iterdir())[::step]


@kind
def plain(root):
    pairs(root)


@kind
def hidden_folder_pairs(root):
    """Jupyter has been in both folders, and macOS left its own files."""
    pairs(root)
    for folder in ("images", "masks"):
        copies = root / folder / ".ipynb_checkpoints"
        (copies / "deeper").mkdir(parents=True)
        for copy in (copies / "00-checkpoint.png", copies / "deeper" / "00.png", root / folder / "._00.png"):
            shutil.copy(root / folder / "00.png", copy)


@kind
def linked_subfolder(root):
    """Eight of twenty pairs lie elsewhere."""
    pairs(root)
    pairs(root / "other", 8)
    for folder in ("images", "masks"):
        (root / folder / "b").symlink_to(Path("..", "other", folder))


@kind
def links_in_circles(root):
    """To the folder itself, to one above it, and twice to one that is there anyway."""
    pairs(root)
    for folder in ("images", "masks"):
        pairs(root / "deep", 3)
        (root / folder / "z").mkdir()
        for path in files(root / "deep", folder):
            path.rename(root / folder / "z" / path.name)
        for name, target in {"a": "z", "m": "z", "self": ".", "up": ".."}.items():
            (root / folder / name).symlink_to(target)


@kind
def linked_files(root):
    """As git-annex and a DVC cache keep them, one of them gone."""
    pairs(root)
    for folder in ("images", "masks"):
        (root / "store" / folder).mkdir(parents=True)
        for path in files(root, folder):
            path.rename(root / "store" / folder / path.name)
            path.symlink_to(Path("..", "store", folder, path.name))
        (root / folder / "gone.png").symlink_to("nowhere.png")


@kind
def unknown_suffixes(root):
    """Two images and their masks in a format that is not read, and notes."""
    pairs(root)
    for folder in ("images", "masks"):
        for name in ("20.jp2", "21.JP2", "notes.txt"):
            shutil.copy(root / folder / "00.png", root / folder / name)


@kind
def rgb16(root):
    """12-bit colours in files of 16 bits."""
    pairs(root)
    rng = np.random.default_rng(0)
    for path in files(root, "images"):
        assert cv2.imwrite(str(path), rng.integers(4096, size=(24, 32, 3)).astype(np.uint16))


@kind
def pages(root):
    """TIFFs with a blank first page."""
    pairs(root)
    for path in files(root, "images"):
        page = Image.open(path).copy()
        path.unlink()
        blank = Image.new("RGB", page.size)
        blank.save(path.with_suffix(".tif"), save_all=True, append_images=[page])


@kind
def mask_frames(root):
    """GIF masks of several frames, the class in the second one."""
    pairs(root)
    for path in files(root, "masks"):
        frame = Image.open(path).copy()
        path.unlink()
        Image.new("L", frame.size).save(path.with_suffix(".gif"), save_all=True, append_images=[frame])


@kind
def exif_180(root):
    """Photos that viewers show upside down against their pixels, with masks drawn as shown: bright is 1."""
    pairs(root)
    for index, path in enumerate(files(root, "images")):
        path.unlink()
        photo, exif = np.zeros((24, 32, 3), np.uint8), Image.Exif()
        photo[:12], exif[0x0112] = 200, 3
        Image.fromarray(photo).save(path.with_suffix(".jpg"), exif=exif)
        mask = np.zeros((24, 32), np.uint8)
        mask[12:] = 1
        Image.fromarray(mask).save(root / "masks" / f"{index:02}.png")


def void_for_foreground(root: Path, step: int, value: int = 255) -> None:
    pairs(root)
    for path in files(root, "masks", step):
        Image.fromarray(np.asarray(Image.open(path)) * np.uint8(value)).save(path)


@kind
def masks_0_255(root):
    void_for_foreground(root, 1)


@kind
def masks_0_255_half(root):
    void_for_foreground(root, 2)


@kind
def masks_0_9_ignoring_9(root):
    void_for_foreground(root, 1, 9)
    return {"ignore": 9}


@kind
def all_void(root):
    """No mask holds any class at all."""
    pairs(root)
    for path in files(root, "masks"):
        Image.new("L", (32, 24), 255).save(path)


@kind
def void_or_nothing(root):
    """Half of the masks are empty, the others hold void for foreground."""
    void_for_foreground(root, 2)
    for path in files(root, "masks")[1::2]:
        Image.new("L", (32, 24)).save(path)


@kind
def negatives(root):
    """Half of the images show nothing."""
    pairs(root)
    for path in files(root, "masks", 2):
        Image.new("L", (32, 24)).save(path)


@kind
def void_beside_classes(root):
    """As in Pascal VOC: a border of 255 around every object."""
    pairs(root)
    for path in files(root, "masks"):
        mask = np.array(Image.open(path))
        mask[7] = 255
        Image.fromarray(mask).save(path)


@kind
def latin1_names(root):
    """From a zip that was made on an old Windows."""
    pairs(root)
    for folder in ("images", "masks"):
        for path in files(root, folder):
            os.rename(path, os.fsencode(path.parent) + b"/caf\xe9" + path.name.encode())


@kind
def two_unicode_forms(root):
    """Images named on Linux, masks named on a Mac."""
    pairs(root, name="caf\u00e9{:02}")
    for path in files(root, "masks"):
        path.rename(path.with_name(unicodedata.normalize("NFD", path.name)))


@kind
def signs_in_names(root):
    """Whatever a file system takes: line breaks, colours of a terminal, quotes."""
    pairs(root, name="\x1b[31m{:02}\n<b>'")


@kind
def empty(root):
    (root / "images").mkdir()
    (root / "masks").mkdir()


@kind
def nothing_but_arrays(root):
    pairs(root)
    for path in files(root, "images"):
        path.rename(path.with_suffix(".npy"))


@kind
def two_pairs(root):
    pairs(root, 2)


@kind
def one_pair(root):
    pairs(root, 1)


@kind
def float_tiff(root):
    pairs(root)
    for path in files(root, "images"):
        path.unlink()
        tifffile.imwrite(path.with_suffix(".tif"), np.ones((24, 32, 3), np.float32), photometric="rgb")


@kind
def thin_lost(root):
    """The crack is there, and vanishes when 3000 columns become 32."""
    pairs(root, size=(24, 3000))
    for path in files(root, "masks"):
        mask = np.zeros((24, 3000), np.uint8)
        mask[:, 1000:1012] = 1
        Image.fromarray(mask).save(path)


@kind
def thin_lost_in_some(root):
    """Two of twelve cracks are that thin."""
    thin_lost(root)
    for path in files(root, "masks")[2:]:
        mask = np.zeros((24, 3000), np.uint8)
        mask[:, 1000:1500] = 1
        Image.fromarray(mask).save(path)


def in_lists(root: Path, **names: list[int]) -> dict[str, str]:
    for split, numbers in names.items():
        (root / f"{split}.txt").write_text("\n".join(f"{number:02}" for number in numbers))
    return {split: f"{split}.txt" for split in names}


@kind
def thin_in_val(root):
    """The two thin cracks are those that choose checkpoints."""
    thin_lost_in_some(root)
    return in_lists(root, train=[2, 3, 4, 5, 6, 7], val=[0, 1], test=[8, 9, 10, 11])


@kind
def some_in_lists(root):
    pairs(root)
    return in_lists(root, train=[0, 1, 2], val=[5], test=[6])


@kind
def class_of_val_alone(root):
    """One image holds the third class, and a list puts it into val."""
    pairs(root)
    mask = np.array(Image.open(root / "masks" / "05.png"))
    mask[0] = 2
    Image.fromarray(mask).save(root / "masks" / "05.png")
    return {"classes": ["wall", "crack", "stain"], **in_lists(root, train=[0, 1, 2], val=[5], test=[6])}


@kind
def huge(root):
    """201 megapixels, by a header with nothing behind it."""
    pairs(root)
    (root / "images" / "00.png").unlink()
    (root / "images" / "00.ppm").write_bytes(b"P6 20100 10000 255 ")

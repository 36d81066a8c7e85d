"""A person's own images and masks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from pipeline.datasets.base import SPLITS, Dataset
from pipeline.datasets.base_files import Pair, read_image, read_mask
from pipeline.datasets.base_splits import split_in_three
from pipeline.plumbing.errors import UserError, listed
from pipeline.plumbing.files import digest, file_digest, read_json, write_json
from pipeline.plumbing.labels import IGNORE

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


class Folder(Dataset):
    """Your own images and masks, from two directories or trees of directories.

    An image and its mask have the same name but for the suffix: `images/a/01.jpg` and `masks/a/01.png`. Images are
    8-bit files in any colour mode; masks have one channel that holds the class index of each pixel, or are palette
    images, where the index in the palette counts. The pixel value `ignore` marks pixels without a class.
    Any size will do, also different ones, if an image and its mask have the same. Hidden files and files that are
    no images are not used.

    Classes: as many as you name in `classes`, in the order of their index, the first for index 0.

    Splits: `train`, `val` and `test`, if you give all three, are text files with the name of one image in each line,
    with or without suffix; images in no list are not used. Without them the images are split at random
    by `split_seed`, where each split gets its share of the images that hold a rare class, and so does each part with
    `folds`. Give lists, and no `folds`, if some images are alike (frames of a video, slices of a patient): a random
    split would put neighbours into train and test.

    Paths are relative to the directory that holds `params.yaml`. Nothing is copied at download; a manifest with the
    checksum of each file is written, so a change of any file is noticed.
    """

    license: ClassVar[str] = "as its owner says"
    citation: ClassVar[str] = "none"

    images: str
    """Directory of the images."""
    masks: str
    """Directory of the masks."""
    classes: list[str] = Field(max_length=IGNORE)
    """Names of the classes, in the order of their index in the masks."""
    ignore: int = Field(default=IGNORE, ge=0, le=65535)
    """Value in the mask files of pixels that are neither trained on nor judged."""
    train: str | None = None
    """Text file with the names of the images to train on; with `val` and `test`."""
    val: str | None = None
    """Text file with the names of the images to choose learning rates and checkpoints by."""
    test: str | None = None
    """Text file with the names of the images that judge."""
    val_share: float = Field(default=0.15, gt=0, lt=1)
    """Without lists: share of the images in the val split."""
    test_share: float = Field(default=0.2, gt=0, lt=1)
    """Without lists: share of the images in the test split."""
    split_seed: int = Field(default=0, ge=0)
    """Without lists: another seed makes another split."""

    @field_validator("classes")
    @classmethod
    def _classes_are_distinct(cls, classes: list[str]) -> list[str]:
        if len(classes) < 2 or len(set(classes)) < len(classes):
            raise ValueError(f"must be two or more different names, not {classes}; the background is a class, too.")
        return classes

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        if self.ignore < len(self.classes):
            raise ValueError(f"ignore: {self.ignore} is the index of the class {self.classes[self.ignore]!r}.")
        if len(self.lists) not in (0, len(SPLITS)):
            raise ValueError("give all of the split lists train, val and test, or none.")
        for option in ("val_share", "test_share", "split_seed"):
            self.acts_only_with(option, "folds", 0)
        if self.val_share + self.test_share >= 1:
            raise ValueError("val_share and test_share must leave images to train on: their sum must be below 1.")
        return self

    @property
    def lists(self) -> dict[str, str]:
        """The split lists that are given: {split: path}."""
        return {split: getattr(self, split) for split in SPLITS if getattr(self, split) is not None}

    def source(self) -> dict[str, Any]:
        """The paths, and a digest of all names, sizes and times of change: quick enough for every `check`."""
        stats = {role: [_size_and_time(path) for path in paths] for role, paths in self._files().items()}
        return {"images": self.images, "masks": self.masks, "lists": self.lists, "listing": digest(stats)}

    def download(self, raw: Path, archives: Path) -> None:
        """Write `manifest.json`: path, size and MD5 of every image, mask and list. Copies nothing."""
        manifest = {role: [_identity(path) for path in paths] for role, paths in self._files().items()}
        raw.mkdir(parents=True)
        write_json(raw / "manifest.json", manifest)

    def samples(self, raw: Path) -> dict[str, list[Any]]:
        manifest = read_json(raw / "manifest.json")
        images, masks = (_by_name(manifest[role], Path(getattr(self, role))) for role in ("images", "masks"))
        splits, faults = self._listed_splits(images)
        faults += [f"{name}: image without mask" for name in sorted(set(images) - set(masks))]
        faults += [f"{name}: mask without image" for name in sorted(set(masks) - set(images))]
        named = [*images.items(), *masks.items()]
        faults += [f"{name}: several files of this name: {listed(paths)}" for name, paths in named if len(paths) > 1]
        if faults:
            title = f"{self.images} and {self.masks} do not fit together; {len(faults)} problems:\n"
            raise UserError(title + listed(faults, separator="\n"))
        pairs = {name: Pair(name, Path(images[name][0]), Path(masks[name][0])) for name in sorted(images)}
        splits = splits or self._drawn_splits(list(pairs.values()))
        return {split: [pairs[name] for name in splits[split]] for split in SPLITS}

    def strata(self, samples: Sequence[Pair]) -> list[int | None]:
        """The rarest class that each image holds."""
        with ThreadPoolExecutor() as pool:
            held = list(pool.map(self._classes_in, samples))
        images = Counter(index for classes in held for index in classes)
        return [min(classes, key=lambda index: (images[index], index), default=None) for classes in held]

    def load(self, sample: Pair) -> tuple[np.ndarray, np.ndarray]:
        return read_image(sample.image), read_mask(sample.mask, self._codes)

    def _files(self) -> dict[str, list[Path]]:
        """All files by their role: images, masks, lists."""
        lists = [Path(path) for path in self.lists.values()]
        if missing := [str(path) for path in lists if not path.is_file()]:
            raise UserError(f"{listed(missing)}: no such split list, seen from {Path.cwd()}.")
        return {"images": _image_files(Path(self.images)), "masks": _image_files(Path(self.masks)), "lists": lists}

    def _listed_splits(self, images: Mapping[str, Any]) -> tuple[dict[str, list[str]], list[str]]:
        """The names in each split list as names of images, and what is wrong with them."""
        splits, faults = {}, []
        for split, path in self.lists.items():
            lines = Path(path).read_text(encoding="utf-8-sig", errors="replace").splitlines()
            given = [line.strip() for line in lines if line.strip()]
            names = {line: line if line in images else _without_suffix(line) for line in given}
            faults += [f"{path}: {line}: no such image" for line, name in names.items() if name not in images]
            splits[split] = [names[line] for line in given]
        mentions = Counter(name for names in splits.values() for name in names)
        for name in sorted(name for name, times in mentions.items() if times > 1):
            places = [self.lists[split] for split in splits for _ in range(splits[split].count(name))]
            faults.append(f"{name}: named more than once: in {listed(places)}")
        return splits, faults

    def _drawn_splits(self, pairs: list[Pair]) -> dict[str, list[str]]:
        drawn = split_in_three(self.strata(pairs), self.val_share, self.test_share, self.split_seed)
        return {split: [pairs[i].name for i in drawn[split]] for split in SPLITS}

    def _classes_in(self, pair: Pair) -> set[int]:
        try:
            return set(np.unique(read_mask(pair.mask, self._codes)).tolist()) - {IGNORE}
        except ValueError:  # prepare reads it again and reports it together with all others
            return set()

    @property
    def _codes(self) -> dict[int, int]:
        return {**{index: index for index in range(len(self.classes))}, self.ignore: IGNORE}


def _image_files(directory: Path) -> list[Path]:
    if not directory.is_dir():
        raise UserError(f"{directory}: no such directory, seen from {Path.cwd()}.")
    files = (path for path in directory.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    return sorted(path for path in files if not path.name.startswith("."))


def _by_name(entries: list[dict[str, Any]], directory: Path) -> dict[str, list[str]]:
    """Paths of the files of each name: the path inside the directory, without suffix."""
    names: dict[str, list[str]] = {}
    for entry in entries:
        name = Path(entry["path"]).relative_to(directory).with_suffix("").as_posix()
        names.setdefault(name, []).append(entry["path"])
    return names


def _without_suffix(name: str) -> str:
    return str(PurePosixPath(name).with_suffix("")) if PurePosixPath(name).suffix.lower() in SUFFIXES else name


def _size_and_time(path: Path) -> tuple[str, int, int]:
    stat = path.stat()
    return str(path), stat.st_size, stat.st_mtime_ns


def _identity(path: Path) -> dict[str, Any]:
    try:
        return {"path": str(path), "size": path.stat().st_size, "md5": file_digest(path)}
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}).") from None

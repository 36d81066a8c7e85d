"""A person's own images and masks."""

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from pipeline.datasets.base import SPLITS, Dataset
from pipeline.datasets.base_files import Pair, read_image, read_mask
from pipeline.datasets.base_listing import Listing, list_images
from pipeline.datasets.base_pairs import by_name, lines_of, pair_up, read_lists
from pipeline.datasets.base_splits import split_in_three
from pipeline.plumbing.errors import UserError, listed
from pipeline.plumbing.files import digest, file_digest, read_json, write_json
from pipeline.plumbing.labels import IGNORE
from pipeline.plumbing.messages import printable


class Folder(Dataset):
    """Your own images and masks, from two directories or trees of directories.

    An image and its mask have the same name but for suffix and Unicode form: `images/a/01.jpg` and `masks/a/01.png`.
    Images are 8-bit files in grey or colour; masks have one channel that holds the class index of each pixel, or are
    palette images, where the index in the palette counts. Any size will do, also different ones, if an image and its
    mask have the same. A file that would be read in part, such as one of 16-bit colours, of several pages or with an
    EXIF orientation, is refused with what to do, and so is a mask whose values are changed, as by JPEG; `base_headers`
    has the rule.

    Links are followed, and each folder is taken once. What is hidden, or has no suffix of an image, is not used;
    `download` says so, with its name.

    The pixel value `ignore` marks void, pixels without a class. A mask of 0 and 255 is one of void and background by
    the default, though 255 often stands for the foreground. So `prepare` warns of masks that hold void but no class
    besides the first, and refuses the dataset if no mask holds any other class.

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
        files = self._files(*self._listings())
        stats = {role: [_size_and_time(path) for path in paths] for role, paths in files.items()}
        return {"images": self.images, "masks": self.masks, "lists": self.lists, "listing": digest(stats)}

    def download(self, raw: Path, archives: Path) -> None:
        """Write `manifest.json`: path, size and MD5 of every image, mask and list. Copies nothing.

        Prints one line: how many pairs are used, and what is not used and why.
        """
        listings = self._listings()
        manifest = {role: [_identity(path) for path in paths] for role, paths in self._files(*listings).items()}
        unused = "; ".join(filter(None, (listing.not_used() for listing in listings)))
        note = f"Not used: {unused}." if unused else ""
        pairs, splits = self._pairs(manifest, note)
        used = sum(map(len, splits.values())) if splits else len(pairs)
        rest = f"{len(pairs) - used} more are in no split list." if used < len(pairs) else ""
        print(*filter(None, (f"{printable(self.images)}, {printable(self.masks)}: {used} pairs are used.", rest, note)))
        raw.mkdir(parents=True)
        write_json(raw / "manifest.json", manifest)

    def samples(self, raw: Path) -> dict[str, list[Any]]:
        pairs, splits = self._pairs(read_json(raw / "manifest.json"))
        return {split: [pairs[name] for name in names] for split, names in (splits or self._drawn(pairs)).items()}

    def strata(self, samples: Sequence[Pair]) -> list[int | None]:
        """The rarest class that each image holds."""
        with ThreadPoolExecutor() as pool:
            held = list(pool.map(self._classes_in, samples))
        images = Counter(index for classes in held for index in classes)
        return [min(classes, key=lambda index: (images[index], index), default=None) for classes in held]

    def load(self, sample: Pair) -> tuple[np.ndarray, np.ndarray]:
        return read_image(sample.image), read_mask(sample.mask, self._codes)

    def review(self, held: Mapping[str, Set[int]]) -> str:
        """By the rule in the docstring of this class: masks that hold nothing but the void value and class 0."""
        suspects = sorted(name for name, values in held.items() if IGNORE in values and values <= {0, IGNORE})
        if not suspects:
            return ""
        said = (
            f"{printable(self.masks)}: {len(suspects)} of {len(held)} masks hold {self.ignore} but no class besides "
            f"'{self.classes[0]}' ({listed(map(printable, suspects), 3)}), and `ignore: {self.ignore}` makes "
            f"{self.ignore} void, neither trained on nor judged. If it stands for a class, write the index of the "
            f"class in its place in these files, 1 for '{self.classes[1]}'."
        )
        if any(values - {0, IGNORE} for values in held.values()):
            return said
        raise UserError(said)

    def _listings(self) -> tuple[Listing, Listing]:
        """What lies in the two directories. Raises UserError for what is missing and for too few images."""
        if missing := [path for path in self.lists.values() if not Path(path).is_file()]:
            raise UserError(
                f"{listed(map(printable, missing))}: no such split list, seen from {printable(Path.cwd())}."
            )
        images, masks = list_images(Path(self.images)), list_images(Path(self.masks))
        if Path(self.images).samefile(self.masks):
            raise UserError(
                f"{printable(self.images)}: is the directory of both images and masks. Give masks their own."
            )
        for path in self.lists.values():
            lines_of(path)  # before time is spent on the files
        if (count := len(images.files)) < len(SPLITS):
            held = f"{count} {'image' if count == 1 else 'images'}"
            raise UserError(
                f"{printable(self.images)}: holds {held}, but train, val and test need one each, at least 3 in all. "
                "Add images with their masks."
            )
        return images, masks

    def _files(self, images: Listing, masks: Listing) -> dict[str, list[Path]]:
        """All files by their role: images, masks, lists."""
        return {"images": images.files, "masks": masks.files, "lists": [Path(path) for path in self.lists.values()]}

    def _pairs(self, manifest: dict[str, Any], note: str = "") -> tuple[dict[str, Pair], dict[str, list[str]]]:
        """All pairs by name, and the names in each split list. Raises UserError, with `note`, for all that is wrong."""
        images, masks = (
            by_name([entry["path"] for entry in manifest[role]], Path(getattr(self, role)))
            for role in ("images", "masks")
        )
        splits, faults = read_lists(self.lists, images)
        pairs, unpaired = pair_up(images, masks, Path(self.images))
        if faults := [printable(fault) for fault in (*faults, *unpaired)]:
            both = f"{printable(self.images)} and {printable(self.masks)}"
            title = f"{both} do not fit together; {len(faults)} problems:\n"
            raise UserError(title + listed(faults, separator="\n") + (f"\n{note}" if note else ""))
        return pairs, splits

    def _drawn(self, pairs: dict[str, Pair]) -> dict[str, list[str]]:
        """The names in each split, drawn by the seed."""
        names = list(pairs)
        drawn = split_in_three(self.strata(list(pairs.values())), self.val_share, self.test_share, self.split_seed)
        return {split: [names[i] for i in drawn[split]] for split in SPLITS}

    def _classes_in(self, pair: Pair) -> set[int]:
        try:
            return set(np.unique(read_mask(pair.mask, self._codes)).tolist()) - {IGNORE}
        except ValueError:  # prepare reads it again and reports it together with all others
            return set()

    @property
    def _codes(self) -> dict[int, int]:
        return {**{index: index for index in range(len(self.classes))}, self.ignore: IGNORE}


def _size_and_time(path: Path) -> tuple[str, int, int]:
    stat = path.stat()
    return str(path), stat.st_size, stat.st_mtime_ns


def _identity(path: Path) -> dict[str, Any]:
    try:
        return {"path": str(path), "size": path.stat().st_size, "md5": file_digest(path)}
    except OSError as error:
        raise UserError(f"{printable(path)}: cannot be read ({error.strerror}).") from None

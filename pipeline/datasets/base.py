"""What a dataset must say, and what all datasets share."""

import math
from collections.abc import Hashable, Mapping, Sequence, Set
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from pipeline.datasets.base_names import check_class_names
from pipeline.datasets.base_splits import divided, partition
from pipeline.plumbing.archive import Archive
from pipeline.plumbing.errors import did_you_mean
from pipeline.plumbing.files import digest
from pipeline.plumbing.messages import brief
from pipeline.plumbing.plugins import Plugin
from pipeline.plumbing.random_streams import stream
from pipeline.plumbing.transfer import fetch
from pipeline.plumbing.unpack import unpack

SPLITS = ("train", "val", "test")
LARGEST_SIDE = 4096  # pixels of a prepared image
NOT_OF_THE_SAMPLES = {"archives", "spacing", "unit"}  # options that change neither samples nor arrays


class Dataset(Plugin):
    """A source of images with class-index masks, split into train, val and test.

    You must write `samples` and `load`, state `license` and `citation`, and have `classes`, the names of the classes
    in the order of their index in the masks, as a property or as an option. A dataset that is not made of archives
    also overrides `download` and, if what it downloads can change, `source`; one whose images are alike within a video
    or a patient overrides `group`; one whose masks can be misread overrides `review`. `prepare` does the rest: it
    resizes to `image_size` (bilinear for images, nearest neighbour for masks), thins the train split as `keep` says,
    measures class frequencies on it and stores plain arrays, so training and evaluation never know which dataset they
    work on.
    """

    license: ClassVar[str]
    citation: ClassVar[str]
    official_archives: ClassVar[list[Archive]] = []

    image_size: int | list[int] = 256
    """Height and width in pixels after `prepare`: one number for a square, or `[height, width]`."""
    archives: list[Archive] = []
    """Where to fetch the archives instead of their official addresses: a `url` and `checksum` each, in their order."""
    keep: dict[str, Annotated[float, Field(gt=0, le=1)]] = {}
    """Share of the train images holding a class that is kept, above 0 to 1, by class: `{bicyclist: 0.1}`. Val and test
    stay whole. An image goes if any of the classes gives it up; the images of a smaller share are among those of a
    larger one, and one image is kept of each class, unless another class gives it up."""
    folds: int = Field(default=0, ge=0, le=20)
    """0: the split described above. 3 to 20: cross-validation. All images of train, val and test are pooled and divided
    into so many parts, the same for every `fold`; images of one group, such as a video, stay in one part. An entry
    trains and tests one fold, so give as many entries that differ in `fold` alone: `presets/folds.yaml`."""
    fold: int = Field(default=0, ge=0)
    """With `folds`: the part that is the test split, from 0. The next one, cyclically, is val, all others are train."""
    spacing: list[Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field([1.0, 1.0], min_length=2, max_length=2)
    """Height and width of a pixel of the original images, in `unit`: distances between outlines are given in it."""
    unit: str = Field(default="px", min_length=1, max_length=12)
    """Of `spacing`: `mm`, for example."""

    @field_validator("image_size")
    @classmethod
    def _sizes_are_sensible(cls, size: int | list[int]) -> int | list[int]:
        sides = [size, size] if isinstance(size, int) else size
        if len(sides) != 2 or not all(16 <= side <= LARGEST_SIDE for side in sides):
            sides = f"each from 16 to {LARGEST_SIDE} pixels"
            raise ValueError(f"must be a side or [height, width], {sides}, not {size}.")
        return size

    @field_validator("archives")
    @classmethod
    def _archives_replace_the_official_ones(cls, archives: list[Archive]) -> list[Archive]:
        official = len(cls.official_archives)
        if archives and not official:
            raise ValueError("this dataset is not made of archives; remove the key.")
        if len(archives) not in (0, official):
            raise ValueError(f"{official} archives make this dataset, not {len(archives)}.")
        if any(archive.checksum is None for archive in archives):
            raise ValueError("each needs a checksum: without one, an older file of that name would be taken for it.")
        names = [archive.filename.casefold() for archive in archives]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"several end in the file name {brief(twice[0])}; each needs one of its own.")
        return archives

    @field_validator("unit")
    @classmethod
    def _unit_can_be_printed(cls, unit: str) -> str:
        if not unit.isprintable():
            raise ValueError(f"{unit!a} holds what cannot be printed; remove it.")
        return unit

    @model_validator(mode="after")
    def _classes_can_be_shown(self) -> Self:
        check_class_names(self.classes)
        return self

    @model_validator(mode="after")
    def _kept_classes_exist(self) -> Self:
        for name in self.keep:
            if name not in self.classes:
                raise ValueError(f"keep: no class '{name}'. {did_you_mean(name, self.classes)}")
        return self

    @model_validator(mode="after")
    def _fold_is_one_of_the_folds(self) -> Self:
        if self.folds in (1, 2):
            raise ValueError(f"folds: {self.folds} leaves nothing to train on; give 3 to 20, or 0 for the usual split.")
        if self.fold and not self.folds:
            raise ValueError(f"fold: {self.fold} needs `folds`, the number of parts, 3 to 20; add it or remove `fold`.")
        if self.folds and self.fold >= self.folds:
            raise ValueError(f"fold: {self.fold} is none of {self.folds} folds, which are 0 to {self.folds - 1}.")
        return self

    @property
    def fold_of(self) -> str | None:
        """One digest for all folds of a cross-validation: of every option but `fold` that changes samples or arrays.

        None without `folds`. Options at their default do not enter, so a new option leaves old results valid.
        """
        if not self.folds:
            return None
        shared = self.model_dump(mode="json", exclude={"fold", *NOT_OF_THE_SAMPLES}, exclude_defaults=True)
        return digest({"kind": self.kind, **shared})

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels of the prepared images."""
        return (self.image_size, self.image_size) if isinstance(self.image_size, int) else tuple(self.image_size)

    def source(self) -> dict[str, Any]:
        """What `download` depends on, JSON-serialisable: an edit of anything else must not download again."""
        return {"archives": [archive.model_dump() for archive in self.archives or self.official_archives]}

    def download(self, raw: Path, archives: Path) -> None:
        """Fill the new directory `raw` with the unpacked source. `archives` keeps verified archives between runs."""
        raw.mkdir(parents=True)
        for archive in self.archives or self.official_archives:
            unpack(fetch(archive, archives), raw)

    def samples(self, raw: Path) -> dict[str, list[Any]]:
        """For each of `SPLITS` its samples, in a fixed order: any objects whose `str` is a unique, readable name.

        Raises UserError if the directory `raw` does not hold what this dataset promises.
        """
        raise NotImplementedError

    def group(self, sample: Any) -> str | None:
        """What a sample has in common with others that are alike, such as its video; None: it stands for itself.

        Groups are never divided between folds, and intervals draw whole groups of test images.
        """
        return None

    def strata(self, samples: Sequence[Any]) -> Sequence[Hashable]:
        """Of each sample a kind, such as the rarest class in it, that every fold should have its share of."""
        return [None] * len(samples)

    def splits(self, raw: Path) -> dict[str, list[Any]]:
        """The samples of each split: as `samples` has them or, with `folds`, those of this fold."""
        samples = self.samples(raw)
        if not self.folds:
            return samples
        pool = [sample for split in SPLITS for sample in samples[split]]
        parts = partition([self.group(sample) for sample in pool], self.strata(pool), self.folds)
        return {split: [pool[i] for i in indices] for split, indices in divided(parts, self.fold).items()}

    def load(self, sample: Any) -> tuple[np.ndarray, np.ndarray]:
        """One sample at its original size: RGB image `h w 3` and mask `h w` of class indices or IGNORE, both uint8.

        Raises OSError or ValueError, with the reason, if a file cannot be read or does not fit; `prepare` collects
        these from all samples and reports them in one error.
        """
        raise NotImplementedError

    def review(self, held: Mapping[str, Set[int]]) -> str:
        """A warning about what all masks hold, or nothing; `prepare` asks for it before it goes on.

        `held` has, by the name of a sample, the class indices and IGNORE as they are in its mask before resizing.
        Raises UserError where nobody can have meant it.
        """
        return ""

    def kept(self, class_pixels: np.ndarray) -> np.ndarray:
        """Indices of the train images that `keep` leaves, ascending; `class_pixels` is `n classes`."""
        stays = np.ones(len(class_pixels), bool)
        for name, share in self.keep.items():
            holders = np.flatnonzero(class_pixels[:, self.classes.index(name)])
            count = math.ceil(round(share * len(holders), 6))  # 0.07 * 100 is 7.000000000000001
            stays[stream(0, f"keep {name}").permutation(holders)[count:]] = False
        return np.flatnonzero(stays)

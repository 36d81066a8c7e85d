"""Oxford-IIIT Pet: cats and dogs of 37 breeds, each with a trimap."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from pipeline.datasets.base import Dataset
from pipeline.datasets.base_files import Pair, read_image, read_mask
from pipeline.datasets.base_splits import split_off
from pipeline.plumbing.archive import Archive
from pipeline.plumbing.errors import UserError, listed
from pipeline.plumbing.labels import IGNORE

HOSTS = ("https://www.robots.ox.ac.uk/~vgg/data/pets/data", "https://thor.robots.ox.ac.uk/~vgg/data/pets")
ANIMAL, BACKGROUND, BORDER = 1, 2, 3  # values in the trimap files
CODES = {
    "binary": {BACKGROUND: 0, ANIMAL: 1, BORDER: IGNORE},
    "trimap": {BACKGROUND: 0, ANIMAL: 1, BORDER: 2},
}
REMEDY = "Check that the archives are the official ones, delete wrong ones in data/archives/, and download again."


class OxfordPets(Dataset):
    """The Oxford-IIIT Pet dataset: 7349 photographs of cats and dogs with their outlines.

    About 200 images of each of 37 breeds, of many sizes, mostly near 500 x 375 pixels. Masks are trimaps: 1 animal,
    2 background, 3 border, a band of some pixels along the outline that the annotators left undecided.

    Classes, by the option `task`:

    - `binary`: 0 background, 1 animal; the border is ignored in training and judging
    - `trimap`: 0 background, 1 animal, 2 border

    Splits: the official 3669 test images; of the official 3680 trainval images `val_share` is the val split, drawn
    with `split_seed` in equal shares from each breed, and the rest the train split. With `folds`, each part gets its
    share of each breed of all 7349 images.

    Some files named .jpg are GIF or PNG with transparency; they are read by their content. Stray `.mat` and `._*`
    files in the archives are not used.

    By hand: put `images.tar.gz` (792 MB) and `annotations.tar.gz` from
    https://www.robots.ox.ac.uk/~vgg/data/pets/ into `data/archives/oxford_pets/`.
    """

    license: ClassVar[str] = "CC BY-SA 4.0"
    citation: ClassVar[str] = "Parkhi, Vedaldi, Zisserman, Jawahar: Cats and Dogs, CVPR 2012"
    official_archives: ClassVar[list[Archive]] = [
        Archive(
            url=f"{HOSTS[0]}/images.tar.gz",
            mirrors=[f"{HOSTS[1]}/images.tar.gz"],
            checksum="sha256:67195c5e1c01f1ab5f9b6a5d22b8c27a580d896ece458917e61d459337fa318d",
            size=791_918_971,
        ),
        Archive(
            url=f"{HOSTS[0]}/annotations.tar.gz",
            mirrors=[f"{HOSTS[1]}/annotations.tar.gz"],
            checksum="md5:95a8c909bbe2e81eed6a22bccdf3f68f",
        ),
    ]

    task: Literal["binary", "trimap"] = "binary"
    """`binary`: animal or background, border ignored. `trimap`: the border is a third class."""
    val_share: float = Field(default=0.1, gt=0, lt=1)
    """Share of the official trainval images that become the val split."""
    split_seed: int = Field(default=0, ge=0)
    """Draws the val split."""

    @model_validator(mode="after")
    def _folds_replace_the_split(self) -> Self:
        for option in ("val_share", "split_seed"):
            self.acts_only_with(option, "folds", 0)
        return self

    @property
    def classes(self) -> list[str]:
        return ["background", "animal", "border"][: len(set(CODES[self.task].values()) - {IGNORE})]

    def samples(self, raw: Path) -> dict[str, list[Any]]:
        trainval, test = (_listing(raw / "annotations" / name) for name in ("trainval.txt", "test.txt"))
        train, val = split_off([row.breed for row in trainval], self.val_share, self.split_seed)
        names = {
            "train": [trainval[i].name for i in train],
            "val": [trainval[i].name for i in val],
            "test": [row.name for row in test],
        }
        pairs = {split: [_pair(raw, name) for name in names[split]] for split in names}
        files = [path for split in pairs.values() for pair in split for path in (pair.image, pair.mask)]
        if missing := [path.relative_to(raw) for path in files if not path.is_file()]:
            raise UserError(f"{raw}: {len(missing)} files of the split lists are missing: {listed(missing)}. {REMEDY}")
        return pairs

    def strata(self, samples: Sequence[Pair]) -> list[str]:
        """The breeds."""
        return [sample.name.rpartition("_")[0] for sample in samples]

    def load(self, sample: Pair) -> tuple[np.ndarray, np.ndarray]:
        return read_image(sample.image, published=True), read_mask(sample.mask, CODES[self.task])


class _Row(NamedTuple):
    """One line of a split list."""

    name: str
    breed: str


def _listing(path: Path) -> list[_Row]:
    """The images of a split list: a line holds name, breed (1 to 37), species and breed within the species."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(f"{path}: the split list cannot be read ({error.strerror}). {REMEDY}") from None
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    if not rows or not all(len(row) == 4 for row in rows):
        raise UserError(f"{path}: each line must hold a name, breed, species and number. {REMEDY}")
    return [_Row(name, breed) for name, breed, *_ in rows]


def _pair(raw: Path, name: str) -> Pair:
    return Pair(name, raw / "images" / f"{name}.jpg", raw / "annotations" / "trimaps" / f"{name}.png")

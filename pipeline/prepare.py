"""Stage `prepare`: turn one dataset into plain arrays of one size and measure its train split.

`data/prepared/DATASET/` then holds, for train, val and test, `SPLIT_images.npy` (n h w 3, uint8) and `SPLIT_masks.npy`
(n h w, uint8: class index or 255), and what strategies and the report need to know of them: `train_class_pixels.npy`
and `train_class_components.npy` (n classes, int64: pixels, and 8-connected components, of each class in each image),
`names.json`, `meta.json`, `about.json`, `class_frequencies.csv` and `samples.png`. Every statistic is of the train
split alone, and of those of its images that the dataset's option `keep` leaves. Of the test images there are also
their groups and sizes and, where they were resized, their original masks (`pipeline/plumbing/prepared.py`).
"""

import argparse
import math
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from tqdm import tqdm

from pipeline.datasets.base import SPLITS, Dataset
from pipeline.datasets.base_listing import is_utf8
from pipeline.datasets.base_presence import Held, lost_classes, refuse_absent_classes, resized
from pipeline.datasets.base_statistics import (
    COLUMNS,
    channel_statistics,
    class_frequencies,
    count_classes,
    count_components,
)
from pipeline.measure.figures.samples import draw_samples
from pipeline.plumbing import plugins, prepared
from pipeline.plumbing.errors import UserError, listed, run_stage
from pipeline.plumbing.files import digest, file_digest, whole, write_csv, write_json
from pipeline.plumbing.fingerprints import as_planned
from pipeline.plumbing.labels import IGNORE
from pipeline.plumbing.messages import printable
from pipeline.plumbing.plan import PREPARED, RAW, read_plan

PROBES = 20  # original masks from which the room for all is estimated


class Converted(NamedTuple):
    """What is known of a sample beside its arrays."""

    fault: str = ""
    held: Held = Held()
    height: int = 0
    width: int = 0
    original: bytes = b""  # of a test mask that was resized: what it was before, encoded


def main() -> None:
    parser = argparse.ArgumentParser(description="Turn one downloaded dataset into arrays.")
    parser.add_argument("dataset", help="a key of axes.dataset in params.yaml")
    key = parser.parse_args().dataset
    plan = read_plan("prepare", key)
    described = plan["dataset"]
    dataset = plugins.restore("datasets", described, f"axes.dataset.{key}")
    with whole(PREPARED / key) as out, as_planned(plan):
        prepare(dataset, {"dataset": key, "kind": described["kind"]}, RAW / key, out)


def prepare(dataset: Dataset, identity: dict[str, str], raw: Path, out: Path) -> None:
    """Fill the new directory `out` from the downloaded `raw`. `identity` goes into `meta.json` as it is."""
    samples = find_samples(dataset, raw)
    out.mkdir(parents=True)
    check_space(out, dataset, samples)
    converted = {split: convert(dataset, split, samples[split], out) for split in SPLITS}
    if faults := [each.fault for split in SPLITS for each in converted[split] if each.fault]:
        raise UserError(f"{raw}: {len(faults)} samples cannot be used:\n" + listed(faults, separator="\n"))
    check_classes(dataset, samples, {split: [each.held for each in converted[split]] for split in SPLITS})
    if dataset.keep:
        samples["train"] = thin(dataset, samples["train"], out)
    names = {split: [str(sample) for sample in samples[split]] for split in SPLITS}
    images, masks = (np.load(out / f"train_{what}.npy", mmap_mode="r") for what in ("images", "masks"))
    class_pixels = count_classes(masks, len(dataset.classes))
    np.save(out / "train_class_pixels.npy", class_pixels)
    np.save(out / "train_class_components.npy", count_components(masks, class_pixels))
    frequencies = class_frequencies(dataset.classes, class_pixels)
    write_csv(out / "class_frequencies.csv", frequencies, COLUMNS)
    write_json(out / "names.json", names)
    write_about(dataset, samples["test"], converted["test"], out)
    statistics = {
        "pixel_frequency": [row["pixel_frequency"] for row in frequencies],
        "image_frequency": [row["image_frequency"] for row in frequencies],
        "ignored_share": 1 - class_pixels.sum().item() / masks.size,
        **channel_statistics(images),
    }
    write_json(out / "meta.json", identity | describe(dataset, names, out) | statistics)
    draw_samples(images, masks, class_pixels, dataset.classes, out / "samples.png")
    print_table(frequencies, statistics["ignored_share"])


def find_samples(dataset: Dataset, raw: Path) -> dict[str, list[Any]]:
    """The samples of each split. Raises UserError for an empty one, and for a name that is used twice or not UTF-8."""
    samples = dataset.splits(raw)
    if empty := [split for split in SPLITS if not samples[split]]:
        raise UserError(f"{raw}: no samples in the split {listed(empty)}. Every split needs at least one.")
    names = [str(sample) for split in SPLITS for sample in samples[split]]
    if twice := sorted({name for name, times in Counter(names).items() if times > 1}):
        raise UserError(f"{raw}: named more than once in the splits: {listed(map(printable, twice))}.")
    if odd := [printable(name) for name in names if not is_utf8(name)]:
        raise UserError(f"{raw}: names that are not UTF-8 cannot stand in tables and reports: {listed(odd, 3)}.")
    return samples


def check_space(out: Path, dataset: Dataset, samples: dict[str, list[Any]]) -> None:
    """Raise UserError if the arrays will not fit: a write to a mapped file on a full disk would kill the process."""
    copied = len(samples["train"]) if dataset.keep else 0  # `thin` writes train a second time, then removes the first
    arrays = (sum(map(len, samples.values())) + copied) * math.prod(dataset.size) * 4
    needed = arrays + room_for_originals(dataset, samples["test"])
    free = shutil.disk_usage(out).free
    if needed > free:
        raise UserError(f"{out.parent}: needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free. Make room there.")


def room_for_originals(dataset: Dataset, samples: Sequence[Any]) -> int:
    """Bytes of the original masks of the test images, nearly: as large as some of them are on average."""
    probes = samples[:: math.ceil(len(samples) / PROBES)]
    found = 0
    for sample in probes:
        with suppress(OSError, ValueError):  # `convert` reads all and reports them together
            found += len(original(dataset.load(sample)[1], dataset.size))
    return found * len(samples) // len(probes)


def convert(dataset: Dataset, split: str, samples: list[Any], out: Path) -> list[Converted]:
    """Write the images and masks of one split, and return what else is known of its samples."""
    shape = (len(samples), *dataset.size)
    images = np.lib.format.open_memmap(out / f"{split}_images.npy", "w+", np.uint8, (*shape, 3))
    masks = np.lib.format.open_memmap(out / f"{split}_masks.npy", "w+", np.uint8, shape)
    with ThreadPoolExecutor() as pool:
        converted = pool.map(partial(convert_sample, dataset, split == "test"), samples, images, masks)
        # disable=None: no bar where stderr is no terminal
        return list(tqdm(converted, split, len(samples), disable=None))


def convert_sample(
    dataset: Dataset, keep_original: bool, sample: Any, image_out: np.ndarray, mask_out: np.ndarray
) -> Converted:
    """Fill the two arrays with one sample at its new size, or return what is wrong with it."""
    try:
        image, mask = dataset.load(sample)
        if image.shape != (*mask.shape, 3):
            raise ValueError(f"image of {image.shape[:2]} and mask of {mask.shape} pixels (height, width).")
        values = frozenset(np.unique(mask).tolist())
        if unknown := values - {*range(len(dataset.classes)), IGNORE}:
            raise ValueError(f"mask values {listed(sorted(unknown))} are no class and not {IGNORE}.")
    except (OSError, ValueError) as error:
        return Converted(printable(f"{sample}: {error}"))
    image_out[:] = resized(image, mask_out.shape, Image.Resampling.BILINEAR)
    mask_out[:] = resized(mask, mask_out.shape, Image.Resampling.NEAREST)
    held = Held(values, frozenset(np.unique(mask_out).tolist()))
    return Converted("", held, *mask.shape, original(mask, mask_out.shape) if keep_original else b"")


def original(mask: np.ndarray, size: tuple[int, int]) -> bytes:
    """A mask that is not of height and width `size`, encoded: small enough to hold those of a whole split."""
    return prepared.encoded(mask) if mask.shape != size else b""


def check_classes(dataset: Dataset, samples: dict[str, list[Any]], held: dict[str, list[Held]]) -> None:
    """Warn of classes that are lost or misread, and raise UserError where that leaves nothing to learn or to judge."""
    names = [str(sample) for split in SPLITS for sample in samples[split]]
    masks = [each.before for split in SPLITS for each in held[split]]
    if warning := dataset.review(dict(zip(names, masks, strict=True))):
        print(f"warning: {printable(warning)}", file=sys.stderr)
    if empty := [split for split in SPLITS if all(each.after <= {IGNORE} for each in held[split])]:
        raise UserError(f"no pixel of the split {listed(empty)} has a class, so there is nothing to judge by.")
    refuse_absent_classes(dataset, samples, held)
    if lost := lost_classes(dataset, held):
        print(lost)


def write_about(dataset: Dataset, samples: Sequence[Any], converted: Sequence[Converted], out: Path) -> None:
    """What training does not depend on: the origin of the dataset, and its test images as they were."""
    facts = {"license": dataset.license, "citation": dataset.citation}
    write_json(out / "about.json", facts | {"spacing": dataset.spacing, "unit": dataset.unit})
    pairs = zip(samples, converted, strict=True)
    images = [prepared.Original(str(one), dataset.group(one) or "", it.height, it.width) for one, it in pairs]
    prepared.write_test_images(out, images)
    prepared.write_original_masks(out, {place: it.original for place, it in enumerate(converted) if it.original})


def thin(dataset: Dataset, samples: list[Any], out: Path) -> list[Any]:
    """Rewrite the train arrays with what `keep` leaves and return those samples. Raises UserError if none is left."""
    class_pixels = count_classes(np.load(out / "train_masks.npy", mmap_mode="r"), len(dataset.classes))
    rows = dataset.kept(class_pixels)
    if not len(rows):
        raise UserError(f"keep: {dataset.keep} leaves none of the {len(samples)} train images. Raise the shares.")
    if gone := [name for name, pixels in zip(dataset.classes, class_pixels[rows].sum(0), strict=True) if not pixels]:
        raise UserError(f"keep: {dataset.keep} leaves no train image of class {listed(gone)}. Raise the shares.")
    for path in (out / "train_images.npy", out / "train_masks.npy"):
        every = np.load(path, mmap_mode="r")
        with whole(path) as part:
            left = np.lib.format.open_memmap(part, "w+", every.dtype, (len(rows), *every.shape[1:]))
            for place, row in enumerate(rows):
                left[place] = every[row]
    print(f"keep leaves {len(rows)} of {len(samples)} train images.")
    return [samples[row] for row in rows]


def describe(dataset: Dataset, names: dict[str, list[str]], out: Path) -> dict[str, Any]:
    """What `meta.json` says of the whole dataset; the digest is one of all arrays and class names."""
    arrays = {path.name: file_digest(path) for path in out.glob("*.npy")}
    folds = {"folds": dataset.folds, "fold": dataset.fold, "fold_of": dataset.fold_of} if dataset.folds else {}
    return folds | {
        "classes": dataset.classes,
        "image_size": list(dataset.size),
        "ignore_index": IGNORE,
        "counts": {split: len(names[split]) for split in SPLITS},
        "digest": digest({"arrays": arrays, "classes": dataset.classes}),
    }


def print_table(frequencies: list[dict[str, Any]], ignored_share: float) -> None:
    """The class frequencies of the train split."""
    width = max(len(name) for name in ("class", *(row["class"] for row in frequencies)))
    print(f"{'class':{width}}  % of pixels  % of images")
    for row in frequencies:
        print(f"{row['class']:{width}}  {row['pixel_frequency']:>11.2%}  {row['image_frequency']:>11.2%}")
    print(f"{ignored_share:.2%} of the train pixels are ignored.")


if __name__ == "__main__":
    run_stage(main)

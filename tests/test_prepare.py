import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import Field

from pipeline import prepare
from pipeline.datasets.base import SPLITS, Dataset
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import read_json
from pipeline.plumbing.labels import IGNORE

IDENTITY = {"dataset": "toy", "kind": "toy"}


class Toy(Dataset):
    """Random images; what a test wants to be wrong about a sample stands in `load`."""

    license = "none"
    citation = "none"

    classes: list[str] = ["ground", "common", "rare"]
    counts: dict[str, int] = Field(default={"train": 12, "val": 3, "test": 5})
    seeds: dict[str, int] = {"train": 0, "val": 1, "test": 2}

    def samples(self, raw: Path) -> dict[str, list[Any]]:
        return {split: [f"{split} {index}" for index in range(self.counts[split])] for split in SPLITS}

    def load(self, sample: str) -> tuple[np.ndarray, np.ndarray]:
        split, index = sample.split()
        rng = np.random.default_rng([self.seeds[split], int(index)])
        mask = rng.choice([0, 1, IGNORE], size=(40, 60), p=[0.7, 0.2, 0.1]).astype(np.uint8)
        if int(index) % 5 == 0:
            mask[:20, :20] = 2
        return rng.integers(256, size=(40, 60, 3), dtype=np.uint8), mask


@pytest.fixture
def toy(tmp_path):
    prepare.prepare(Toy(image_size=[20, 30]), IDENTITY, tmp_path, tmp_path / "toy")
    return tmp_path / "toy"


def test_arrays_have_the_promised_forms(toy):
    for split, count in (("train", 12), ("val", 3), ("test", 5)):
        images, masks = (np.load(toy / f"{split}_{what}.npy") for what in ("images", "masks"))
        assert (images.shape, images.dtype) == ((count, 20, 30, 3), np.uint8)
        assert (masks.shape, masks.dtype) == ((count, 20, 30), np.uint8)
        assert set(np.unique(masks)) <= {0, 1, 2, IGNORE}
    assert read_json(toy / "names.json")["val"] == ["val 0", "val 1", "val 2"]


def test_statistics_are_those_of_the_train_arrays(toy):
    meta = read_json(toy / "meta.json")
    images, masks = np.load(toy / "train_images.npy") / 255, np.load(toy / "train_masks.npy")
    pixels = np.array([[(mask == index).sum() for index in range(3)] for mask in masks])
    stored = np.load(toy / "train_class_pixels.npy")
    assert stored.dtype == np.int64
    np.testing.assert_array_equal(stored, pixels)
    assert meta["pixel_frequency"] == pytest.approx(pixels.sum(0) / (masks != IGNORE).sum())
    assert meta["image_frequency"] == pytest.approx((pixels > 0).mean(0))
    assert meta["ignored_share"] == pytest.approx((masks == IGNORE).mean())
    assert meta["mean"] == pytest.approx(images.mean((0, 1, 2)))
    assert meta["std"] == pytest.approx(images.std((0, 1, 2)))


def test_components_are_counted_across_corners_and_void_is_no_class():
    """By hand: two squares that touch at a corner are one, one that stands apart is another."""
    mask = np.full((6, 8), IGNORE, np.uint8)
    mask[:2, :2] = mask[2:4, 2:4] = mask[5, 7] = 1
    mask[0, 5] = 0
    masks = np.stack([mask, np.full_like(mask, 2)])
    found = prepare.count_components(masks, prepare.count_classes(masks, 4))
    assert found.tolist() == [[1, 2, 0, 0], [0, 0, 1, 0]]


def test_components_are_those_of_another_library(toy):
    """SciPy's labels, with the eight neighbours."""
    from scipy.ndimage import label

    masks, found = np.load(toy / "train_masks.npy"), np.load(toy / "train_class_components.npy")
    assert found.dtype == np.int64
    expected = [[label(mask == index, np.ones((3, 3)))[1] for index in range(3)] for mask in masks]
    assert found.tolist() == expected
    assert found.max() > 1


def kept(tmp_path, name: str, **options: Any) -> Path:
    """`Toy`, whose train images 0, 5 and 10 of 12 hold the class `rare`, prepared with some of them."""
    out = tmp_path / name
    prepare.prepare(Toy(image_size=[20, 30], **options), IDENTITY, tmp_path, out)
    return out


def test_keep_removes_train_images_and_nothing_else(toy, tmp_path):
    """Of three images with the class one is kept; all others are what they were, in their order."""
    thinned = kept(tmp_path, "thinned", keep={"rare": 0.3})
    before, after = read_json(toy / "names.json"), read_json(thinned / "names.json")
    gone = set(before["train"]) - set(after["train"])
    assert len(gone) == 2
    assert gone < {"train 0", "train 5", "train 10"}
    rows = [place for place, name in enumerate(before["train"]) if name not in gone]
    assert after == {**before, "train": [before["train"][row] for row in rows]}
    for path in toy.glob("*.npy"):
        whole, left = np.load(path), np.load(thinned / path.name)
        assert left.dtype == whole.dtype
        np.testing.assert_array_equal(left, whole[rows] if path.name.startswith("train") else whole)
    assert sorted(path.name for path in thinned.iterdir()) == sorted(path.name for path in toy.iterdir())


def test_statistics_are_of_what_is_kept(tmp_path):
    """Also the mean and standard deviation, with which images are normalised."""
    thinned = kept(tmp_path, "thinned", keep={"rare": 0.3})
    meta = read_json(thinned / "meta.json")
    images, masks = np.load(thinned / "train_images.npy") / 255, np.load(thinned / "train_masks.npy")
    assert meta["counts"] == {"train": 10, "val": 3, "test": 5}
    assert meta["image_frequency"] == [1, 1, 0.1]
    assert meta["pixel_frequency"][2] == pytest.approx((masks == 2).sum() / (masks != IGNORE).sum())
    assert meta["mean"] == pytest.approx(images.mean((0, 1, 2)))


def test_to_keep_all_is_to_keep_every_byte(toy, tmp_path):
    """So that a sweep of shares may begin at 1."""
    same = kept(tmp_path, "same", keep={"rare": 1, "ground": 1.0})
    for path in toy.iterdir():
        assert path.read_bytes() == (same / path.name).read_bytes(), path.name


def test_what_is_kept_is_decided_on_the_resized_masks(monkeypatch, tmp_path):
    """One pixel of a class that is lost when the mask is made smaller does not cost its image."""

    def speck(image, mask):
        mask[0, 0] = 2
        return image, mask

    faulty(monkeypatch, {f"train {index}": speck for index in (1, 2, 3)})
    names = read_json(kept(tmp_path, "thinned", keep={"rare": 0.3}) / "names.json")["train"]
    assert {"train 1", "train 2", "train 3"} < set(names)


def test_a_class_that_another_class_takes_away_is_refused(tmp_path):
    """Every image holds `common`, and the one that is kept for it need not hold `rare`."""
    shares = {"common": 0.01, "rare": 1.0}
    with pytest.raises(UserError, match=r"no pixel of the train split is of class rare.*raise the shares under `keep`"):
        kept(tmp_path, "thinned", keep=shares)


def test_keep_that_leaves_nothing_is_refused(tmp_path):
    """Each class keeps another image, which the other class gives up."""
    shares = {"ground": 0.01, "common": 0.01}
    with pytest.raises(UserError, match=r"keep: .* leaves none of the 12 train images"):
        kept(tmp_path, "thinned", keep=shares)


def test_meta_says_what_was_prepared(toy):
    meta = read_json(toy / "meta.json")
    assert meta["image_size"] == [20, 30]
    assert meta["counts"] == {"train": 12, "val": 3, "test": 5}
    assert meta["classes"] == ["ground", "common", "rare"]
    assert (meta["dataset"], meta["kind"], meta["ignore_index"]) == ("toy", "toy", IGNORE)
    assert len(meta["digest"]) == 32


def test_the_table_of_frequencies(toy, capsys):
    rows = list(csv.DictReader((toy / "class_frequencies.csv").read_text().splitlines()))
    assert [row["class"] for row in rows] == ["ground", "common", "rare"]
    assert sum(float(row["pixel_frequency"]) for row in rows) == pytest.approx(1)
    assert rows[2]["images"] == "3"
    prepare.print_table(prepare.class_frequencies(["a", "b"], np.array([[3, 1], [4, 0]])), 0.25)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "a           87.50%      100.00%",
        "b           12.50%       50.00%",
        "25.00% of the train pixels are ignored.",
    ]


@pytest.mark.parametrize("split", ["val", "test"])
def test_val_and_test_have_no_share_in_what_training_sees(toy, tmp_path, split):
    poisoned = Toy(image_size=[20, 30], seeds=Toy().seeds | {split: 99})
    prepare.prepare(poisoned, IDENTITY, tmp_path, tmp_path / "poisoned")
    changed = [
        path.name for path in toy.iterdir() if path.read_bytes() != (tmp_path / "poisoned" / path.name).read_bytes()
    ]
    assert sorted(changed) == sorted(["meta.json", f"{split}_images.npy", f"{split}_masks.npy"])
    before, after = read_json(toy / "meta.json"), read_json(tmp_path / "poisoned/meta.json")
    assert [key for key in before if before[key] != after[key]] == ["digest"]


def test_prepared_twice_is_equal_byte_for_byte(toy, tmp_path):
    prepare.prepare(Toy(image_size=[20, 30]), IDENTITY, tmp_path, tmp_path / "again")
    for path in toy.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes(), path.name


def test_digest_knows_arrays_and_class_names(toy, tmp_path):
    prepare.prepare(Toy(image_size=[20, 30], classes=["a", "b", "c"]), IDENTITY, tmp_path, tmp_path / "renamed")
    assert read_json(toy / "meta.json")["digest"] != read_json(tmp_path / "renamed/meta.json")["digest"]


def test_resizing_averages_images_and_picks_mask_values():
    checks = np.indices((8, 8)).sum(0).astype(np.uint8) % 2 * 200
    image = prepare.resized(np.stack([checks] * 3, axis=2), (2, 2), Image.Resampling.BILINEAR)
    assert np.abs(image.astype(int) - 100).max() <= 2
    mask = prepare.resized(checks, (4, 4), Image.Resampling.NEAREST)
    assert set(np.unique(mask)) <= {0, 200}


def faulty(monkeypatch, faults):
    """`Toy` whose `load` fails, or returns something else, for the samples named in `faults`."""
    load = Toy.load

    def failing(self, sample):
        fault = faults.get(sample)
        if isinstance(fault, Exception):
            raise fault
        return fault(*load(self, sample)) if fault else load(self, sample)

    monkeypatch.setattr(Toy, "load", failing)


def test_all_bad_samples_of_all_splits_are_reported_at_once(monkeypatch, tmp_path):
    faults = {
        "train 3": OSError("image file is truncated"),
        "val 1": lambda image, mask: (image[:-1], mask),
        "test 4": lambda image, mask: (image, mask + np.uint8(3)),
    }
    faulty(monkeypatch, faults)
    with pytest.raises(UserError) as error:
        prepare.prepare(Toy(), IDENTITY, tmp_path, tmp_path / "toy")
    assert str(error.value).split("\n")[1:] == [
        "train 3: image file is truncated",
        "val 1: image of (39, 60) and mask of (40, 60) pixels (height, width).",
        "test 4: mask values 3, 4 are no class and not 255.",
    ]


def test_a_long_report_ends_with_a_number(monkeypatch, tmp_path):
    faulty(monkeypatch, {f"train {index}": OSError("gone") for index in range(80)})
    with pytest.raises(UserError, match="80 samples cannot be used") as error:
        prepare.prepare(Toy(counts={"train": 80, "val": 1, "test": 1}), IDENTITY, tmp_path, tmp_path / "toy")
    assert str(error.value).splitlines()[-1] == "and 30 more"


def test_errors_of_the_code_are_not_taken_for_bad_samples(monkeypatch, tmp_path):
    faulty(monkeypatch, {"train 3": ZeroDivisionError()})
    with pytest.raises(ZeroDivisionError):
        prepare.prepare(Toy(), IDENTITY, tmp_path, tmp_path / "toy")


@pytest.mark.parametrize("split", SPLITS)
def test_an_empty_split_is_refused(tmp_path, split):
    with pytest.raises(UserError, match=f"no samples in the split {split}"):
        prepare.prepare(Toy(counts=Toy().counts | {split: 0}), IDENTITY, tmp_path, tmp_path / "toy")


def test_a_sample_in_two_splits_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(Toy, "samples", lambda *_: {"train": ["train 0"], "val": ["val 0"], "test": ["train 0"]})
    with pytest.raises(UserError, match="more than once in the splits: train 0"):
        prepare.prepare(Toy(), IDENTITY, tmp_path, tmp_path / "toy")


def test_a_class_without_a_train_pixel_is_refused(tmp_path):
    dataset = Toy(classes=["ground", "common", "rare", "unicorn"])
    with pytest.raises(UserError, match="no pixel of the train split is of class unicorn"):
        prepare.prepare(dataset, IDENTITY, tmp_path, tmp_path / "toy")


def test_a_full_disk_is_noticed_before_writing(monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(UserError, match=r"needs .* GB"):
        prepare.prepare(Toy(), IDENTITY, tmp_path, tmp_path / "toy")


def test_room_is_needed_for_train_twice_where_it_is_thinned(monkeypatch, tmp_path):
    """The old arrays are there until the new ones are whole: 32 instead of 20 samples of 20 x 30 pixels, 4 bytes each."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 20 * 20 * 30 * 4}))
    samples = Toy().samples(tmp_path)
    prepare.check_space(tmp_path, Toy(image_size=[20, 30]), samples)
    with pytest.raises(UserError, match=r"needs .* GB"):
        prepare.check_space(tmp_path, Toy(image_size=[20, 30], keep={"rare": 0.5}), samples)


def test_a_constant_channel_can_be_normalised():
    """A standard deviation of 0 would make every pixel NaN."""
    found = prepare.channel_statistics(np.full((2, 4, 4, 3), 51, np.uint8))
    assert found == {"mean": [0.2] * 3, "std": [1 / 255] * 3}

import csv

import numpy as np
import pytest
from PIL import Image

from pipeline import prepare
from pipeline.datasets.base import SPLITS, Dataset
from pipeline.datasets.base_presence import Held
from pipeline.datasets.base_statistics import class_frequencies
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import read_json
from pipeline.plumbing.labels import IGNORE
from tests.toy_dataset import IDENTITY, Toy, Usage, faulty, prepared_toy


@pytest.fixture
def toy(tmp_path):
    return prepared_toy(tmp_path, "toy")


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


def test_components_are_those_of_another_library(toy):
    """SciPy's labels, with the eight neighbours."""
    from scipy.ndimage import label

    masks, found = np.load(toy / "train_masks.npy"), np.load(toy / "train_class_components.npy")
    assert found.dtype == np.int64
    expected = [[label(mask == index, np.ones((3, 3)))[1] for index in range(3)] for mask in masks]
    assert found.tolist() == expected
    assert found.max() > 1


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
    prepare.print_table(class_frequencies(["a", "b"], np.array([[3, 1], [4, 0]])), 0.25)
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
    originals = ["test_original_masks.zip"] if split == "test" else []
    assert sorted(changed) == sorted(["meta.json", f"{split}_images.npy", f"{split}_masks.npy", *originals])
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


def test_a_sample_whose_name_is_not_utf8_is_refused(monkeypatch, tmp_path):
    """As an archive from another system may name its files."""
    monkeypatch.setattr(Toy, "samples", lambda *_: {"train": ["train 0"], "val": ["val 0"], "test": ["caf\udce9 0"]})
    with pytest.raises(UserError, match=r"names that are not UTF-8 .*: caf\\xe9 0\.$"):
        prepare.prepare(Toy(), IDENTITY, tmp_path, tmp_path / "toy")


def test_a_class_without_a_train_pixel_is_refused(tmp_path):
    dataset = Toy(classes=["ground", "common", "rare", "unicorn"])
    with pytest.raises(UserError, match="no pixel of the train split is of class unicorn"):
        prepare.prepare(dataset, IDENTITY, tmp_path, tmp_path / "toy")


def test_a_full_disk_is_noticed_before_writing(monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(1000))
    with pytest.raises(UserError, match=r"needs .* GB"):
        prepare.prepare(Toy(), IDENTITY, tmp_path, tmp_path / "toy")


def test_meta_of_a_fold_says_which_fold_of_what(toy, tmp_path):
    metas = [read_json(prepared_toy(tmp_path, f"fold {fold}", folds=4, fold=fold) / "meta.json") for fold in range(4)]
    assert [(meta["folds"], meta["fold"]) for meta in metas] == [(4, fold) for fold in range(4)]
    assert {meta["fold_of"] for meta in metas} == {Toy(image_size=[20, 30], folds=4).fold_of}
    assert set(metas[0]) - set(read_json(toy / "meta.json")) == {"folds", "fold", "fold_of"}


def test_over_the_folds_every_image_is_tested_once(toy, tmp_path):
    """By the names that are written, and by the bytes of the images."""
    folds = [prepared_toy(tmp_path, f"fold {fold}", folds=4, fold=fold) for fold in range(4)]
    names = [read_json(fold / "names.json") for fold in folds]
    every = sorted(name for split in read_json(toy / "names.json").values() for name in split)
    assert sorted(name for each in names for name in each["test"]) == every
    tested = [image.tobytes() for fold in folds for image in np.load(fold / "test_images.npy")]
    official = [image.tobytes() for split in SPLITS for image in np.load(toy / f"{split}_images.npy")]
    assert sorted(tested) == sorted(official)
    for each in names:
        assert sorted(each["train"] + each["val"] + each["test"]) == every


def test_control_characters_of_a_warning_do_not_reach_the_terminal(capsys):
    class Warns(Dataset):
        classes: list[str] = ["ground", "sky"]

        def review(self, held):
            return "in ma\x1b[31m\nsks"

    samples = {split: [split] for split in SPLITS}
    prepare.check_classes(Warns(), samples, {split: [Held(frozenset({0, 1}), frozenset({0, 1}))] for split in SPLITS})
    assert capsys.readouterr().err == "warning: in ma\\x1b[31m\\nsks\n"

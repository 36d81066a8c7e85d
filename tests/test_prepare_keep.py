import numpy as np
import pytest

from pipeline import prepare
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import read_json
from pipeline.plumbing.labels import IGNORE
from tests.toy_dataset import Toy, Usage, faulty, prepared_toy


@pytest.fixture
def toy(tmp_path):
    return prepared_toy(tmp_path, "toy")


def test_keep_removes_train_images_and_nothing_else(toy, tmp_path):
    """Of three images with the class one is kept; all others are what they were, in their order."""
    thinned = prepared_toy(tmp_path, "thinned", keep={"rare": 0.3})
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
    thinned = prepared_toy(tmp_path, "thinned", keep={"rare": 0.3})
    meta = read_json(thinned / "meta.json")
    images, masks = np.load(thinned / "train_images.npy") / 255, np.load(thinned / "train_masks.npy")
    assert meta["counts"] == {"train": 10, "val": 3, "test": 5}
    assert meta["image_frequency"] == [1, 1, 0.1]
    assert meta["pixel_frequency"][2] == pytest.approx((masks == 2).sum() / (masks != IGNORE).sum())
    assert meta["mean"] == pytest.approx(images.mean((0, 1, 2)))


def test_to_keep_all_is_to_keep_every_byte(toy, tmp_path):
    """So that a sweep of shares may begin at 1."""
    same = prepared_toy(tmp_path, "same", keep={"rare": 1, "ground": 1.0})
    for path in toy.iterdir():
        assert path.read_bytes() == (same / path.name).read_bytes(), path.name


def test_what_is_kept_is_decided_on_the_resized_masks(monkeypatch, tmp_path):
    """One pixel of a class that is lost when the mask is made smaller does not cost its image."""

    def speck(image, mask):
        mask[0, 0] = 2
        return image, mask

    faulty(monkeypatch, {f"train {index}": speck for index in (1, 2, 3)})
    names = read_json(prepared_toy(tmp_path, "thinned", keep={"rare": 0.3}) / "names.json")["train"]
    assert {"train 1", "train 2", "train 3"} < set(names)


def test_a_class_that_another_class_takes_away_is_refused(tmp_path):
    """Every image holds `common`, and the one that is kept for it need not hold `rare`."""
    shares = {"common": 0.01, "rare": 1.0}
    with pytest.raises(UserError, match=r"keep: \{.*\} leaves no train image of class rare\. Raise the shares\."):
        prepared_toy(tmp_path, "thinned", keep=shares)


def test_keep_that_leaves_nothing_is_refused(tmp_path):
    """Each class keeps another image, which the other class gives up."""
    shares = {"ground": 0.01, "common": 0.01}
    with pytest.raises(UserError, match=r"keep: .* leaves none of the 12 train images"):
        prepared_toy(tmp_path, "thinned", keep=shares)


def test_room_is_needed_for_train_twice_where_it_is_thinned(monkeypatch, tmp_path):
    """The old arrays are there until the new ones are whole: 32 instead of 20 samples of 40 x 60 pixels, 4 bytes each."""
    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage(20 * 40 * 60 * 4))
    samples = Toy().samples(tmp_path)
    prepare.check_space(tmp_path, Toy(image_size=[40, 60]), samples)
    with pytest.raises(UserError, match=r"needs .* GB"):
        prepare.check_space(tmp_path, Toy(image_size=[40, 60], keep={"rare": 0.5}), samples)

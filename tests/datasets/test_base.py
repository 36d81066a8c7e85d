from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.datasets.base import SPLITS, Dataset
from pipeline.datasets.camvid import CamVid
from pipeline.datasets.digits import Digits
from pipeline.plumbing.errors import UserError


class Three(Dataset):
    """Three classes, and no sample."""

    classes: list[str] = ["ground", "common", "rare"]


def held_pixels() -> np.ndarray:
    """`n classes` for 100 images: all hold ground, 60 hold common, 30 hold rare."""
    rng = np.random.default_rng(0)
    held = np.array([np.arange(100) < count for count in (100, 60, 30)]).T
    return rng.permuted(held, axis=0) * rng.integers(1, 9, size=(100, 3))


@pytest.mark.parametrize(("share", "count"), [(1.0, 30), (0.5, 15), (0.1, 3), (0.07, 3), (0.01, 1), (1e-6, 1)])
def test_a_share_of_the_images_with_a_class_is_kept_and_at_least_one(share, count):
    """Rounded up; images without the class all stay."""
    pixels = held_pixels()
    rows = Three(keep={"rare": share}).kept(pixels)
    assert (pixels[rows, 2] > 0).sum() == count
    assert (pixels[rows, 2] == 0).sum() == 70


def test_whole_numbers_are_not_rounded_up():
    """0.07 times 100 is a little more than 7 in floating point."""
    assert len(Three(keep={"ground": 0.07}).kept(held_pixels())) == 7


def test_a_smaller_share_is_a_subset_of_a_larger():
    """So that a sweep compares sets of images that grow, not different ones."""
    pixels = held_pixels()
    sets = [set(Three(keep={"rare": share, "common": 0.8}).kept(pixels).tolist()) for share in (0.05, 0.2, 0.6, 1.0)]
    assert sets[0] < sets[1] < sets[2] < sets[3]


def test_an_image_goes_if_any_class_gives_it_up():
    """Whatever the order in which the classes are named."""
    pixels, shares = held_pixels(), {"rare": 0.2, "common": 0.5}
    alone = [set(Three(keep={name: share}).kept(pixels).tolist()) for name, share in shares.items()]
    for names in (["rare", "common"], ["common", "rare"]):
        both = Three(keep={name: shares[name] for name in names}).kept(pixels)
        assert set(both.tolist()) == alone[0] & alone[1]


def test_what_is_kept_is_random():
    """Neighbours in a video hold the same things, so the first ones would be a poor sample; each class draws its own."""
    pixels = np.ones((100, 3), int)
    drawn = [Three(keep={name: 0.2}).kept(pixels) for name in ("rare", "common")]
    assert all(4 < (rows < 50).sum() < 16 for rows in drawn)
    assert drawn[0].tolist() != drawn[1].tolist()


class Videos(Dataset):
    """Frames of six videos, four each; the last two frames of a video hold the rare class."""

    classes: list[str] = ["ground", "rare"]
    grouped: bool = True

    def samples(self, raw: Path) -> dict[str, list[Any]]:
        frames = [f"{video}_{frame}" for video in "abcdef" for frame in range(4)]
        return {"train": frames[:14], "val": frames[14:18], "test": frames[18:]}

    def group(self, sample: str) -> str | None:
        return sample[0] if self.grouped else None

    def strata(self, samples: list[str]) -> list[bool]:
        return [sample[-1] in "23" for sample in samples]


def test_without_folds_the_splits_are_the_official_ones(tmp_path):
    assert Videos().splits(tmp_path) == Videos().samples(tmp_path)


@pytest.mark.parametrize("grouped", [True, False])
def test_over_the_folds_every_official_sample_is_tested_once(tmp_path, grouped):
    every = sorted(name for split in Videos().samples(tmp_path).values() for name in split)
    splits = [Videos(folds=3, fold=fold, grouped=grouped).splits(tmp_path) for fold in range(3)]
    assert sorted(name for each in splits for name in each["test"]) == every
    for each in splits:
        assert sorted(each["train"] + each["val"] + each["test"]) == every


def test_a_group_is_in_one_split_though_the_official_ones_divide_it(tmp_path):
    """The frames of the videos d and e are in two official splits each."""
    for fold in range(3):
        splits = Videos(folds=3, fold=fold).splits(tmp_path)
        videos = {split: {name[0] for name in splits[split]} for split in SPLITS}
        assert [len(videos[split]) for split in SPLITS] == [2, 2, 2]
        assert len(set.union(*videos.values())) == 6


def test_without_groups_the_strata_are_shared_out(tmp_path):
    """Half of the frames of each split are rare."""
    splits = Videos(folds=3, fold=1, grouped=False).splits(tmp_path)
    assert [sum(name[-1] in "23" for name in splits[split]) for split in SPLITS] == [4, 4, 4]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"folds": 5, "fold": 5}, "fold: 5 is none of 5 folds, which are 0 to 4."),
        ({"fold": 2}, "fold: 2 needs `folds`, the number of parts, 3 to 20; add it or remove `fold`."),
        ({"folds": 1}, "folds: 1 leaves nothing to train on; give 3 to 20, or 0 for the usual split."),
        ({"folds": 2, "fold": 1}, "folds: 2 leaves nothing to train on; give 3 to 20, or 0 for the usual split."),
    ],
)
def test_a_fold_that_does_not_exist_is_refused(options, sentence):
    """With two parts, test and val would take both."""
    with pytest.raises(UserError) as error:
        Three.read(options, "params.yaml: axes.dataset.mine")
    assert str(error.value) == f"params.yaml: axes.dataset.mine: {sentence}"


@pytest.mark.parametrize("options", [{"folds": 21}, {"folds": -1}, {"folds": 3, "fold": -1}])
def test_numbers_of_folds_have_their_range(options):
    with pytest.raises(UserError, match=r"axes\.dataset\.mine\.folds?: .* should be"):
        Three.read(options, "params.yaml: axes.dataset.mine")


def test_folds_know_that_they_belong_together():
    """Also where one writes out a default, and whatever the spacing: no training depends on it."""
    shared = {"folds": 5, "image_size": 32}
    known = Three.read(shared, "test").fold_of
    assert len(known) == 32
    for same in ({"fold": 3}, {"fold": 1, "keep": {}}, {"spacing": [0.5, 0.5], "unit": "mm"}):
        assert Three.read(shared | same, "test").fold_of == known
    for other in ({"folds": 4}, {"image_size": 64}, {"keep": {"rare": 0.5}}):
        assert Three.read(shared | other, "test").fold_of != known
    assert Digits(folds=5).fold_of != CamVid(folds=5).fold_of
    assert Three().fold_of is None


@pytest.mark.parametrize(
    "spacing", [[1], [1, 2, 3], [0, 1], [-1, 1], [float("nan"), 1], [float("inf"), 1], 2, ["a", 1]]
)
def test_senseless_spacings_are_refused(spacing):
    with pytest.raises(UserError, match=r"axes\.dataset\.mine\.spacing"):
        Three.read({"spacing": spacing}, "params.yaml: axes.dataset.mine")


def test_a_spacing_may_be_of_whole_numbers():
    """As a person writes them."""
    assert Three.read({"spacing": [2, 0.5], "unit": "mm"}, "test").spacing == [2, 0.5]

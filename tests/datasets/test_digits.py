from pathlib import Path

import numpy as np
import pytest

from pipeline.datasets.base import SPLITS
from pipeline.datasets.digits import Digits
from pipeline.plumbing.errors import UserError


def drawn(raw: Path, **options):
    """A dataset, its scenes and its drawn images and masks by split."""
    dataset = Digits.read(options, "test")
    dataset.download(raw, raw.parent)
    scenes = dataset.samples(raw)
    return dataset, scenes, {split: [dataset.load(scene) for scene in scenes[split]] for split in SPLITS}


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    return drawn(tmp_path_factory.mktemp("digits") / "raw")


def test_sizes_and_classes(default):
    dataset, _, pairs = default
    assert dataset.classes == ["background", "digit 0", "digit 1", "digit 2", "digit 4"]
    assert {split: len(pairs[split]) for split in SPLITS} == {"train": 240, "val": 60, "test": 120}
    for image, mask in pairs["val"]:
        assert (image.shape, image.dtype, mask.shape, mask.dtype) == ((64, 64, 3), np.uint8, (64, 64), np.uint8)


def test_drawn_twice_is_equal_bit_for_bit(default, tmp_path):
    _, _, pairs = drawn(tmp_path / "raw")
    for split in SPLITS:
        np.testing.assert_equal(pairs[split], default[2][split])


def test_another_seed_draws_other_images(default, tmp_path):
    _, _, pairs = drawn(tmp_path / "raw", data_seed=1)
    assert not any((a[0] == b[0]).all() for a, b in zip(pairs["test"], default[2]["test"], strict=True))


@pytest.mark.parametrize("what", ["instance", "tile"])
def test_splits_share_no_handwriting_and_no_part_of_a_photograph(default, what):
    _, scenes, _ = default
    used = {
        split: {scene.tile for scene in scenes[split]}
        if what == "tile"
        else {digit.instance for scene in scenes[split] for digit in scene.digits}
        for split in SPLITS
    }
    assert len(set.union(*used.values())) == sum(map(len, used.values()))


def test_crops_stay_inside_their_tile(default):
    _, scenes, _ = default
    inside = {}
    for scene in scenes["train"]:
        inside.setdefault(scene.tile, set()).add(scene.background.base.ctypes.data)
    assert all(64 <= len(scene.background) <= 106 for split in SPLITS for scene in scenes[split])
    assert all(len(photographs) == 1 for photographs in inside.values())


def test_train_follows_the_long_tail():
    dataset = Digits.read({"imbalance": 16, "digits": [3, 5, 8], "train_images": 420}, "test")
    assert dataset.pasted("train") == [640, 160, 40]


def test_without_imbalance_all_are_equally_common():
    assert Digits.read({"imbalance": 1}, "test").pasted("train") == [120] * 4


def test_rare_classes_occur_often_enough_to_be_judged():
    dataset = Digits.read({"imbalance": 1000}, "test")
    assert dataset.pasted("val")[-1] == 8
    assert dataset.pasted("test")[-1] == 15
    assert dataset.pasted("train")[-1] == 4


def test_as_many_digits_are_drawn_as_promised(default):
    dataset, scenes, pairs = default
    for split in SPLITS:
        indices = [digit.index for scene in scenes[split] for digit in scene.digits]
        assert np.bincount(indices, minlength=5)[1:].tolist() == dataset.pasted(split)
        for scene, (_, mask) in zip(scenes[split], pairs[split], strict=True):
            assert 1 <= len(scene.digits) <= 4
            assert set(np.unique(mask)) == {0} | {digit.index for digit in scene.digits}


def test_a_class_holds_the_handwriting_of_its_digit(default):
    from sklearn.datasets import load_digits

    dataset, scenes, _ = default
    labels = load_digits().target
    for digit in (digit for scene in scenes["train"] for digit in scene.digits):
        assert dataset.digits[digit.index - 1] == labels[digit.instance]


def test_masks_are_exact(default):
    """Taking one digit away changes pixels only around its mask, and every pixel of its mask."""
    from scipy.ndimage import binary_dilation

    dataset, scenes, _ = default
    for scene in scenes["train"][:40]:
        image, mask = dataset.load(scene)
        fewer, mask_of_fewer = dataset.load(scene._replace(digits=scene.digits[1:]))
        changed, own = (image != fewer).any(2), mask != mask_of_fewer
        assert set(np.unique(mask[own])) == {scene.digits[0].index}
        assert (changed & own).sum() > 0.98 * own.sum()  # a colour may be that of the ground by chance
        assert not (changed & ~binary_dilation(own, iterations=4)).any()


def test_a_digit_stands_out_from_its_ground(default):
    dataset, scenes, _ = default
    for scene in scenes["test"]:
        (image, mask), (ground, _) = dataset.load(scene), dataset.load(scene._replace(digits=[]))
        assert np.abs(image[mask > 0].astype(int) - ground[mask > 0]).mean() > 15


@pytest.mark.parametrize("options", [{"image_size": 32}, {"image_size": 250, "digits": list(range(10))}])
def test_other_sizes_and_many_classes(tmp_path, options):
    few = {"train_images": 10, "val_images": 10, "test_images": 10, "imbalance": 1000}
    dataset, _, pairs = drawn(tmp_path / "raw", **options, **few)
    for split in SPLITS:
        assert set(np.unique([mask for _, mask in pairs[split]])) == set(range(len(dataset.classes)))
        assert pairs[split][0][0].shape == (*dataset.size, 3)


@pytest.mark.parametrize("digits", [[1], [1, 1], [1, 10], [-1, 2], []])
def test_senseless_digits_are_refused(digits):
    with pytest.raises(UserError, match=r"axes.dataset.digits.digits: must be two or more different digits"):
        Digits.read({"digits": digits}, "params.yaml: axes.dataset.digits")

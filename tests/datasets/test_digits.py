import hashlib
import itertools
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from pipeline.datasets.base import SPLITS
from pipeline.datasets.digits import Digits
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import file_digest, read_json
from tests.miniature import ROOT, Miniature

GOLDEN = {
    "train": "5692ea91c3933101b9abcd363d66d37f",
    "val": "dc63f5ce25665127ee84d0ac442711f2",
    "test": "e7d92a25655062921dfc722fd15e87e4",
}


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


def test_without_the_dials_nothing_has_moved(default):
    """All random numbers and masks, as digests of what was drawn before there were dials: old results stay valid."""
    _, scenes, pairs = default
    found = {}
    for split in SPLITS:
        content = hashlib.md5()
        for scene, (_, mask) in zip(scenes[split], pairs[split], strict=True):
            content.update(scene.background.tobytes() + mask.tobytes())
            for digit in scene.digits:
                numbers = [digit.instance, digit.top, digit.left, digit.side, digit.angle, *digit.tint, digit.opacity]
                content.update(np.array(numbers, float).tobytes())
        found[split] = content.hexdigest()
    assert found == GOLDEN


def test_meta_of_the_default_has_not_moved(run_stages, tmp_path):
    """The shipped cells were trained with this very file; an option that is not used must leave no trace in it."""
    prepared = run_stages(tmp_path, "digits", {"image_size": 64, "imbalance": 10.0})
    assert file_digest(prepared / "meta.json") == "5814954c933de0ff0b5345bd4953193b"
    assert not (prepared / "test_original_masks.zip").exists(), "digits are drawn at the size they are trained at"


def test_over_the_folds_every_scene_of_every_split_is_tested_once(default, tmp_path):
    """The scenes are those without folds, drawn as ever."""
    Digits().download(tmp_path / "raw", tmp_path)
    splits = [Digits(folds=5, fold=fold).splits(tmp_path / "raw") for fold in range(5)]
    assert sorted(str(scene) for each in splits for scene in each["test"]) == sorted(
        str(scene) for split in SPLITS for scene in default[1][split]
    )
    assert [len(each["test"]) for each in splits] == [84] * 5


def test_each_fold_has_its_share_of_the_rarest_digits(default, tmp_path):
    """Of the images in the pool, a fifth of those whose rarest digit is the rarest of all."""
    Digits().download(tmp_path / "raw", tmp_path)
    pool = Digits().strata([scene for split in SPLITS for scene in default[1][split]])
    for fold in range(5):
        tested = Digits().strata(Digits(folds=5, fold=fold).splits(tmp_path / "raw")["test"])
        assert abs(tested.count(4) - pool.count(4) / 5) < 1


def rarity(pairs, classes: int) -> tuple[float, float]:
    """Pixels of the last class for each of the first digit, and share of the images that hold it."""
    masks = np.stack([mask for _, mask in pairs])
    return (masks == classes - 1).sum() / (masks == 1).sum(), (masks == classes - 1).any((1, 2)).mean()


@pytest.mark.parametrize("share", [0.5, 0.15, 0.05, 0.0125, 1.0])
def test_the_dial_of_images_gives_their_share_exactly(default, tmp_path, share):
    """One digit each, in train alone."""
    dataset, scenes, pairs = drawn(tmp_path / "raw", rarest_images=share)
    count = round(share * 240)
    assert rarity(pairs["train"], 5)[1] == count / 240
    assert dataset.pasted("train") == [*default[0].pasted("train")[:-1], count]
    indices = [digit.index for scene in scenes["train"] for digit in scene.digits]
    assert np.bincount(indices)[1:5].tolist() == dataset.pasted("train")
    assert max(len(scene.digits) for scene in scenes["train"]) <= 4
    for split in ("val", "test"):
        np.testing.assert_equal(pairs[split], default[2][split])


def test_a_smaller_share_of_images_is_a_subset_and_all_else_stays(tmp_path):
    """So the positions of the dial are compared on the same scenes, with the same digits in them or without."""
    positions = [drawn(tmp_path / str(share), rarest_images=share) for share in (0.02, 0.1, 0.6)]
    for (dataset, few, fewer), (_, many, more) in itertools.pairwise(positions):
        for place, (scene, richer) in enumerate(zip(few["train"], many["train"], strict=True)):
            common = [digit for digit in richer.digits if digit.index < len(dataset.digits)]
            assert len(richer.digits) - len(common) <= 1
            same = len(scene.digits) == len(richer.digits)
            expected = more["train"][place] if same else dataset.load(richer._replace(digits=common))
            np.testing.assert_equal(fewer["train"][place], expected)


def test_the_handwriting_of_the_rarest_digit_is_of_its_split(tmp_path):
    """Under the dial it comes from another stream, which must not reach into test."""
    from sklearn.datasets import load_digits

    _, scenes, _ = drawn(tmp_path / "raw", rarest_images=1.0)
    used = {split: {digit.instance for scene in scenes[split] for digit in scene.digits} for split in SPLITS}
    assert len(set.union(*used.values())) == sum(map(len, used.values()))
    labels = load_digits().target
    assert {labels[digit.instance] for scene in scenes["train"] for digit in scene.digits if digit.index == 4} == {4}


@pytest.mark.parametrize(
    ("ratio", "options"),
    [
        (1 / 2, {"rarest_images": 0.7}),
        (1 / 2, {"imbalance": 1.0, "digits": [1, 8]}),
        (1 / 10, {}),
        (1 / 10, {"imbalance": 2.0, "rarest_images": 0.4}),
        (1 / 100, {}),
        (1 / 100, {"image_size": 128, "rarest_images": 0.2}),
        (1 / 1000, {"rarest_images": 0.02}),
        (1 / 1000, {"image_size": 192, "train_images": 120, "rarest_images": 0.1}),
    ],
)
def test_the_dial_of_pixels_gives_their_ratio_nearly(tmp_path, ratio, options):
    """Measured in the masks; the side of a digit is a whole number of pixels, so few small digits cannot be exact."""
    dataset, _, pairs = drawn(tmp_path / "raw", rarest_pixels=ratio, **options)
    reached, share = rarity(pairs["train"], len(dataset.classes))
    assert reached == pytest.approx(ratio, rel=0.1)
    if "rarest_images" in options:
        assert share == round(options["rarest_images"] * dataset.train_images) / dataset.train_images


def test_the_dial_of_pixels_makes_the_rarest_digits_small_wherever_they_are(default, tmp_path):
    """In val and test, too, and leaves everything else as it was; a quarter of the side is a sixteenth of the area."""
    _, scenes, pairs = drawn(tmp_path / "raw", rarest_pixels=0.1 / 16)
    for split in SPLITS:
        for scene, old in zip(scenes[split], default[1][split], strict=True):
            assert (scene.background == old.background).all()
            for digit, before in zip(scene.digits, old.digits, strict=True):
                assert (digit.index, digit.instance, digit.angle) == (before.index, before.instance, before.angle)
                expected = before.side * (0.25 if digit.index == 4 else 1)
                assert digit.side == pytest.approx(expected, rel=0.1 if digit.index == 4 else 0)
                assert int(digit.top * 2) == int(before.top * 2)
        assert rarity(pairs[split], 5)[1] == rarity(default[2][split], 5)[1]


def test_small_digits_lie_anywhere_in_their_quadrant(tmp_path):
    """A place that tells the class would be learned instead of the digit."""
    _, scenes, _ = drawn(tmp_path / "raw", rarest_pixels=0.03, rarest_images=0.5)
    rarest = [digit for scene in scenes["train"] for digit in scene.digits if digit.index == 4]
    room = [(digit.top % 0.5) / (0.5 - digit.side) for digit in rarest]
    assert np.histogram(room, 4, (0, 1))[0].min() > len(rarest) / 8


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"rarest_pixels": 0.5},
            "rarest_pixels: 0.5 with 27 of the rarest digit in train for 270 of the first needs a mean side of 60.1 "
            "pixels, allowed are 6.2 to 26.9; raise rarest_images, or lower imbalance, or give 0.00528 to 0.1.",
        ),
        (
            {"rarest_pixels": 0.001},
            "rarest_pixels: 0.001 with 27 of the rarest digit in train for 270 of the first needs a mean side of 2.7 "
            "pixels, allowed are 6.2 to 26.9; lower rarest_images, or raise imbalance or image_size, or give 0.00528 "
            "to 0.1.",
        ),
        (
            {"rarest_images": 0.001},
            "rarest_images: 0.001 of 240 train images is less than one; give at least 0.0042, or raise train_images.",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_remedy(options, sentence):
    """By `check`, in one sentence."""
    with pytest.raises(UserError) as error:
        Digits.read(options, "params.yaml: axes.dataset.digits")
    assert str(error.value) == f"params.yaml: axes.dataset.digits: {sentence}"


@pytest.mark.parametrize(
    "options",
    [
        {"rarest_pixels": 0.5, "rarest_images": 0.7},
        {"rarest_pixels": 0.5, "imbalance": 1.5},
        {"rarest_pixels": 0.00528},
        {"rarest_pixels": 0.1},
        {"rarest_pixels": 0.001, "rarest_images": 0.02},
        {"rarest_pixels": 0.001, "image_size": 192},
    ],
)
def test_the_remedies_work(options):
    """What the sentences above propose is accepted."""
    assert Digits.read(options, "test").rarest_pixels == options["rarest_pixels"]


@pytest.mark.parametrize(
    "options", [{"rarest_pixels": 0.0009}, {"rarest_pixels": 0.6}, {"rarest_images": 0.0}, {"rarest_images": 1.1}]
)
def test_dials_end_where_they_end(options):
    """Half the pixels and more is no rarity, a class without an image cannot be learned."""
    with pytest.raises(UserError, match=rf"digits\.{next(iter(options))}: .* should be"):
        Digits.read(options, "params.yaml: axes.dataset.digits")


def test_the_preset_of_the_dial_turns_the_dial_alone():
    """Any other difference between its datasets would be taken for an effect of rarity."""
    entries = YAML(typ="safe").load(ROOT / "presets" / "dial.yaml")["axes"]["dataset"]
    shares = [entry.pop("rarest_images") for entry in entries.values()]
    assert len(set(shares)) == len(shares) >= 4
    assert max(shares) / min(shares) >= 100
    first = next(iter(entries.values()))
    assert first["kind"] == "digits"
    assert all(entry == first for entry in entries.values())


def test_the_preset_of_folds_is_one_cross_validation(tmp_path):
    """`check` reads the anchors as DVC does; in all but the fold its entries are equal."""
    workspace = Miniature.create(tmp_path / "work", "folds")
    workspace.dvc("repro", "--single-item", "check")
    plans = [read_json(file) for file in sorted((workspace.root / "data/plan/prepare").glob("*.json"))]
    assert [plan["dataset"].pop("fold") for plan in plans] == list(range(5))
    assert all(plan == plans[0] for plan in plans)
    fits = [read_json(file) for file in (workspace.root / "data/plan/train/dataset").glob("*.json")]
    assert len(fits) == 5
    assert all(fit == fits[0] and fit["fit"]["horizontal_flip"] is False for fit in fits)
    stages = workspace.dvc("stage", "list", "--name-only").stdout.split()
    assert sum(stage.startswith("train@digits_fold_") for stage in stages) == 20

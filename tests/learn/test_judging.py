"""What is counted of a model against a prediction by NumPy, OpenCV and scikit-learn, at both sizes."""

import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.metrics import multilabel_confusion_matrix
from torch import nn

from pipeline.learn.judging import Judge, JudgedSplit
from pipeline.measure.counts.shapes import count_shapes
from pipeline.measure.counts.store import Counts
from pipeline.plumbing import plugins
from pipeline.plumbing.files import write_json
from pipeline.plumbing.labels import IGNORE
from pipeline.plumbing.prepared import Original, encoded, write_original_masks, write_test_images
from pipeline.strategies.base import Strategy

CLASSES, HEIGHT, WIDTH = 4, 8, 12
SIZES = [(8, 12), (17, 20), (40, 13), (5, 7), (8, 12)]
"""Of the original test masks: as prepared, larger, longer, smaller."""
SPACING, TOLERANCE = (0.5, 2.0), 2.0
BINS = 15


class Pixelwise(nn.Conv2d):
    """Random logits of each pixel from its own channels, too sure of themselves."""

    def __init__(self) -> None:
        super().__init__(3, CLASSES, 1)
        torch.manual_seed(0)
        nn.init.normal_(self.weight, std=8.0)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images.float() / 255)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """The same by NumPy: `n h w c`."""
        weight, bias = (each.detach().numpy() for each in (self.weight[:, :, 0, 0], self.bias))
        return (images.astype(np.float32) / 255) @ weight.T + bias


@pytest.fixture
def model() -> Pixelwise:
    return Pixelwise()


@pytest.fixture
def prepared(model, tmp_path) -> Path:
    """Validation and test images, with masks that a third of the model's predictions agree with, and void."""
    random = np.random.default_rng(3)
    for split, images in (("val", 6), ("test", len(SIZES))):
        arrays = random.integers(0, 256, (images, HEIGHT, WIDTH, 3), dtype=np.uint8)
        np.save(tmp_path / f"{split}_images.npy", arrays)
        right = model.logits(arrays).argmax(axis=-1)
        masks = np.where(random.random(right.shape) < 0.4, right, random.choice(CLASSES - 1, right.shape))
        np.save(tmp_path / f"{split}_masks.npy", with_void(masks, random))
    originals = {place: random.integers(0, CLASSES, size) for place, size in enumerate(SIZES) if size != SIZES[0]}
    write_original_masks(tmp_path, {place: encoded(with_void(mask, random)) for place, mask in originals.items()})
    write_test_images(tmp_path, [Original(f"{place}.png", "", *size) for place, size in enumerate(SIZES)])
    write_json(tmp_path / "about.json", {"spacing": SPACING})
    write_json(tmp_path / "meta.json", {"image_size": [HEIGHT, WIDTH]})
    pixels = np.tile([900, 90, 9, 1], (5, 1))
    np.save(tmp_path / "train_class_pixels.npy", pixels)
    np.save(tmp_path / "train_class_components.npy", np.minimum(pixels, 1))
    return tmp_path


def with_void(mask: np.ndarray, random: np.random.Generator) -> np.ndarray:
    return np.where(random.random(mask.shape) < 0.1, IGNORE, mask).astype(np.uint8)


def judged(
    model: nn.Module, prepared: Path, size: str = "prepared", strategy: Any = "none", batch_size: int = 2
) -> tuple[Counts, np.ndarray]:
    return judge_of(model, JudgedSplit(prepared, size), batch_size)(built(strategy))


def judge_of(model: nn.Module, split: JudgedSplit, batch_size: int = 2) -> Judge:
    return Judge(model, split, {"batch_size": batch_size, "tolerance": TOLERANCE}, torch.device("cpu"))


def built(strategy: Any) -> Strategy:
    return plugins.build_unnamed("strategies", strategy, "here")


def true_masks(prepared: Path, size: str) -> list[np.ndarray]:
    """Those from the archive where there are any, decoded by OpenCV."""
    masks = list(np.load(prepared / "test_masks.npy"))
    if size == "prepared":
        return masks
    with zipfile.ZipFile(prepared / "test_original_masks.zip") as archive:
        for name in archive.namelist():
            png = np.frombuffer(archive.read(name), np.uint8)
            masks[int(name.removesuffix(".png"))] = cv2.imdecode(png, cv2.IMREAD_UNCHANGED)
    return masks


def logits_of(model: Pixelwise, prepared: Path) -> np.ndarray:
    return model.logits(np.load(prepared / "test_images.npy"))


def at_size(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Logits `h w c` of an image at the size of its true mask."""
    return cv2.resize(logits, truth.shape[::-1], interpolation=cv2.INTER_LINEAR)


def spacing_of(place: int, size: str) -> tuple[float, float]:
    """A pixel of a prepared image covers several of the original one."""
    height, width = SIZES[place]
    return SPACING if size == "original" else (SPACING[0] * height / HEIGHT, SPACING[1] * width / WIDTH)


def expected_region(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """`4 c` in the order tp, fp, fn, tn, by scikit-learn."""
    valid = truth != IGNORE
    tables = multilabel_confusion_matrix(truth[valid], predicted[valid], labels=range(CLASSES))
    return np.stack([tables[:, 1, 1], tables[:, 0, 1], tables[:, 1, 0], tables[:, 0, 0]])


def expected_sums(logits: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    logs, valid = log_softmax(logits.astype(float), axis=-1), truth != IGNORE
    logs, truth = logs[valid], truth[valid]
    error = np.exp(logs) - np.eye(CLASSES)[truth]
    return {"pixels": len(truth), "nll": -logs[np.arange(len(truth)), truth].sum(), "brier": (error**2).sum()}


def expected_top_bins(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """`bins 3`: pixels, sum of probabilities, hits."""
    valid = truth != IGNORE
    probabilities = np.exp(log_softmax(logits.astype(float), axis=-1))[valid]
    top, hits = probabilities.max(axis=-1), probabilities.argmax(axis=-1) == truth[valid]
    place = np.minimum((top * BINS).astype(int), BINS - 1)
    return np.stack([np.bincount(place, each, minlength=BINS) for each in (np.ones_like(top), top, hits)], axis=-1)


def assert_counts(counts: Counts, logits: np.ndarray, prepared: Path, size: str) -> None:
    """The counts are those of decisions and probabilities from `logits` `n h w c`."""
    temperature, truths = counts.evaluation["temperature"], true_masks(prepared, size)
    for place, truth in enumerate(truths):
        resized = at_size(logits[place], truth)
        predicted = resized.argmax(axis=-1).astype(np.uint8)
        region = np.stack([counts.classes[name][place] for name in ("tp", "fp", "fn", "tn")])
        np.testing.assert_array_equal(region, expected_region(predicted, truth))
        shapes = count_shapes([predicted], [truth], CLASSES, [spacing_of(place, size)], TOLERANCE)
        for name, (column,) in shapes.items():
            np.testing.assert_array_equal(counts.classes[name][place], column, err_msg=name)
        for scaled, suffix in enumerate(("", "_scaled")):
            used = resized / (temperature if scaled else 1)
            sums = expected_sums(used, truth)
            assert counts.images["pixels"][place] == sums["pixels"]
            for name in ("nll", "brier"):
                assert counts.images[f"{name}{suffix}"][place] == pytest.approx(sums[name], rel=1e-4)
            np.testing.assert_allclose(counts.bins[scaled, place, 0], expected_top_bins(used, truth), rtol=1e-4)


@pytest.mark.parametrize("batch_size", [1, 2, 100])
@pytest.mark.parametrize("size", ["prepared", "original"])
def test_counts_are_those_of_a_direct_prediction(model, prepared, size, batch_size):
    """At the original size logits are resized, not decisions; every image has a size of its own."""
    counts, _ = judged(model, prepared, size, batch_size=batch_size)
    assert_counts(counts, logits_of(model, prepared), prepared, size)
    assert (counts.evaluation["size"], counts.evaluation["tolerance"]) == (size, TOLERANCE)


def test_every_column_has_a_row_for_each_image(model, prepared):
    counts, _ = judged(model, prepared, "original")
    assert {each.shape for each in counts.classes.values()} == {(len(SIZES), CLASSES)}
    assert {each.shape for each in counts.images.values()} == {(len(SIZES),)}
    assert counts.bins.shape == (2, len(SIZES), 1 + CLASSES, BINS, 3)


@pytest.mark.parametrize("size", ["prepared", "original"])
def test_the_predicted_masks_have_the_prepared_size_at_any_size_of_judging(model, prepared, size):
    """The gallery shows them on the prepared images."""
    _, masks = judged(model, prepared, size)
    assert (masks.shape, masks.dtype) == ((len(SIZES), HEIGHT, WIDTH), np.uint8)
    np.testing.assert_array_equal(masks, logits_of(model, prepared).argmax(axis=-1))


def test_without_originals_the_prepared_masks_are_the_original_ones(model, prepared):
    """A dataset that was not resized has no archive of them."""
    (prepared / "test_original_masks.zip").unlink()
    one, other = (judged(model, prepared, size)[0] for size in ("prepared", "original"))
    np.testing.assert_array_equal(one.classes["tp"], other.classes["tp"])
    np.testing.assert_array_equal(one.bins, other.bins)


@pytest.mark.parametrize("strategy", ["none", "class_thresholds"])
@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0])
def test_the_temperature_never_lowers_the_likelihood_of_the_validation_split(model, prepared, scale, strategy):
    """Models may be too sure, or not sure enough; with a decision it is fitted to what is decided on."""
    with torch.no_grad():
        model.weight *= scale
    evaluation = judged(model, prepared, strategy=strategy)[0].evaluation
    images, masks = (np.load(prepared / f"val_{what}.npy") for what in ("images", "masks"))
    logits = model.logits(images) + np.array(evaluation.get("decision", {}).get("offsets", 0.0))
    before, after = (expected_sums(logits / t, masks)["nll"] for t in (1, evaluation["temperature"]))
    assert after <= before
    assert evaluation["temperature"] != 1


@pytest.mark.parametrize("size", ["prepared", "original"])
def test_a_decision_moves_masks_and_probabilities(model, prepared, size):
    """Its offsets are added to the logits, and all that is counted is counted of these."""
    counts, masks = judged(model, prepared, size, "class_thresholds")
    decision = counts.evaluation["decision"]
    offsets = np.array(decision["offsets"], dtype=np.float32)
    assert offsets.any()
    moved = logits_of(model, prepared) + offsets
    assert_counts(counts, moved, prepared, size)
    np.testing.assert_array_equal(masks, moved.argmax(axis=-1))
    assert (masks != logits_of(model, prepared).argmax(axis=-1)).any()


def test_a_decision_is_fitted_on_the_validation_split_and_says_what_it_gained(model, prepared):
    decision = judged(model, prepared, strategy="class_thresholds")[0].evaluation["decision"]
    images, masks = (np.load(prepared / f"val_{what}.npy") for what in ("images", "masks"))
    logits = model.logits(images)
    for key, offsets in (("val_miou_before", 0), ("val_miou", np.array(decision["offsets"], np.float32))):
        tp, fp, fn, _ = expected_region((logits + offsets).argmax(axis=-1), masks)
        assert decision[key] == pytest.approx(np.mean(tp / (tp + fp + fn)))
    assert decision["val_miou"] > decision["val_miou_before"]


def test_the_test_split_has_no_part_in_what_is_fitted(model, prepared):
    before = judged(model, prepared, strategy="class_thresholds")[0].evaluation
    masks = np.load(prepared / "test_masks.npy")
    np.save(prepared / "test_masks.npy", np.roll(masks, 1))
    assert judged(model, prepared, strategy="class_thresholds")[0].evaluation == before


def test_a_strategy_that_decides_nothing_leaves_no_decision(model, prepared):
    """And needs nothing of the train split."""
    (prepared / "train_class_pixels.npy").unlink()
    assert set(judged(model, prepared)[0].evaluation) == {"temperature", "size", "tolerance"}


def test_an_image_of_void_counts_nothing_and_moves_no_other(model, prepared):
    before, _ = judged(model, prepared)
    masks = np.load(prepared / "test_masks.npy")
    masks[1] = IGNORE
    np.save(prepared / "test_masks.npy", masks)
    after, _ = judged(model, prepared)
    others = [0, 2, 3, 4]
    assert not any(after.classes[name][1].any() for name in ("tp", "fp", "fn", "tn", "surface_true", "objects_true"))
    assert (after.images["pixels"][1], after.bins[:, 1].any()) == (0, False)
    np.testing.assert_array_equal(after.classes["tp"][others], before.classes["tp"][others])


def test_one_test_image_is_judged(model, prepared):
    first = np.load(prepared / "test_images.npy")[:1], np.load(prepared / "test_masks.npy")[:1]
    whole, _ = judged(model, prepared)
    for what, array in zip(("images", "masks"), first, strict=True):
        np.save(prepared / f"test_{what}.npy", array)
    write_test_images(prepared, [Original("0.png", "", *SIZES[0])])
    counts, masks = judged(model, prepared)
    assert len(masks) == 1
    np.testing.assert_array_equal(counts.classes["tp"], whole.classes["tp"][:1])


def same(one: tuple[Counts, np.ndarray], other: tuple[Counts, np.ndarray]) -> bool:
    """Bit for bit."""
    (counts, masks), (twin, twins) = one, other
    tables = [(counts.classes, twin.classes), (counts.images, twin.images)]
    columns = all(a.keys() == b.keys() and all(a[k].tobytes() == b[k].tobytes() for k in a) for a, b in tables)
    return columns and counts.bins.tobytes() == twin.bins.tobytes() and np.array_equal(masks, twins)


def test_under_a_second_strategy_a_model_is_judged_as_it_is_alone(model, prepared):
    """Nothing of the first is left over: neither its offsets nor where its search ended."""
    judge = judge_of(model, JudgedSplit(prepared, "original"))
    strategies = ["none", "class_thresholds", "none", "class_thresholds"]
    for strategy, found in zip(strategies, [judge(built(each)) for each in strategies], strict=True):
        alone = judged(model, prepared, "original", strategy)
        assert same(found, alone)
        assert found[0].evaluation == alone[0].evaluation


def test_a_second_model_meets_the_skeletons_that_the_first_has_left(model, prepared):
    """They are of the true masks, and take half the time of counting at 256 pixels; no number changes."""
    split, other = JudgedSplit(prepared, "original"), Pixelwise()
    with torch.no_grad():
        other.weight.neg_()
    first, second = (judge_of(each, split)(built("none")) for each in (model, other))
    assert sorted(split.true_skeletons) == list(range(len(SIZES)))
    assert same(first, judged(model, prepared, "original"))
    assert same(second, judged(other, prepared, "original"))
    assert not same(first, second)
    split.true_skeletons[0] = np.zeros(0, np.int32)
    assert judge_of(model, split)(built("none"))[0].classes["skeleton_true"][0].tolist() == [0] * CLASSES, "it is used"


class Noted(Pixelwise):
    """Writes down how many images it predicts at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(images))
        return super().forward(images)


def test_each_strategy_takes_a_prediction_of_the_test_split_and_all_share_that_of_validation(prepared):
    """Six images of validation and five of test, three at a time."""
    model = Noted()
    judge = judge_of(model, JudgedSplit(prepared, "prepared"), batch_size=3)
    assert model.batches == [3, 3]
    for strategy in ("none", "class_thresholds"):
        judge(built(strategy))
    assert model.batches == [3, 3] + 2 * [3, 2]

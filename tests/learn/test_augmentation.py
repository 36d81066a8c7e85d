"""Augmentation: repeatable, the same for image and mask, and never a new mask value."""

import subprocess
import sys
import warnings
from pathlib import Path

import albumentations as A
import numpy as np
import pytest

from pipeline.learn import augmentation
from pipeline.learn.augmentation import Augmentation, CropAroundClasses
from pipeline.strategies.base import RareClassAugmentation

ROOT = Path(__file__).parents[2]
SHAPE = (32, 48)
STRENGTHS = ("none", "light", "strong")
RARE = RareClassAugmentation(classes=[2], crop_probability=1.0, smallest_crop=0.4, strength="strong")


def example() -> tuple[np.ndarray, np.ndarray]:
    """A noisy image; a mask of blocks with classes 0, 1, 2 and void."""
    image = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[4:20, 6:30], mask[22:28, 30:44], mask[:3] = 1, 2, 255
    return image, mask


def equal(one, other) -> bool:
    return all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def every(augment: Augmentation, seeds) -> list[tuple[np.ndarray, np.ndarray]]:
    return [augment(*example(), seed) for seed in seeds]


VARIANTS = pytest.mark.parametrize(
    "augment",
    [*(Augmentation(strength, True) for strength in STRENGTHS), Augmentation("light", True, RARE)],
    ids=[*STRENGTHS, "rare"],
)


@VARIANTS
def test_equal_seeds_give_equal_results_in_any_order(augment):
    """What came before must not matter: not other draws, not the global state."""
    forward = every(augment, range(8))
    np.random.seed(5)
    backward = every(augment, reversed(range(8)))[::-1]
    assert all(equal(*pair) for pair in zip(forward, backward, strict=True))


@pytest.mark.parametrize("strength", ["light", "strong"])
def test_other_seeds_give_other_results(strength):
    """Hardly any two alike."""
    results = every(Augmentation(strength, True), range(20))
    assert len({image.tobytes() for image, _ in results}) >= 18


PROBE = """
import hashlib
import numpy as np
from pipeline.learn.augmentation import Augmentation

image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
augment = Augmentation("strong", True)
parts = [part.tobytes() for seed in (3, 2, 2**32 - 1) for part in augment(image, image[..., 0] % 3, seed)]
found = hashlib.md5(b"".join(parts)).hexdigest()
"""


def test_another_process_gives_the_same_result():
    """Loader workers, and a restart: the seed is all there is."""
    here = {}
    exec(PROBE, here)
    command = [sys.executable, "-c", f"{PROBE}print(found)"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == here["found"], done.stderr


@VARIANTS
def test_masks_keep_their_values_shape_and_type(augment):
    """No class is invented between two others, and void stays void."""
    for image, mask in every(augment, range(30)):
        assert set(np.unique(mask)) <= {0, 1, 2, 255}
        assert (mask.shape, mask.dtype, image.shape, image.dtype) == (SHAPE, np.uint8, (*SHAPE, 3), np.uint8)
        assert mask.flags.c_contiguous
        assert image.flags.c_contiguous


@VARIANTS
def test_what_is_given_is_left_as_it_is(augment):
    """It may be a part of a file in memory."""
    image, mask = example()
    augment(image, mask, 0)
    assert equal((image, mask), example())


@VARIANTS
def test_image_and_mask_move_together(augment):
    """A bright object on dark ground is still where the mask says, but for its rim, which is blurred and enlarged."""
    for seed in range(30):
        mask = np.zeros(SHAPE, dtype=np.uint8)
        mask[5:22, 8:30] = 2
        image = np.repeat(np.where(mask, 190, 60).astype(np.uint8)[..., None], 3, axis=2)
        moved, truth = augment(image, mask, seed)
        grey = moved.mean(axis=2)
        bright = grey > (grey.min() + grey.max()) / 2
        if truth.all() or not truth.any():
            continue  # a crop inside the object
        assert (bright == (truth == 2)).mean() > 0.9, seed


def test_strength_none_changes_nothing():
    """Not a single value."""
    assert all(equal(result, example()) for result in every(Augmentation("none", False), range(10)))


def test_a_flip_is_a_flip_of_both_in_half_the_cases():
    """And nothing else happens at strength none."""
    flipped = tuple(part[:, ::-1] for part in example())
    results = every(Augmentation("none", True), range(200))
    times = sum(equal(result, flipped) for result in results)
    assert sum(equal(result, example()) for result in results) == 200 - times
    assert 70 <= times <= 130  # four standard deviations


@pytest.mark.parametrize("strength", STRENGTHS)
def test_without_the_flip_left_stays_left(strength):
    """A mirrored 2 is no 2. The rare classes' own augmentation obeys too."""
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[:, 24:] = 1
    image = np.repeat(mask[..., None] * 100, 3, axis=2)

    def mirrored(flip, rare=None):
        results = (Augmentation(strength, flip, rare)(image, mask, seed)[1] for seed in range(60))
        return sum(result[:, :8].mean() > result[:, -8:].mean() for result in results)

    assert mirrored(False) == 0
    assert mirrored(False, RARE._replace(classes=[1], smallest_crop=0.9)) == 0
    assert 15 <= mirrored(True) <= 45


def test_an_unknown_strength_is_an_error():
    """The settings refuse it before."""
    with pytest.raises(ValueError, match="no augmentation 'stong'"):
        Augmentation("stong", False)


# --- crops around rare classes ---


def crops(mask: np.ndarray, classes: list[int], smallest: float = 0.3, times: int = 60) -> list[np.ndarray]:
    compose = A.Compose([CropAroundClasses(classes, smallest, p=1.0)])
    image = np.repeat(mask[..., None], 3, axis=2)
    found = []
    for seed in range(times):
        compose.set_random_seed(seed)
        found.append(compose(image=image, mask=mask)["mask"])
    return found


@pytest.mark.parametrize("shape", [(32, 32), (24, 40), (40, 24)])
@pytest.mark.parametrize("rare", [0, 3, 254])
@pytest.mark.parametrize("pixel", [(0, 0), (-1, -1), (0, -1), (11, 13)])
def test_a_crop_always_holds_the_class(shape, rare, pixel):
    """Were it a single pixel in a corner, and were it class 0."""
    mask = np.ones(shape, dtype=np.uint8)
    mask[pixel] = rare
    found = crops(mask, [rare])
    assert all((crop == rare).any() and crop.shape == shape for crop in found)
    assert np.mean([(crop == rare).sum() for crop in found]) > 1.5, "it is enlarged"


def test_the_smallest_side_bounds_how_far_a_class_is_enlarged():
    """A pixel of a window of half the side becomes 2 by 2; at side 1 nothing happens."""
    mask = np.zeros((32, 32), dtype=np.uint8)
    mask[16, 16] = 1
    areas = [crop.sum() for crop in crops(mask, [1], smallest=0.5, times=200)]
    assert max(areas) <= 6
    assert min(areas) == 1
    assert all(np.array_equal(crop, mask) for crop in crops(mask, [1], smallest=1.0))


def test_each_class_present_is_drawn_alike_however_many_pixels_it_has():
    """Class 1 has one pixel, class 2 a third of the image; void and absent classes are never drawn."""
    mask = np.zeros((33, 33), dtype=np.uint8)
    mask[2, 2], mask[22:] = 1, 2
    mask[0, 30] = 255
    times = sum((crop == 1).any() for crop in crops(mask, [1, 2, 7], smallest=0.2, times=300))
    assert 0.45 < times / 300 < 0.75, "half of the draws, and some windows around class 2 that are large"


@pytest.mark.parametrize("method", ["apply", "apply_to_mask"])
def test_enlarging_shifts_nothing_to_one_side(method):
    """The mirror of the enlarged is the enlarged mirror, in image and mask alike."""
    image, mask = example()
    enlarge = getattr(CropAroundClasses([1], 0.4, p=1.0), method)
    array = image if method == "apply" else mask
    for side in (20, 25, 31):
        window = array[:side, :side]
        padded = np.zeros_like(array)
        padded[:side, :side] = window[::-1, ::-1]
        straight, turned = (enlarge(each, window=(0, 0, side, side)) for each in (array, padded))
        np.testing.assert_array_equal(turned, straight[::-1, ::-1])


def test_without_the_class_nothing_is_cropped():
    """The window is the whole image."""
    mask = np.random.default_rng(0).integers(0, 3, (20, 28)).astype(np.uint8)
    assert all(np.array_equal(crop, mask) for crop in crops(mask, [7]))


def test_a_crop_survives_the_serialisation_of_the_library():
    """To a plain dictionary and back, with equal results."""
    crop = CropAroundClasses([0, 2], 0.4, p=0.7)
    restored = A.from_dict(A.to_dict(crop))
    assert isinstance(restored, CropAroundClasses)
    assert (restored.classes, restored.smallest, restored.p) == ([0, 2], 0.4, 0.7)
    image, mask = example()
    results = []
    for each in (crop, restored):
        compose = A.Compose([each])
        compose.set_random_seed(4)
        results.append(compose(image=image, mask=mask))
    assert equal(results[0].values(), results[1].values())


def test_only_images_that_hold_a_rare_class_get_its_augmentation():
    """All others keep the common one, here: nothing."""
    image, mask = example()
    without = np.where(mask == 2, 0, mask).astype(np.uint8)
    augment = Augmentation("none", False, RARE)
    assert all(equal(augment(image, without, seed), (image, without)) for seed in range(10))
    assert not any(equal(augment(image, mask, seed), (image, mask)) for seed in range(10))


def test_without_rare_classes_the_augmentation_is_the_common_one():
    """A strategy that found none changes nothing."""
    nothing = RARE._replace(classes=[])
    pairs = zip(
        every(Augmentation("light", True), range(8)), every(Augmentation("light", True, nothing), range(8)), strict=True
    )
    assert all(equal(*pair) for pair in pairs)


def test_an_argument_that_the_library_does_not_know_is_an_error(monkeypatch):
    """It would only warn, and augment by its defaults."""
    monkeypatch.setattr(augmentation, "_affine", lambda **_: A.Affine(scal=0.1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in a run of a user, where warnings pass by
        with pytest.raises(UserWarning, match="scal"):
            Augmentation("light", True)

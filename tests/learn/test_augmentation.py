"""Augmentation: repeatable, the same for image and mask, and never a new mask value."""

import subprocess
import sys
import warnings
from pathlib import Path

import albumentations as A
import numpy as np
import pytest
from scipy import ndimage, stats

from pipeline.learn import augmentation
from pipeline.learn.augmentation import Augmentation, CropAroundFocus, PasteObject
from pipeline.strategies.base import NONE, Crop, Paste, Treatment

ROOT = Path(__file__).parents[2]
SHAPE = (32, 48)
STRENGTHS = ("none", "light", "strong")
CROP, PASTE = Crop(0.4, 1.0), Paste(0.5, 1.5, 1.0)
RARE = Treatment(rare_classes=(2,), strength="strong")


def example() -> tuple[np.ndarray, np.ndarray]:
    """A noisy image; a mask of blocks with classes 0, 1, 2 and void."""
    image = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[4:20, 6:30], mask[22:28, 30:44], mask[:3] = 1, 2, 255
    return image, mask


def donor() -> tuple[np.ndarray, np.ndarray, int]:
    """The same image turned by half, an object of class 2 to be copied."""
    image, mask = example()
    return image[::-1, ::-1].copy(), mask[::-1, ::-1].copy(), 2


def equal(one, other) -> bool:
    return all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def every(augment: Augmentation, seeds) -> list[tuple[np.ndarray, np.ndarray]]:
    """Focus and donor are given to all; those that neither crop nor paste have no use for them."""
    return [augment(*example(), seed, 1, donor()) for seed in seeds]


TREATMENTS = {
    "crop": Treatment(crop=CROP),
    "paste": Treatment(paste=PASTE),
    "all": RARE._replace(crop=CROP._replace(holds=0.5), paste=PASTE),
}
VARIANTS = pytest.mark.parametrize(
    "augment",
    [
        *(Augmentation(strength, True) for strength in STRENGTHS),
        *(Augmentation("light", True, treatment) for treatment in TREATMENTS.values()),
    ],
    ids=[*STRENGTHS, *TREATMENTS],
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
from pipeline.strategies.base import Crop, Paste, Treatment

image = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
mask = image[..., 0] % 3
augment = Augmentation("light", True, Treatment(Crop(0.4, 1.0, 0.5), Paste(0.5, 1.5, 1.0), (2,), "strong"))
donor = (image[::-1].copy(), mask[::-1].copy(), 1)
parts = [part.tobytes() for seed in (3, 2, 2**32 - 1) for part in augment(image, mask, seed, 2, donor)]
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
    given, source = example(), donor()
    for array in (*given, *source[:2]):
        array.flags.writeable = False
    for seed in range(10):
        augment(*given, seed, 1, source)
    assert equal(given, example())
    assert equal(source, donor())


@VARIANTS
def test_image_and_mask_move_together(augment):
    """A bright object on dark ground is still where the mask says, but for its rim, which is blurred and enlarged."""
    for seed in range(30):
        mask = np.zeros(SHAPE, dtype=np.uint8)
        mask[5:22, 8:30] = 2
        image = np.repeat(np.where(mask, 190, 60).astype(np.uint8)[..., None], 3, axis=2)
        moved, truth = augment(image, mask, seed, 2, (image[:, ::-1].copy(), mask[:, ::-1].copy(), 2))
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
    assert mirrored(False, RARE._replace(rare_classes=(1,))) == 0
    assert 15 <= mirrored(True) <= 45


def test_an_unknown_strength_is_an_error():
    """The settings refuse it before."""
    with pytest.raises(ValueError, match="no augmentation 'stong'"):
        Augmentation("stong", False)


# --- the augmentation of rare classes ---


def test_only_images_that_hold_a_rare_class_get_its_augmentation():
    """All others keep the common one, here: nothing."""
    image, mask = example()
    without = np.where(mask == 2, 0, mask).astype(np.uint8)
    augment = Augmentation("none", False, RARE)
    assert all(equal(augment(image, without, seed), (image, without)) for seed in range(10))
    pairs = ((augment(image, mask, seed), Augmentation("strong", False)(image, mask, seed)) for seed in range(10))
    assert all(equal(*pair) for pair in pairs)


@pytest.mark.parametrize("treatment", [Treatment(), Treatment(strength="strong"), Treatment(rare_classes=(2,))])
def test_without_rare_classes_or_a_strength_the_augmentation_is_the_common_one(treatment):
    """A strategy that found none changes nothing."""
    augments = (Augmentation("light", True), Augmentation("light", True, treatment))
    assert all(equal(*pair) for pair in zip(*(every(each, range(8)) for each in augments), strict=True))


@pytest.mark.parametrize("rare_classes", [(), (2,)])
def test_crops_and_pastes_are_for_all_images(rare_classes):
    """Whether they hold a rare class or not: which draws are treated is decided before."""
    augment = Augmentation("none", False, Treatment(Crop(0.5, 0.5), Paste(1.0, 1.0, 0.0), rare_classes))
    image, mask = example()
    without = np.where(mask == 2, 0, mask).astype(np.uint8)
    for each in (mask, without):
        assert not equal(augment(image, each, 0, focus=1), (image, each))
        assert not equal(augment(image, each, 0, donor=donor()), (image, each))
        assert equal(augment(image, each, 0), (image, each))


# --- crops around a class ---


def crops(mask: np.ndarray, focus: int, crop: Crop, times: int = 60) -> list[np.ndarray]:
    """Masks that were cropped around a class."""
    augment, image = Augmentation("none", False, Treatment(crop=crop)), np.repeat(mask[..., None], 3, axis=2)
    return [augment(image, mask, seed, focus)[1] for seed in range(times)]


def doubled(array: np.ndarray) -> np.ndarray:
    return array.repeat(2, axis=0).repeat(2, axis=1)


@pytest.mark.parametrize(
    ("pixel", "top", "left"),
    [((16, 24), 8, 12), ((0, 0), 0, 0), ((31, 47), 16, 24), ((3, 40), 0, 24), ((20, 5), 12, 0)],
)
def test_a_window_is_centred_on_a_pixel_as_far_as_the_image_reaches(pixel, top, left):
    """Half of each side of 32 x 48 pixels, by hand: from 8 rows above and 12 columns to the left on."""
    mask = example()[1]
    mask[pixel] = 7
    (found,) = crops(mask, 7, Crop(0.5, 0.5), times=1)
    assert np.array_equal(found, doubled(mask[top : top + 16, left : left + 24]))


def test_the_pixel_is_drawn_evenly_from_those_of_the_class():
    """Chi-square over three pixels, with fixed seeds; so a large region of a class is met more often than a small one."""
    mask = np.zeros(SHAPE, dtype=np.uint8)
    for number, pixel in enumerate([(12, 14), (13, 20), (18, 30)]):
        mask[pixel], mask[pixel[0] - 8, pixel[1] - 12] = 7, 100 + number  # the corner of the window tells which
    corners = [found[0, 0] - 100 for found in crops(mask, 7, Crop(0.5, 0.5), times=300)]
    assert stats.chisquare(np.bincount(corners, minlength=3)).pvalue > 0.01


@pytest.mark.parametrize("shape", [(32, 32), (24, 40), (40, 24)])
@pytest.mark.parametrize("focus", [0, 3, 254])
@pytest.mark.parametrize("pixel", [(0, 0), (-1, -1), (0, -1), (11, 13)])
def test_a_crop_always_holds_the_class(shape, focus, pixel):
    """Were it a single pixel in a corner, and were it class 0."""
    mask = np.ones(shape, dtype=np.uint8)
    mask[pixel] = focus
    found = crops(mask, focus, Crop(0.3, 1.0))
    assert all((crop == focus).any() and crop.shape == shape for crop in found)
    assert np.mean([(crop == focus).sum() for crop in found]) > 1.5, "it is enlarged"


def test_sides_bound_how_far_a_class_is_enlarged_and_proportions_are_kept():
    """A square of 8 pixels between 1 / 0.8 and 1 / 0.4 times as large, evenly over the sides; at side 1 nothing."""
    mask = np.zeros((32, 48), dtype=np.uint8)
    mask[12:20, 20:28] = 1
    found = crops(mask, 1, Crop(0.4, 0.8), times=200)
    high, wide = np.array([[crop.any(axis=axis).sum() for crop in found] for axis in (1, 0)])
    assert np.abs(high - wide).max() <= 3  # window and square are rounded
    assert 9 <= high.min() <= 11
    assert 18 <= high.max() <= 21
    assert np.mean(8 / wide) == pytest.approx(0.6, abs=0.03)
    assert all(np.array_equal(crop, mask) for crop in crops(mask, 1, Crop(1.0, 1.0)))


def two_regions() -> np.ndarray:
    """60 pixels of class 1 on the left and 40 on the right, too far from each other for a window of half the side."""
    mask = np.zeros((40, 80), dtype=np.uint8)
    mask[15:25, 8:14], mask[15:25, 66:70] = 1, 1
    return mask


def share_on_the_left(holds: float) -> float:
    """How often the larger region is chosen. Each pixel becomes four."""
    areas = [np.count_nonzero(crop) / 4 for crop in crops(two_regions(), 1, Crop(0.5, 0.5, holds), times=150)]
    assert set(areas) == {60.0} or set(areas) == {40.0, 60.0}
    return np.mean(np.array(areas) == 60)


@pytest.mark.parametrize("holds", [0.0, 0.4])
def test_the_first_window_that_holds_enough_is_taken(holds):
    """Both do, so it is chance that decides, by the number of pixels: four standard deviations around 60 %."""
    assert share_on_the_left(holds) == pytest.approx(0.6, abs=0.16)


@pytest.mark.parametrize("holds", [0.5, 0.6, 1.0])
def test_windows_that_do_not_hold_enough_are_tried_again_and_the_best_is_kept(holds):
    """The larger region, were it not enough either; ten tries all miss it once in ten thousand times."""
    assert share_on_the_left(holds) == 1


@pytest.mark.parametrize("method", ["apply", "apply_to_mask"])
def test_enlarging_shifts_nothing_to_one_side(method):
    """The mirror of the enlarged is the enlarged mirror, in image and mask alike."""
    image, mask = example()
    enlarge = getattr(CropAroundFocus(*CROP), method)
    array = image if method == "apply" else mask
    for side in (20, 25, 31):
        window = array[:side, :side]
        padded = np.zeros_like(array)
        padded[:side, :side] = window[::-1, ::-1]
        straight, turned = (enlarge(each, window=(0, 0, side, side)) for each in (array, padded))
        np.testing.assert_array_equal(turned, straight[::-1, ::-1])


@pytest.mark.parametrize("focus", [7, NONE])
def test_without_the_class_nothing_is_cropped(focus):
    """A paste may have covered it, and most draws ask for no crop. Void, which no class is, is there too."""
    mask = np.random.default_rng(0).choice(np.array([0, 1, 2, 255], dtype=np.uint8), (20, 28))
    assert all(np.array_equal(crop, mask) for crop in crops(mask, focus, CROP))


# --- pasted objects ---

GROUND = np.full((*SHAPE, 3), 40, dtype=np.uint8)


def scene() -> tuple[np.ndarray, np.ndarray, int]:
    """A donor with two objects of class 2: 6 x 10 pixels of colour 200, and 4 x 5 of colour 120."""
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[4:10, 5:15], mask[20:24, 40:45] = 2, 2
    image = np.zeros((*SHAPE, 3), dtype=np.uint8)
    image[4:10, 5:15], image[20:24, 40:45] = 200, 120
    return image, mask, 2


def pastes(paste: Paste, source, times: int = 100) -> list[tuple[np.ndarray, np.ndarray]]:
    """Even ground of class 0 in which an object was pasted."""
    augment = Augmentation("none", False, Treatment(paste=paste))
    return [augment(GROUND, np.zeros(SHAPE, dtype=np.uint8), seed, donor=source) for seed in range(times)]


def test_one_object_is_pasted_at_its_own_size():
    """Not both of the class, and exactly where the mask says: pixels without cover keep colour and class."""
    for image, mask in pastes(Paste(1.0, 1.0, 0.0), scene()):
        assert ndimage.label(mask)[1] == 1
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert (len(rows), len(columns)) in {(6, 10), (4, 5)}
        colour = 200 if len(rows) == 6 else 120
        assert np.array_equal(mask, np.where(mask, 2, 0))
        assert np.array_equal(image, np.where(np.dstack([mask] * 3), colour, 40))


def test_a_component_is_drawn_by_its_pixels():
    """60 of 80 are in the larger one: four standard deviations around 3 / 4."""
    larger = [np.count_nonzero(mask) == 60 for _, mask in pastes(Paste(1.0, 1.0, 0.0), scene(), times=300)]
    assert np.mean(larger) == pytest.approx(0.75, abs=0.1)


def test_an_object_lies_anywhere_up_to_the_edges():
    """Chi-square over all rows and columns where it may begin, the first and last among them."""
    image, mask, _ = scene()
    mask[20:] = 0
    begins = np.array(
        [np.argwhere(pasted).min(axis=0) for _, pasted in pastes(Paste(1.0, 1.0, 0.0), (image, mask, 2), times=400)]
    )
    assert begins.min(axis=0).tolist() == [0, 0]
    assert begins.max(axis=0).tolist() == [32 - 6, 48 - 10]
    assert all(stats.chisquare(np.bincount(places)).pvalue > 0.01 for places in begins.T)


def test_sizes_are_drawn_evenly_on_the_logarithm():
    """Half of them are smaller than the geometric mean of the limits; none lies beyond them by more than rounding."""
    image, mask, _ = scene()
    mask[20:] = 0
    found = pastes(Paste(0.5, 2.0, 0.0), (image, mask, 2), times=200)
    widths = np.array([np.count_nonzero(pasted.any(axis=0)) for _, pasted in found])
    assert widths.min() in (5, 6)
    assert widths.max() in (19, 20)
    assert stats.kstest(np.log2(widths / 10), stats.uniform(-1, 2).cdf).statistic < 0.15


def test_an_object_larger_than_the_image_is_pasted_as_large_as_fits():
    """The whole image is an object; at most it is replaced."""
    image = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    for blend in (0.0, 2.0):
        for found in pastes(Paste(4.0, 4.0, blend), (image, np.full(SHAPE, 2, dtype=np.uint8), 2), times=5):
            assert equal(found, (image, np.full(SHAPE, 2)))


@pytest.mark.parametrize("blend", [0.0, 1.0, 3.0])
def test_one_pixel_is_an_object(blend):
    """Whatever its size, place in its own image and surroundings: a corner, or the middle."""
    for pixel in [(0, 0), (31, 47), (16, 20)]:
        mask = np.zeros(SHAPE, dtype=np.uint8)
        mask[pixel] = 2
        for _, pasted in pastes(Paste(0.1, 1.0, blend), (GROUND, mask, 2), times=20):
            assert 1 <= np.count_nonzero(pasted) <= 4


def test_surroundings_fade_out_without_a_label():
    """Of a bright object on bright ground: around the object colours lie between both grounds, and the class is 0."""
    image, mask, _ = scene()
    image[:] = 200
    for pasted, truth in pastes(Paste(1.0, 1.0, 2.0), (image, mask, 2), times=20):
        assert (pasted[truth == 2] == 200).all()
        assert np.count_nonzero(truth) in (60, 20)
        far = ndimage.distance_transform_edt(truth == 0) > 7
        assert (pasted[far] == 40).all()
        rim = ndimage.binary_dilation(truth == 2) & (truth == 0)
        assert ((pasted[rim] > 60) & (pasted[rim] < 140)).all()


def test_without_a_donor_nothing_is_pasted():
    """Most draws have none."""
    untouched = (GROUND, np.zeros(SHAPE))
    assert all(equal(found, untouched) for found in pastes(PASTE, None, times=10))


# --- the library ---


@pytest.mark.parametrize(
    "transform",
    [CropAroundFocus(0.4, 0.9, 0.5, p=0.7), PasteObject(0.5, 1.5, 1.0, p=0.7)],
    ids=lambda transform: type(transform).__name__,
)
def test_our_transforms_survive_the_serialisation_of_the_library(transform):
    """To a plain dictionary and back, with equal results at equal seeds."""
    restored = A.from_dict(A.to_dict(transform))
    assert type(restored) is type(transform)
    names = (*transform.get_transform_init_args_names(), "p")
    assert [getattr(restored, name) for name in names] == [getattr(transform, name) for name in names]
    image, mask = example()
    changed = 0
    for seed in range(10):
        results = []
        for each in (transform, restored):
            compose = A.Compose([each])
            compose.set_random_seed(seed)
            found = compose(image=image, mask=mask, focus=1, donor=donor())
            results.append((found["image"], found["mask"]))
        assert equal(*results)
        changed += not equal(results[0], (image, mask))
    assert 3 <= changed <= 9, "p is kept"


def test_an_argument_that_the_library_does_not_know_is_an_error(monkeypatch):
    """It would only warn, and augment by its defaults."""
    monkeypatch.setattr(augmentation, "_affine", lambda **_: A.Affine(scal=0.1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as in a run of a user, where warnings pass by
        with pytest.raises(UserWarning, match="scal"):
            Augmentation("light", True)

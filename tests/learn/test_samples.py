"""What a seed meets, and in which order."""

import os

import numpy as np
import pytest
import torch

from pipeline.learn.augmentation import Augmentation
from pipeline.learn.distances import signed_distances
from pipeline.learn.samples import TrainSamples, batches, open_split, shuffled_passes
from pipeline.strategies.base import NONE, Crop, Draws, Paste, Treatment

CPU = torch.device("cpu")
IMAGES = 7
PLAIN, STRONG = Augmentation("none", False), Augmentation("strong", True)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A prepared train split of seven small images."""
    root, random = tmp_path_factory.mktemp("prepared"), np.random.default_rng(0)
    np.save(root / "train_images.npy", random.integers(0, 256, (IMAGES, 16, 24, 3), dtype=np.uint8))
    np.save(root / "train_masks.npy", random.integers(0, 3, (IMAGES, 16, 24), dtype=np.uint8))
    return root


def samples(prepared, order, augmentation=STRONG, distances_to=0) -> TrainSamples:
    """One stretch of draws without a strategy."""
    return TrainSamples(prepared, [(Draws.of(np.asarray(order)), augmentation)], 0, distances_to)


def loader(prepared, seed=0, workers=0, batch_size=4, distances_to=0):
    """Ten draws in two stretches, of which the second crops and pastes."""
    draws = Draws.of(shuffled_passes(seed, 10, IMAGES))
    first, second = (Draws(*(array[part] for array in draws)) for part in (slice(6), slice(6, None)))
    second = second._replace(focus=np.full(4, 1), donors=second.images[::-1], pasted=np.full(4, 2))
    stretches = [
        (first, STRONG),
        (second, Augmentation("light", True, Treatment(Crop(0.5, 1.0), Paste(0.5, 1.0, 1.0)))),
    ]
    return batches(TrainSamples(prepared, stretches, seed, distances_to), batch_size, workers, CPU)


def same(one, other) -> bool:
    pairs = zip(one, other, strict=True)
    return all(torch.equal(a, b) for batch, twin in pairs for a, b in zip(batch, twin, strict=True))


@pytest.mark.parametrize("draws", [1, 7, 20, 21])
def test_an_order_has_as_many_draws_as_asked_for(draws):
    """Passes are cut, images are drawn again as needed."""
    order = shuffled_passes(0, draws, IMAGES)
    assert order.shape == (draws,)
    assert set(order) <= set(range(IMAGES))


def test_every_pass_meets_every_image_once_in_another_order():
    """Shuffled passes, as the field trains."""
    passes = shuffled_passes(3, 5 * IMAGES, IMAGES).reshape(5, IMAGES)
    assert all(sorted(each) == list(range(IMAGES)) for each in passes)
    assert len({tuple(each) for each in passes}) == 5


def test_equal_seeds_give_equal_orders_and_others_do_not():
    """The order is a function of the seed; a longer one begins as the shorter does."""
    order = shuffled_passes(1, 50, IMAGES)
    assert np.array_equal(order, shuffled_passes(1, 50, IMAGES))
    assert np.array_equal(order[:20], shuffled_passes(1, 20, IMAGES))
    assert not np.array_equal(order, shuffled_passes(2, 50, IMAGES))


def test_a_split_is_mapped_not_read(prepared):
    """A large one does not fit into memory, least of all once per worker."""
    images, masks = open_split(prepared, "train")
    assert (images.shape, masks.shape) == ((IMAGES, 16, 24, 3), (IMAGES, 16, 24))
    assert isinstance(images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_without_augmentation_a_draw_is_the_image_of_the_order(prepared):
    """Channels first, uint8, its own mask beside it."""
    order = np.array([5, 0, 5])
    images, masks = open_split(prepared, "train")
    drawn = samples(prepared, order, PLAIN)
    assert len(drawn) == 3
    for draw, index in enumerate(order):
        image, mask = drawn[draw]
        assert image.dtype == mask.dtype == torch.uint8
        assert np.array_equal(image.permute(1, 2, 0), images[index])
        assert np.array_equal(mask, masks[index])


def test_one_image_drawn_twice_is_augmented_anew(prepared):
    """The randomness belongs to the draw, not to the image."""
    drawn = samples(prepared, [0, 0])
    assert not torch.equal(drawn[0][0], drawn[1][0])


def test_a_draw_is_the_same_whenever_it_is_asked_for(prepared):
    """Also after a restart in the middle."""
    drawn = loader(prepared).dataset
    late = [drawn[draw] for draw in (8, 4)]
    everything = [drawn[draw] for draw in range(10)]
    assert same(late, [everything[8], everything[4]])


# --- what a strategy decides ---


def test_each_stretch_has_its_own_augmentation_from_its_first_draw_on(prepared):
    """Draws are numbered through, so the same draw has the same chances in any stretch."""
    order = shuffled_passes(0, 8, IMAGES)
    strong, plain = samples(prepared, order), samples(prepared, order, PLAIN)
    stretches = [(Draws.of(order[:3]), PLAIN), (Draws.of(order[3:7]), STRONG), (Draws.of(order[7:]), PLAIN)]
    mixed = TrainSamples(prepared, stretches, 0)
    assert len(mixed) == 8
    expected = [plain] * 3 + [strong] * 4 + [plain]
    assert same([mixed[draw] for draw in range(8)], [each[draw] for draw, each in enumerate(expected)])
    assert not torch.equal(strong[3][0], plain[3][0])


@pytest.mark.parametrize("empty", [0, 1])
def test_a_stretch_may_be_empty(prepared, empty):
    """A short training may have no iteration left for a phase."""
    stretches = [(Draws.of(np.arange(IMAGES)), PLAIN)]
    stretches.insert(empty, (Draws.of(np.arange(0)), STRONG))
    drawn, plain = TrainSamples(prepared, stretches, 0), samples(prepared, range(IMAGES), PLAIN)
    assert len(drawn) == IMAGES
    assert same([drawn[draw] for draw in range(IMAGES)], [plain[draw] for draw in range(IMAGES)])


def treated(prepared, treatment, **changes) -> TrainSamples:
    """Two draws of image 0 without the common augmentation."""
    draws = Draws.of(np.zeros(2, dtype=int))._replace(**{what: np.array(values) for what, values in changes.items()})
    return TrainSamples(prepared, [(draws, Augmentation("none", False, treatment))], 0)


def test_only_draws_with_a_focus_are_cropped(prepared):
    """Here to half of each side, so that every pixel becomes two by two."""
    whole, cropped = treated(prepared, Treatment(crop=Crop(0.5, 0.5)), focus=[NONE, 2])
    _, masks = open_split(prepared, "train")
    assert np.array_equal(whole[1], masks[0])
    blocks = cropped[1].view(8, 2, 12, 2)
    assert (blocks == blocks[:, :1, :, :1]).all()
    assert (cropped[1] == 2).any()


def test_only_draws_with_a_donor_are_pasted_into(prepared):
    """The object is that of the donor's image, at its own size here, and the files stay as they are."""
    drawn = treated(prepared, Treatment(paste=Paste(1.0, 1.0, 0.0)), donors=[NONE, 5], pasted=[NONE, 1])
    images, masks = open_split(prepared, "train")
    (own, whole), (image, mask) = drawn[0], drawn[1]
    assert np.array_equal(whole, masks[0])
    changed = (image != own).any(dim=0).numpy()
    assert changed.any()
    assert (mask.numpy()[changed] == 1).all()
    colours = {tuple(colour) for colour in images[5][masks[5] == 1].tolist()}
    assert {tuple(colour) for colour in image.numpy()[:, changed].T.tolist()} <= colours


# --- batches ---


def test_batches_follow_the_draws_and_the_last_may_be_smaller(prepared):
    """Nothing is dropped, nothing shuffled again."""
    found = list(loader(prepared))
    assert [tuple(images.shape) for images, _ in found] == [(4, 3, 16, 24), (4, 3, 16, 24), (2, 3, 16, 24)]
    assert [tuple(masks.shape) for _, masks in found] == [(4, 16, 24), (4, 16, 24), (2, 16, 24)]
    single = list(loader(prepared, batch_size=1))
    assert torch.equal(torch.cat([images for images, _ in found]), torch.cat([images for images, _ in single]))


def test_a_draw_has_distances_where_they_are_asked_for(prepared):
    """For as many classes as asked for, of the augmented mask; image and mask are those of a draw without them."""
    plain, measured = (samples(prepared, range(IMAGES), distances_to=distances_to) for distances_to in (0, 4))
    for draw in range(IMAGES):
        assert len(plain[draw]) == 2
        image, mask, distances = measured[draw]
        assert same([plain[draw]], [(image, mask)])
        assert distances.dtype == torch.float32
        assert np.array_equal(distances, signed_distances(mask.numpy(), 4))
    assert any(not np.array_equal(plain[draw][1], measured.masks[draw]) for draw in range(IMAGES))  # it did augment


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # Python 3.12 on fork
def test_a_long_name_of_the_folder_for_temporary_files_is_none_of_its_business(prepared, tmp_path, monkeypatch):
    """The address of a socket, through which a worker sends what it has made, has at most 107 bytes."""
    folder = f"{tmp_path}/".ljust(120, "x")
    os.mkdir(folder)
    monkeypatch.setattr("tempfile.tempdir", folder)
    assert same(loader(prepared), loader(prepared, workers=1))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # Python 3.12 on fork
@pytest.mark.parametrize("distances_to", [0, 3])
def test_the_number_of_workers_changes_no_bit(prepared, distances_to):
    """A machine with more cores gives the same result."""
    none, two = (loader(prepared, workers=workers, distances_to=distances_to) for workers in (0, 2))
    assert same(none, two)


def test_batches_depend_on_the_seed_and_not_on_the_state_of_any_library(prepared):
    """A loss that draws random numbers must not change what comes next."""
    torch.manual_seed(0)
    np.random.seed(0)
    first = list(loader(prepared))
    torch.manual_seed(1)
    np.random.seed(1)
    assert same(first, loader(prepared))
    assert not same(first, loader(prepared, seed=1))


@pytest.mark.parametrize(("device", "pinned"), [("cpu", False), ("cuda", True)])
def test_batches_for_a_gpu_lie_in_pinned_memory(prepared, device, pinned):
    """From which it fetches them while it computes; a CPU would only copy them once more."""
    found = batches(samples(prepared, range(IMAGES)), 4, 0, torch.device(device))
    assert found.pin_memory is pinned

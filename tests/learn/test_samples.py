"""What a seed meets, and in which order."""

import numpy as np
import pytest
import torch
from scipy import stats

from pipeline.learn.augmentation import Augmentation
from pipeline.learn.distances import signed_distances
from pipeline.learn.samples import Draws, batches, draw_order, open_split
from pipeline.plumbing import plugins
from pipeline.strategies.base import ClassStatistics

CPU = torch.device("cpu")
IMAGES = 7


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A prepared train split of seven small images."""
    root, random = tmp_path_factory.mktemp("prepared"), np.random.default_rng(0)
    np.save(root / "train_images.npy", random.integers(0, 256, (IMAGES, 16, 24, 3), dtype=np.uint8))
    np.save(root / "train_masks.npy", random.integers(0, 3, (IMAGES, 16, 24), dtype=np.uint8))
    return root


def loader(prepared, seed=0, draws=10, workers=0, batch_size=4, augmentation=None, distances_to=0):
    order = draw_order(seed, draws, IMAGES, None)
    draws = Draws(prepared, order, augmentation or Augmentation("strong", True), seed, distances_to)
    return batches(draws, batch_size, workers, CPU)


def same(one, other) -> bool:
    pairs = zip(one, other, strict=True)
    return all(torch.equal(a, b) for batch, twin in pairs for a, b in zip(batch, twin, strict=True))


@pytest.mark.parametrize("draws", [1, 7, 20, 21])
def test_an_order_has_as_many_draws_as_asked_for(draws):
    """Passes are cut, images are drawn again as needed."""
    for weights in (None, np.full(IMAGES, 1 / IMAGES)):
        order = draw_order(0, draws, IMAGES, weights)
        assert order.shape == (draws,)
        assert set(order) <= set(range(IMAGES))


def test_every_pass_meets_every_image_once_in_another_order():
    """Shuffled passes, as the field trains."""
    passes = draw_order(3, 5 * IMAGES, IMAGES, None).reshape(5, IMAGES)
    assert all(sorted(each) == list(range(IMAGES)) for each in passes)
    assert len({tuple(each) for each in passes}) == 5


@pytest.mark.parametrize("weights", [None, np.arange(1, IMAGES + 1) / 28])
def test_equal_seeds_give_equal_orders_and_others_do_not(weights):
    """The order is a function of the seed; a longer one begins as the shorter does."""
    order = draw_order(1, 50, IMAGES, weights)
    assert np.array_equal(order, draw_order(1, 50, IMAGES, weights))
    assert np.array_equal(order[:20], draw_order(1, 20, IMAGES, weights))
    assert not np.array_equal(order, draw_order(2, 50, IMAGES, weights))


def test_images_are_drawn_in_proportion_to_their_weights():
    """Chi-square of many draws, with a fixed seed; a weight of 0 is never drawn."""
    weights = np.array([0.0, 0.05, 0.1, 0.15, 0.2, 0.2, 0.3])
    counts = np.bincount(draw_order(0, 20_000, IMAGES, weights), minlength=IMAGES)
    assert counts[0] == 0
    assert stats.chisquare(counts[1:], 20_000 * weights[1:]).pvalue > 0.01


@pytest.mark.parametrize("strategy", ["none", "class_weights"])
def test_strategies_that_are_not_about_order_or_augmentation_share_both(strategy):
    """So they meet the same batches as the control, and differences are paired."""
    train = ClassStatistics(np.array([[90, 10], [100, 0], [70, 30]]))
    made = plugins.build("strategies", strategy, {}, strategy)
    assert made.image_weights(train) is None
    assert made.augmentation(train) is None


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
    draws = Draws(prepared, order, Augmentation("none", False), 0)
    assert len(draws) == 3
    for draw, index in enumerate(order):
        image, mask = draws[draw]
        assert image.dtype == mask.dtype == torch.uint8
        assert np.array_equal(image.permute(1, 2, 0), images[index])
        assert np.array_equal(mask, masks[index])


def test_one_image_drawn_twice_is_augmented_anew(prepared):
    """The randomness belongs to the draw, not to the image."""
    draws = Draws(prepared, np.zeros(2, dtype=int), Augmentation("strong", True), 0)
    assert not torch.equal(draws[0][0], draws[1][0])


def test_a_draw_is_the_same_whenever_it_is_asked_for(prepared):
    """Also after a restart in the middle."""
    draws = Draws(prepared, draw_order(0, 6, IMAGES, None), Augmentation("strong", True), 0)
    late = draws[4]
    assert all(torch.equal(*pair) for pair in zip([draws[i] for i in range(6)][4], late, strict=True))


def test_batches_follow_the_draws_and_the_last_may_be_smaller(prepared):
    """Nothing is dropped, nothing shuffled again."""
    found = list(loader(prepared))
    assert [tuple(images.shape) for images, _ in found] == [(4, 3, 16, 24), (4, 3, 16, 24), (2, 3, 16, 24)]
    assert [tuple(masks.shape) for _, masks in found] == [(4, 16, 24), (4, 16, 24), (2, 16, 24)]
    single = list(loader(prepared, batch_size=1))
    assert torch.equal(torch.cat([images for images, _ in found]), torch.cat([images for images, _ in single]))


def test_a_draw_has_distances_where_they_are_asked_for(prepared):
    """For as many classes as asked for, of the augmented mask; image and mask are those of a draw without them."""
    order, augmentation = np.arange(IMAGES), Augmentation("strong", True)
    plain, measured = (Draws(prepared, order, augmentation, 0, distances_to) for distances_to in (0, 4))
    for draw in range(IMAGES):
        assert len(plain[draw]) == 2
        image, mask, distances = measured[draw]
        assert same([plain[draw]], [(image, mask)])
        assert distances.dtype == torch.float32
        assert np.array_equal(distances, signed_distances(mask.numpy(), 4))
    assert any(not np.array_equal(plain[draw][1], measured.masks[draw]) for draw in range(IMAGES))  # it did augment


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

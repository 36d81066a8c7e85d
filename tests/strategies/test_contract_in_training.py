"""The contract of a strategy, part two: what each file in pipeline/strategies makes of the batches of a training."""

import shutil

import albumentations as A
import numpy as np
import pytest
import torch

from pipeline.plumbing.labels import IGNORE
from pipeline.strategies.base import NONE
from tests.strategies.training import FIT, assembled, bytes_of
from tests.strategies.variants import KINDS, VARIANTS, build_strategy

CLASSES = 4
BOTH = {"kind": "compound", "terms": {"cross_entropy": 1.0, "dice": 1.0}}


@pytest.fixture(scope="module", params=KINDS)
def strategy(request):
    return build_strategy(request.param, {})


def all_bytes(prepared, strategy, **changes):
    """Images and masks of all batches, and all that the criterion knows."""
    loader, criterion = assembled(prepared, strategy, **changes)
    return bytes_of(loader), {name: tensor.tolist() for name, tensor in criterion.state_dict().items()}


# --- where it comes from ---


def test_only_the_train_split_is_looked_at(strategy, prepared, tmp_path):
    """With other images and masks in the other splits, or without them, batches, weights and shifts are the same."""
    poisoned = shutil.copytree(prepared, tmp_path / "poisoned")
    for path in [*poisoned.glob("val_*"), *poisoned.glob("test_*")]:
        np.save(path, 1 - np.load(path))
    deleted = shutil.copytree(prepared, tmp_path / "deleted", ignore=shutil.ignore_patterns("val_*", "test_*"))
    assert {path.name.split("_")[0] for path in deleted.iterdir()} == {"train"}
    expected = all_bytes(prepared, strategy)
    assert all_bytes(poisoned, strategy) == expected
    assert all_bytes(deleted, strategy) == expected


def test_batches_follow_the_seed_and_not_the_loss(strategy, prepared, monkeypatch):
    """So losses under one strategy are compared in pairs. `boundary` asks for distances besides."""
    monkeypatch.setenv("BENCHMARK_WORKERS", "0")
    batches, _ = all_bytes(prepared, strategy)
    for loss in ("cross_entropy", "dice", "boundary"):
        assert all_bytes(prepared, strategy, loss=loss)[0] == batches
    others, _ = all_bytes(prepared, strategy, seed=1)
    assert not any(one == other for one, other in zip(batches, others, strict=True))


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")  # Python 3.12 on fork
def test_the_number_of_workers_changes_no_bit(strategy, prepared, monkeypatch):
    """A machine with more cores gives the same result."""
    found = []
    for workers in ("0", "2"):
        monkeypatch.setenv("BENCHMARK_WORKERS", workers)
        found.append(all_bytes(prepared, strategy))
    assert found[0] == found[1]


# --- what it is ---


def test_the_number_of_iterations_is_unchanged(strategy, prepared):
    """What a strategy gives to one class it takes from another."""
    loader, _ = assembled(prepared, strategy)
    sizes = [(images.shape, masks.shape) for images, masks in loader]
    assert sizes == [((4, 3, 16, 24), (4, 16, 24))] * FIT.iterations


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_training_is_finite_and_counts_what_the_loss_has_got(variant, prepared):
    """With void images, images of one class and a class without a pixel: cross-entropy and Dice, whose sum is taken
    here, and their gradients are finite.

    Of each class at most the pixels of the batch are counted, all of them where no pixel is left out, and no void one.
    """
    strategy = build_strategy(*VARIANTS[variant])
    loader, criterion = assembled(prepared, strategy, BOTH)
    torch.manual_seed(0)
    model = torch.nn.Conv2d(3, CLASSES, 1)
    for iteration, (images, masks) in enumerate(loader):
        held = torch.bincount(masks.flatten(), minlength=IGNORE + 1)
        assert held[:3].sum() + held[IGNORE] == masks.numel(), "no class that was not there"
        model.zero_grad()
        seen = criterion.seen.clone()
        value = criterion(model(images / 255), masks, iteration=iteration)
        value.backward()
        assert value.isfinite()
        assert all(parameter.grad.isfinite().all() for parameter in model.parameters())
        seen = criterion.seen - seen
        assert (seen <= held[:CLASSES]).all()
        if "pixels" not in strategy.aspects:
            assert torch.equal(seen, held[:CLASSES])
    assert criterion.seen.sum() > 0


# --- what is done to images ---


def test_augmentation_survives_the_serialisation_of_the_library(strategy, prepared):
    """To a plain dictionary and back, with equal results: crops, pastes and stronger transforms included."""
    samples = assembled(prepared, strategy)[0].dataset.dataset
    for augmentation in samples.augmentations:
        for compose in (augmentation.common, augmentation.rare):
            restored = A.from_dict(A.to_dict(compose))
            for draw in range(len(samples)):
                results = [augmented(each, samples, draw) for each in (compose, restored)]
                assert all(np.array_equal(results[0][what], results[1][what]) for what in ("image", "mask"))


def augmented(compose, samples, draw):
    """What a compose makes of a draw."""
    index, focus, donor, pasted = (array[draw] for array in samples.draws)
    image, mask = samples.images[index].copy(), samples.masks[index].copy()
    donated = None if donor == NONE else (samples.images[donor], samples.masks[donor], pasted)
    compose.set_random_seed(draw)
    return compose(image=image, mask=mask, focus=focus, donor=donated)

"""How a training is put together: which draws a strategy decides, and which it shares with the control."""

import numpy as np
import pytest
import torch

from pipeline.datasets.base_statistics import count_classes, count_components
from pipeline.learn.checkpoint import Checkpoint
from pipeline.learn.fit import Listener
from pipeline.learn.samples import batches, shuffled_passes
from pipeline.learn.settings import Fit, UNet
from pipeline.learn.training import Task, assemble, run_training
from pipeline.plumbing import plugins

CPU = torch.device("cpu")
IMAGES, CLASSES = 6, 3
FIT = Fit(iterations=10, batch_size=4, augmentation="light", validations=1)
LATE = {"kind": "two_phase", "first": "none", "then": "oversample", "last": 0.3}  # from iteration 7 on
TWICE = {"kind": "two_phase", "first": "oversample", "then": {"kind": "oversample", "power": 0.999}, "last": 0.5}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A prepared train split; class 2 is in two images of six."""
    root, random = tmp_path_factory.mktemp("prepared"), np.random.default_rng(0)
    masks = random.integers(0, 2, (IMAGES, 16, 24), dtype=np.uint8)
    masks[:2, 4:8, 4:8] = 2
    pixels = count_classes(masks, CLASSES)
    np.save(root / "train_images.npy", random.integers(0, 256, (*masks.shape, 3), dtype=np.uint8))
    np.save(root / "train_masks.npy", masks)
    np.save(root / "train_class_pixels.npy", pixels)
    np.save(root / "train_class_components.npy", count_components(masks, pixels))
    return root


def assembled(prepared, strategy="none", loss="cross_entropy", seed=0):
    """The samples and the criterion; strategy and loss are kinds, or mappings with options."""
    made = [plugins.build_unnamed(*block, "x") for block in (("losses", loss), ("strategies", strategy))]
    return assemble(Task(prepared, {}, UNet(), FIT, *made, seed), CPU)


def drawn(prepared, **choices) -> np.ndarray:
    """Indices of the images, an iteration per row."""
    return assembled(prepared, **choices)[0].draws.images.reshape(FIT.iterations, FIT.batch_size)


def seen(prepared, **choices) -> list[tuple[bytes, bytes]]:
    loader = batches(assembled(prepared, **choices)[0], FIT.batch_size, 0, CPU)
    return [(images.numpy().tobytes(), masks.numpy().tobytes()) for images, masks, *_ in loader]


@pytest.mark.parametrize("loss", ["dice", "boundary", {"kind": "compound", "terms": {"focal": 1.0, "dice": 1.0}}])
def test_every_loss_meets_the_same_batches(prepared, loss):
    """So differences between losses are paired; `boundary` asks for distances besides."""
    assert seen(prepared, loss=loss) == seen(prepared)


@pytest.mark.parametrize(
    "strategy", ["class_weights", "hard_pixels", "logit_adjustment", "post_hoc_logit_adjustment", "class_thresholds"]
)
def test_strategies_that_are_not_about_images_meet_the_batches_of_the_control(prepared, strategy):
    """So they differ from it by what they do to the loss, or to decisions, alone."""
    assert seen(prepared, strategy=strategy) == seen(prepared)


def test_the_control_draws_shuffled_passes(prepared):
    """Another seed draws others."""
    passes = shuffled_passes(0, 40, IMAGES).reshape(10, 4)
    assert np.array_equal(drawn(prepared), passes)
    assert not np.array_equal(drawn(prepared, seed=1), passes)


def test_until_the_second_phase_the_draws_are_those_of_the_control(prepared):
    """Iteration for iteration; then the strategy decides."""
    control, late = drawn(prepared), drawn(prepared, strategy=LATE)
    assert np.array_equal(late[:7], control[:7])
    assert not np.array_equal(late[7:], control[7:])


def test_after_the_first_phase_passes_go_on_as_in_the_control(prepared):
    """A second phase that draws nothing does not begin anew with images that were just seen."""
    phases = {"kind": "two_phase", "first": "oversample", "then": "class_weights", "last": 0.5}
    assert np.array_equal(drawn(prepared, strategy=phases)[5:], drawn(prepared)[5:])


def test_each_phase_draws_by_chances_of_its_own(prepared):
    """Two phases of nearly the same strategy would otherwise meet the same images in the same order."""
    first, second = np.split(drawn(prepared, strategy=TWICE), 2)
    assert not np.array_equal(first, second)
    assert np.array_equal(first, drawn(prepared, strategy="oversample")[:5])


@pytest.mark.parametrize("strategy", ["oversample", "rare_class_sampling", TWICE])
def test_a_seed_decides_what_a_strategy_draws(prepared, strategy):
    """Equal for every loss and each time, other for another seed."""
    chosen = drawn(prepared, strategy=strategy)
    assert np.array_equal(chosen, drawn(prepared, strategy=strategy, loss="dice"))
    assert not np.array_equal(chosen, drawn(prepared, strategy=strategy, seed=1))


def test_the_criterion_switches_with_the_batches(prepared):
    """Both divide the iterations alike: what is drawn for a phase meets the weights of that phase."""
    then = {"kind": "chain", "of": ["class_weights", "oversample"]}
    samples, criterion = assembled(prepared, LATE | {"then": then})
    assert samples.ends.tolist() == [7 * FIT.batch_size, 10 * FIT.batch_size]
    assert criterion.starts == [0, 7]
    assert [phase.class_weights is None for phase in criterion.phases] == [True, False]


META = {"classes": ["a", "b", "c"], "mean": [0.5] * 3, "std": [0.25] * 3}


def trained(prepared, checkpoint=None) -> dict[str, torch.Tensor]:
    """The weights after a training that draws random numbers in the network, too."""
    fit = Fit(iterations=3, batch_size=2, dropout=0.5, validations=1)
    unet = UNet(encoder="tu-resnet10t", depth=3, decoder_width=4)
    loss, strategy = plugins.build("losses", "dice", {}, "x"), plugins.build("strategies", "none", {}, "x")
    model, _, _ = run_training(Task(prepared, META, unet, fit, loss, strategy, 0), CPU, Listener(), checkpoint)
    return model.state_dict()


def test_after_a_state_that_cannot_be_used_a_training_is_as_if_there_had_been_none(prepared, tmp_path, capsys):
    """To the bit, though some of it may have been taken over by then; that is told once, and a state kept again."""
    for kind in ("images", "masks"):
        np.save(prepared / f"val_{kind}.npy", np.load(prepared / f"train_{kind}.npy"))
    fresh = trained(prepared)
    torch.manual_seed(1)
    Checkpoint(tmp_path).write({"model": fresh, "done": 2})
    found = trained(prepared, Checkpoint(tmp_path))
    assert {name for name in fresh if not torch.equal(fresh[name], found[name])} == set()
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.endswith("cannot be used (KeyError: 'kept'); training starts anew.")

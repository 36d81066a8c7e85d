"""Hard pixels: which are kept, by hand, by sorting in NumPy, and as the loss that does the same."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pipeline.learn.criterion import Criterion
from pipeline.plumbing import plugins
from pipeline.plumbing.labels import IGNORE

EASE = (0.9, 0.1, 0.5, 0.25)  # probability of the true class of four pixels


def kept(strategy, probabilities, target=(0, 0, 0, 0)):
    """Of one row of pixels whose probability of class 0 is given."""
    p = torch.tensor(probabilities)
    logits = torch.stack([p, 1 - p]).log()[None, :, None]
    return strategy.kept_pixels(logits, torch.tensor([[target]])).flatten().int().tolist()


@pytest.fixture(scope="module")
def batch():
    """Logits `3 4 8 8` and a target: one image with 60 valid pixels, one with 17, one void."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(3, 4, 8, 8, generator=generator)
    target = torch.randint(0, 4, (3, 8, 8), generator=generator)
    target[0, :4, 0] = target[2] = IGNORE
    target[1].view(-1)[17:] = IGNORE
    return logits, target


# --- which are kept ---


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"share": 0.5}, [0, 1, 0, 1]),
        ({"share": 0.25}, [0, 1, 0, 0]),
        ({"share": 0.3}, [0, 1, 0, 1]),  # 1.2 pixels, rounded up
        ({"share": 0.01}, [0, 1, 0, 0]),  # never none
        ({"share": 0.25, "threshold": 0.6}, [0, 1, 1, 1]),  # three lie below
        ({"share": 0.5, "threshold": 0.2}, [0, 1, 0, 1]),  # one lies below, the share is more
        ({"share": 0.25, "threshold": 0.25}, [0, 1, 0, 0]),  # 0.25 does not lie below itself
    ],
)
def test_by_hand(build, options, expected):
    """Of 0.9, 0.1, 0.5 and 0.25 the second is the hardest, then the last."""
    assert kept(build("hard_pixels", **options), EASE) == expected


def test_pixels_that_tie_for_the_last_place_are_all_kept(build):
    """Which of them came first would depend on the order of the pixels."""
    assert kept(build("hard_pixels", share=0.5), (0.25, 0.1, 0.25, 0.5)) == [1, 1, 1, 0]
    assert kept(build("hard_pixels", share=0.25), (0.5, 0.5, 0.5, 0.5)) == [1, 1, 1, 1]


def test_void_pixels_are_neither_kept_nor_counted(build):
    """The hardest is void: half of the three others is two, rounded up."""
    assert kept(build("hard_pixels", share=0.5), EASE, (0, IGNORE, 0, 0)) == [0, 0, 1, 1]
    assert kept(build("hard_pixels", share=0.5), EASE, (IGNORE, IGNORE, IGNORE, 0)) == [0, 0, 0, 1]
    assert kept(build("hard_pixels", threshold=0.99), EASE, (IGNORE,) * 4) == [0, 0, 0, 0]


@pytest.mark.parametrize("options", [{"share": 0.25}, {"share": 0.5}, {"share": 0.125, "threshold": 0.2}])
def test_equals_sorting_each_image_in_numpy(build, batch, options):
    """The pixels of the lowest places among the valid ones of the same image."""
    logits, target = batch
    kept = build("hard_pixels", **options).kept_pixels(logits, target).numpy()
    for p, labels, mask in zip(logits.double().softmax(dim=1).numpy(), target.numpy(), kept, strict=True):
        rows, columns = np.nonzero(labels != IGNORE)
        p_true = p[labels[rows, columns], rows, columns]
        number = max(np.ceil(options["share"] * len(p_true)), (p_true < options.get("threshold", 0)).sum())
        hardest = np.argsort(p_true)[: int(number)]
        expected = np.zeros(labels.shape, dtype=bool)
        expected[rows[hardest], columns[hardest]] = True
        np.testing.assert_array_equal(mask, expected)


# --- what the loss makes of it ---


def loss_of(batch, statistics, strategy, loss, **options):
    made = plugins.build("losses", loss, options, loss)
    criterion = Criterion(made, strategy, statistics([50, 30, 15, 5]), iterations=1)
    return criterion(*batch), criterion.seen


@pytest.mark.parametrize("options", [{"share": 0.25}, {"share": 0.1}, {"share": 0.1, "threshold": 0.3}])
def test_cross_entropy_of_one_image_is_the_loss_top_k_cross_entropy(build, batch, statistics, options):
    """The same pixels, chosen from outside or from within; also where class weights weigh those that are kept."""
    one = [part[:1] for part in batch]
    from_outside, _ = loss_of(one, statistics, build("hard_pixels", **options), "cross_entropy")
    from_within, _ = loss_of(one, statistics, build("none"), "top_k_cross_entropy", **options)
    assert_close(from_outside, from_within)
    both = build("chain", of=["class_weights", {"kind": "hard_pixels", **options}])
    from_outside, _ = loss_of(one, statistics, both, "cross_entropy")
    from_within, _ = loss_of(one, statistics, build("class_weights"), "top_k_cross_entropy", **options)
    assert_close(from_outside, from_within)


@pytest.mark.parametrize("loss", ["cross_entropy", "dice", "lovasz_softmax", "focal"])
def test_any_loss_ignores_the_other_pixels(build, batch, statistics, loss):
    """They have no gradient, and are not counted as seen."""
    logits, target = batch[0].clone().requires_grad_(), batch[1]
    strategy = build("hard_pixels")
    value, seen = loss_of((logits, target), statistics, strategy, loss)
    value.backward()
    kept = strategy.kept_pixels(batch[0], target)
    assert (logits.grad * ~kept.unsqueeze(1) == 0).all()
    assert logits.grad.abs().max() > 0
    assert torch.equal(seen, torch.bincount(target[kept], minlength=4))

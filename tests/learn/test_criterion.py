"""What reaches a loss in training, and what of it is trained."""

import numpy as np
import pytest
import torch

from pipeline.learn.criterion import Criterion
from pipeline.plumbing import plugins
from pipeline.plumbing.labels import IGNORE
from pipeline.strategies.base import ClassStatistics, Strategy

PIXELS = np.array([[90, 10, 0], [60, 0, 40], [100, 0, 0]])  # of three classes in three train images
STATISTICS = ClassStatistics(PIXELS, np.minimum(PIXELS, 1))
LOG_PRIOR = np.log([250 / 300, 10 / 300, 40 / 300])
LOGITS, TARGET = torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 5, dtype=torch.uint8)
HARD = {"kind": "hard_pixels", "share": 0.25}


class Recorder:
    """A loss that keeps what it is called with."""

    def __init__(self, learned=0):
        self.learned = learned

    def learned_numbers(self):
        return self.learned

    def term_names(self):
        return ()

    def __call__(self, *given):
        self.given = given
        return given[0].sum()


def made(loss, strategy="none", iterations=1) -> Criterion:
    """`strategy` is a kind, or a mapping with options."""
    return Criterion(loss, plugins.build_unnamed("strategies", strategy, "strategy"), STATISTICS, iterations)


def hard_batch(target_dtype=torch.int64) -> tuple[torch.Tensor, torch.Tensor]:
    """Two images of eight pixels of class 0 each, the last two of them void, and logits of the labelled ones that are
    better from pixel to pixel: a quarter of the six labelled pixels, rounded up, are the first two."""
    logits = torch.zeros(2, 3, 2, 4)
    logits[:, 0] = torch.arange(-4.0, 4.0).view(2, 4)
    target = torch.zeros(2, 2, 4, dtype=target_dtype)
    target[:, 1, 2:] = IGNORE
    return logits, target


# --- what the loss is given ---


def test_loss_is_given_what_the_batch_and_the_training_know():
    """Logits, target and distances as they are; class weights and statistics as float32; progress from 0 to below 1.

    Weights of the inverse square root of 250, 10 and 40 pixels are as 0.2 to 1 to 0.5.
    """
    loss, distances = Recorder(), torch.ones(2, 3, 4, 5)
    criterion = made(loss, "class_weights", iterations=8)
    assert criterion(LOGITS, TARGET, distances, iteration=2) == 0
    logits, target, class_weights, facts = loss.given
    assert logits is LOGITS
    assert torch.equal(target, TARGET)
    assert facts.distances is distances
    assert class_weights.dtype == facts.train_pixels.dtype == facts.train_images.dtype == torch.float32
    assert class_weights.tolist() == pytest.approx([0.6 / 1.7, 3 / 1.7, 1.5 / 1.7])
    assert facts.train_pixels.tolist() == [250, 10, 40]
    assert facts.train_images.tolist() == [3, 1, 1]
    assert facts.progress == 0.25
    assert facts.learned is None


def test_without_a_strategy_there_are_no_class_weights():
    """None, not ones: a loss that refuses weights must not be given any."""
    loss = Recorder()
    made(loss)(LOGITS, TARGET)
    _, _, class_weights, facts = loss.given
    assert class_weights is None
    assert facts.distances is None
    assert facts.progress == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_logits_are_shifted_in_float32(dtype):
    """In bfloat16 60 - 3.40 were 56.5. The gradient goes back to logits of any type."""
    loss, logits = Recorder(), torch.full((1, 3, 2, 2), 60.0, dtype=dtype, requires_grad=True)
    made(loss, "logit_adjustment")(logits, TARGET[:1, :2, :2]).backward()
    shifted = loss.given[0]
    assert shifted.dtype == torch.float32
    np.testing.assert_allclose(shifted.detach()[0, :, 0, 0], 60 + LOG_PRIOR, rtol=1e-6)
    assert logits.grad.dtype == dtype
    assert (logits.grad == 1).all()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_easy_pixels_are_void_for_the_loss_and_nobody_else(dtype):
    """Two of six labelled pixels are left; the tensor of the caller stays as it is, whatever its type."""
    loss, (logits, target) = Recorder(), hard_batch(dtype)
    made(loss, HARD)(logits, target)
    given = loss.given[1]
    assert given.flatten(1).tolist() == [[0, 0] + [IGNORE] * 6] * 2
    assert target.dtype == dtype
    assert torch.equal(target, hard_batch(dtype)[1])
    assert loss.given[0] is logits


def test_easy_pixels_have_no_gradient():
    """Of a real loss: only what is kept is learnt from, as if nothing else were labelled."""
    logits, target = hard_batch()
    logits.requires_grad_()
    cross_entropy = plugins.build("losses", "cross_entropy", {}, "loss")
    made(cross_entropy, HARD)(logits, target).backward()
    expected = torch.zeros_like(logits)
    hard = expected[:, :, 0, :2]
    hard += logits.detach()[:, :, 0, :2].softmax(dim=1)
    hard[:, 0] -= 1
    torch.testing.assert_close(logits.grad, expected / 4)


def test_pixels_are_chosen_by_what_the_network_says_and_not_by_the_shift():
    """A prior says nothing about which pixels are hard. Class 1 is 3.2 behind by its prior and ahead by its logits."""
    logits, target = torch.zeros(1, 3, 1, 4), torch.tensor([[[1, 0, 0, 0]]])
    logits[0, 1, 0, 0] = 2.0  # p = 0.79; with the shift it were the hardest
    logits[0, 0, 0, 1:] = torch.tensor([1.0, 3.0, 3.0])
    loss = Recorder()
    made(loss, {"kind": "chain", "of": [HARD, "logit_adjustment"]})(logits, target)
    assert loss.given[1].tolist() == [[[IGNORE, 0, IGNORE, IGNORE]]]
    np.testing.assert_allclose(loss.given[0][0, :, 0, 0], np.add([0, 2, 0], LOG_PRIOR), rtol=1e-6)


# --- phases ---


def acts(criterion, loss, iteration) -> tuple[bool, bool, bool]:
    """Whether class weights, logits and pixels are acted on."""
    logits, target = hard_batch()
    criterion(logits, target, iteration=iteration)
    return loss.given[2] is not None, loss.given[0] is not logits, bool((loss.given[1] != target).any())


@pytest.mark.parametrize(
    ("iterations", "last", "switch"),
    [(10, 0.3, 7), (8, 0.25, 6), (7, 0.5, 4), (1, 0.9, 0), (1, 0.1, 1), (20, 0.01, 20)],
)
def test_phases_switch_at_their_iteration(iterations, last, switch):
    """From the first on, at the nearest whole iteration, and a phase that rounds to nothing never acts."""
    first, then = HARD, {"kind": "chain", "of": ["class_weights", "logit_adjustment"]}
    loss = Recorder()
    criterion = made(loss, {"kind": "two_phase", "first": first, "then": then, "last": last}, iterations)
    found = [acts(criterion, loss, iteration) for iteration in range(iterations)]
    assert found == [(False, False, True)] * switch + [(True, True, False)] * (iterations - switch)


def test_a_training_may_go_on_in_the_second_phase():
    """The iteration decides, and not how often the criterion was called: it starts anew after a restart."""
    loss = Recorder()
    criterion = made(loss, {"kind": "two_phase", "first": "none", "then": "class_weights", "last": 0.5}, iterations=4)
    assert [acts(criterion, loss, iteration)[0] for iteration in (3, 0, 2, 1)] == [True, False, True, False]
    assert loss.given[3].progress == 0.25, "progress is that of the whole training"


# --- what it has seen ---


def random_targets(batches=5) -> np.ndarray:
    return np.random.default_rng(0).choice([0, 1, 2, IGNORE], (batches, 2, 4, 5), p=[0.7, 0.2, 0.05, 0.05])


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64])
def test_pixels_of_all_batches_are_counted(dtype):
    """As NumPy counts them, void never."""
    criterion, targets = made(Recorder()), random_targets()
    assert criterion.seen.tolist() == [0, 0, 0]
    for target in targets:
        criterion(LOGITS, torch.from_numpy(target).to(dtype))
    assert criterion.seen.dtype == torch.int64
    assert np.array_equal(criterion.seen, np.bincount(targets.ravel(), minlength=256)[:3])
    assert criterion.seen.sum() == (targets != IGNORE).sum()


def test_void_alone_counts_nothing():
    """A batch may have no labelled pixel."""
    criterion = made(Recorder())
    criterion(LOGITS, torch.full_like(TARGET, IGNORE))
    assert criterion.seen.tolist() == [0, 0, 0]


def test_pixels_that_the_loss_does_not_get_are_not_counted():
    """What is counted is what the loss is given, batch after batch."""
    loss, given = Recorder(), []
    criterion = made(loss, HARD)
    for target in random_targets():
        logits = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(len(given)))
        criterion(logits, torch.from_numpy(target))
        given.append(loss.given[1].numpy())
    counted = np.bincount(np.ravel(given), minlength=256)[:3]
    assert np.array_equal(criterion.seen, counted)
    assert 0 < counted.sum() < (random_targets() != IGNORE).sum() / 3


# --- what the terms of a sum cost ---

LATE = {"weight": {"start": 0.0, "end": 2.0, "between": [0.5, 0.5]}, "class_weights": "none"}
SUM = {"kind": "compound", "terms": {"cross_entropy": 1.0, "dice": LATE}}


def test_the_mean_of_each_term_is_known_for_any_iterations():
    """Of four, in the last two of which Dice has a weight; cross-entropy is weighed by the strategy."""
    loss = plugins.build_unnamed("losses", SUM, "loss")
    criterion = made(loss, "class_weights", iterations=4)
    logits = torch.randn(4, 2, 3, 4, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    targets = torch.from_numpy(random_targets(4))
    for iteration in range(4):
        criterion(logits[iteration], targets[iteration], iteration=iteration)
    cross_entropy, dice = (plugins.build("losses", kind, {}, "loss") for kind in ("cross_entropy", "dice"))
    weights = criterion.phases[0].class_weights
    first = [cross_entropy(*each, weights).item() for each in zip(logits, targets, strict=True)]
    second = [dice(*each).item() for each in zip(logits, targets, strict=True)]
    assert criterion.mean_terms(range(1, 4)) == pytest.approx(
        {"cross_entropy": np.mean(first[1:]), "dice": np.mean(second[2:])}
    )
    early = criterion.mean_terms(range(2))
    assert (early["cross_entropy"], np.isnan(early["dice"])) == (pytest.approx(np.mean(first[:2])), True)
    assert not criterion.terms.requires_grad


def test_the_terms_are_part_of_the_state_of_a_sum_alone():
    """A training that goes on knows what those before it cost; that of any other loss has nothing more to keep."""
    loss = plugins.build_unnamed("losses", SUM, "loss")
    criterion, other = made(loss, iterations=2), made(loss, iterations=2)
    criterion(LOGITS, TARGET, iteration=0)
    other.load_state_dict(criterion.state_dict())
    assert other.mean_terms(range(1))["cross_entropy"] == pytest.approx(np.log(3))
    single = made(plugins.build("losses", "dice", {}, "loss"))
    assert single.mean_terms(range(1)) == {}
    assert criterion.state_dict().keys() - single.state_dict().keys() == {"terms"}


# --- what is trained, moved and saved ---


@pytest.mark.parametrize("learned", [0, 3])
def test_numbers_that_the_loss_learns_are_parameters(learned):
    """They start at 0, and a loss without any adds nothing to the optimizer."""
    loss = Recorder(learned)
    criterion = made(loss)
    criterion(LOGITS, TARGET)
    assert [parameter.tolist() for parameter in criterion.parameters()] == ([[0.0] * learned] if learned else [])
    assert loss.given[3].learned is criterion.learned


def test_learned_numbers_get_a_gradient_and_move():
    """Of a real loss: the weights of its terms."""
    terms = {"cross_entropy": 1.0, "dice": 1.0}
    loss = plugins.build("losses", "compound", {"terms": terms, "weights": "learned"}, "compound")
    criterion = made(loss)
    optimizer = torch.optim.SGD(criterion.parameters(), lr=0.1)
    criterion(LOGITS + torch.arange(3).view(3, 1, 1), TARGET).backward()  # neither term is 1/2, where s has no slope
    assert criterion.learned.grad.isfinite().all()
    optimizer.step()
    assert (criterion.learned != 0).all()


def test_all_of_it_moves_to_a_device():
    """On a GPU nothing may be left behind, of any phase. `meta` is a device that every machine has."""
    phases = {"kind": "two_phase", "first": "class_weights", "then": "logit_adjustment"}
    criterion = made(Recorder(2), phases).to("meta")
    tensors = [*criterion.buffers(), *criterion.parameters()]
    assert len(tensors) == 6  # two statistics, what was seen, weights, shift, and what is learnt
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_state_holds_what_was_learnt_and_seen():
    """A training that continues from a checkpoint goes on with the same numbers."""
    criterion, other = (Criterion(Recorder(2), Strategy(), STATISTICS, iterations=1) for _ in range(2))
    criterion(LOGITS, TARGET)
    with torch.no_grad():
        criterion.learned += torch.tensor([1.0, -2.0])
    other.load_state_dict(criterion.state_dict())
    assert other.learned.tolist() == [1.0, -2.0]
    assert other.seen.tolist() == [40, 0, 0]


# --- one logit channel ---


@pytest.mark.parametrize("strategy", ["logit_adjustment", HARD, "class_weights"])
def test_one_channel_is_the_foreground_before_a_background_of_0(strategy):
    """For what a strategy does to logits, too: a shift of each class, and the pixels that are hardest."""
    statistics = ClassStatistics(PIXELS[:, :2], np.minimum(PIXELS[:, :2], 1))
    logits, target = torch.randn(2, 1, 4, 5), torch.arange(40).view(2, 4, 5) % 2
    criterion = Criterion(
        plugins.build("losses", "cross_entropy", {}, "x"),
        plugins.build_unnamed("strategies", strategy, "x"),
        statistics,
        1,
    )
    both = torch.cat([torch.zeros_like(logits), logits], dim=1)
    assert criterion(logits, target) == criterion(both, target)


def test_logit_adjustment_of_one_channel_by_hand():
    """Of 250 and 10 pixels the foreground is shifted by log(10 / 260), the background by log(250 / 260)."""
    statistics = ClassStatistics(PIXELS[:, :2], np.minimum(PIXELS[:, :2], 1))
    strategy = plugins.build_unnamed("strategies", "logit_adjustment", "x")
    criterion = Criterion(plugins.build("losses", "cross_entropy", {}, "x"), strategy, statistics, 1)
    value = criterion(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, dtype=torch.int64))
    assert value.item() == pytest.approx(np.log(260 / 10), rel=1e-5)

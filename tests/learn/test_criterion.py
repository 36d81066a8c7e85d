"""What reaches a loss in training, and what of it is trained."""

import numpy as np
import pytest
import torch

from pipeline.learn.criterion import Criterion
from pipeline.plumbing import plugins

PIXELS = np.array([[90, 10, 0], [60, 0, 40], [100, 0, 0]])  # of three classes in three train images
LOGITS, TARGET = torch.zeros(2, 3, 4, 5), torch.zeros(2, 4, 5, dtype=torch.uint8)


class Recorder:
    """A loss that keeps what it is called with."""

    def __init__(self, learned=0):
        self.learned = learned

    def learned_numbers(self):
        return self.learned

    def __call__(self, *given):
        self.given = given
        return given[0].sum()


def test_loss_is_given_what_the_batch_and_the_training_know():
    """Logits, target and distances as they are; class weights and statistics as float32; progress from 0 to below 1."""
    loss, distances = Recorder(), torch.ones(2, 3, 4, 5)
    criterion = Criterion(loss, np.array([0.5, 1.0, 2.0]), PIXELS, iterations=8)
    assert criterion(LOGITS, TARGET, distances, iteration=2) == 0
    logits, target, class_weights, facts = loss.given
    assert logits is LOGITS
    assert target is TARGET
    assert facts.distances is distances
    assert class_weights.dtype == facts.train_pixels.dtype == facts.train_images.dtype == torch.float32
    assert class_weights.tolist() == [0.5, 1.0, 2.0]
    assert facts.train_pixels.tolist() == [250, 10, 40]
    assert facts.train_images.tolist() == [3, 1, 1]
    assert facts.progress == 0.25
    assert facts.learned is None


def test_without_a_strategy_there_are_no_class_weights():
    """None, not ones: a loss that refuses weights must not be given any."""
    loss = Recorder()
    Criterion(loss, None, PIXELS, iterations=1)(LOGITS, TARGET)
    _, _, class_weights, facts = loss.given
    assert class_weights is None
    assert facts.distances is None
    assert facts.progress == 0


@pytest.mark.parametrize("learned", [0, 3])
def test_numbers_that_the_loss_learns_are_parameters(learned):
    """They start at 0, and a loss without any adds nothing to the optimizer."""
    loss = Recorder(learned)
    criterion = Criterion(loss, None, PIXELS, iterations=1)
    criterion(LOGITS, TARGET)
    assert [parameter.tolist() for parameter in criterion.parameters()] == ([[0.0] * learned] if learned else [])
    assert loss.given[3].learned is criterion.learned


def test_learned_numbers_get_a_gradient_and_move():
    """Of a real loss: the weights of its terms."""
    terms = {"cross_entropy": 1.0, "dice": 1.0}
    loss = plugins.build("losses", "compound", {"terms": terms, "weights": "learned"}, "compound")
    criterion = Criterion(loss, None, PIXELS, iterations=1)
    optimizer = torch.optim.SGD(criterion.parameters(), lr=0.1)
    criterion(LOGITS + torch.arange(3).view(3, 1, 1), TARGET).backward()  # neither term is 1/2, where s has no slope
    assert criterion.learned.grad.isfinite().all()
    optimizer.step()
    assert (criterion.learned != 0).all()


def test_all_of_it_moves_to_a_device():
    """On a GPU nothing may be left behind. `meta` is a device that every machine has."""
    criterion = Criterion(Recorder(2), np.ones(3), PIXELS, iterations=1).to("meta")
    tensors = [*criterion.buffers(), *criterion.parameters()]
    assert len(tensors) == 4
    assert {tensor.device.type for tensor in tensors} == {"meta"}


def test_state_holds_what_was_learnt():
    """A training that continues from a checkpoint goes on with the same numbers."""
    criterion, other = (Criterion(Recorder(2), None, PIXELS, iterations=1) for _ in range(2))
    with torch.no_grad():
        criterion.learned += torch.tensor([1.0, -2.0])
    other.load_state_dict(criterion.state_dict())
    assert other.learned.tolist() == [1.0, -2.0]

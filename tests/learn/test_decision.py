"""The score that a decision is fitted with, against NumPy and scikit-learn, and what two strategies make of it."""

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score

from pipeline.learn.decision import ValidationScore
from pipeline.measure.counts.region import count, mean_iou
from pipeline.plumbing import plugins
from pipeline.plumbing.labels import IGNORE
from pipeline.strategies.base import ClassStatistics

CLASSES = 4
PIXELS = np.array([[9000, 900, 90, 10]])
STATISTICS = ClassStatistics(PIXELS, np.minimum(PIXELS, 1))


class Recited(torch.nn.Module):
    """A model that knows its logits by heart; an image tells its number."""

    def __init__(self, logits: np.ndarray) -> None:
        super().__init__()
        self.logits = torch.from_numpy(logits)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits[images[:, 0, 0, 0].long()]


@pytest.fixture
def split() -> tuple[np.ndarray, np.ndarray]:
    """Logits `n c h w` of a model that neglects the rare classes 2 and 3, and true masks `n h w` with void."""
    random = np.random.default_rng(5)
    masks = random.choice(CLASSES, size=(7, 12, 10), p=[0.6, 0.25, 0.1, 0.05])
    logits = random.normal(size=(7, CLASSES, 12, 10)) + 2.5 * np.moveaxis(np.eye(CLASSES)[masks], -1, 1)
    logits[:, 2:] -= np.array([2.0, 3.0])[:, None, None]
    masks[random.random(masks.shape) < 0.1] = IGNORE
    return logits.astype(np.float32), masks.astype(np.uint8)


@pytest.fixture
def score_of(tmp_path):
    """`score_of(logits, masks)`: the score of a validation split with these masks, by a model with these logits."""

    def made(logits: np.ndarray, masks: np.ndarray, batch_size: int = 3) -> ValidationScore:
        images = np.zeros((*masks.shape, 3), dtype=np.uint8)
        images += np.arange(len(masks), dtype=np.uint8)[:, None, None, None]
        np.save(tmp_path / "val_images.npy", images)
        np.save(tmp_path / "val_masks.npy", masks)
        return ValidationScore(Recited(logits), tmp_path, batch_size, torch.device("cpu"))

    return made


def expected(logits: np.ndarray, masks: np.ndarray, offsets: np.ndarray) -> float:
    """The definition, by other means: the mean over the classes that are predicted or true where there is no void."""
    predicted = (logits + np.asarray(offsets, dtype=np.float32)[:, None, None]).argmax(axis=1)
    truth, guess = masks[masks != IGNORE], predicted[masks != IGNORE]
    return jaccard_score(truth, guess, labels=np.union1d(truth, guess), average="macro")


@pytest.mark.parametrize("batch_size", [1, 3, 7])
def test_the_score_is_that_of_scikit_learn_for_any_offsets(score_of, split, batch_size):
    """Asked several times, in an order that would show whether a call leaves something behind."""
    score, random = score_of(*split, batch_size), np.random.default_rng(0)
    for offsets in (np.zeros(CLASSES), *random.normal(scale=3, size=(5, CLASSES)), np.zeros(CLASSES)):
        assert score(offsets) == pytest.approx(expected(*split, offsets), rel=1e-12)


def test_offsets_that_differ_in_one_class_are_scored_as_any_others(score_of, split):
    """These are scored in a faster way: one class after another as in a search, to and fro, and after a jump."""
    score, random = score_of(*split), np.random.default_rng(1)
    offsets = np.zeros(CLASSES)
    for step, index in enumerate([0, 0, 1, 1, 1, 3, 2, 2, 0, 1, 1, 3]):
        offsets[index] = random.normal(scale=2)
        if step == 8:
            offsets = random.normal(size=CLASSES)
        assert score(offsets) == pytest.approx(expected(*split, offsets), rel=1e-12)
        assert score(offsets) == pytest.approx(expected(*split, offsets), rel=1e-12), "the same asked twice"


def test_without_offsets_it_is_the_score_of_a_validation(score_of, split):
    """The checkpoint rule reads this one: counts per image, summed."""
    logits, masks = map(torch.from_numpy, split)
    assert score_of(*split)(np.zeros(CLASSES)) == mean_iou(count(logits.argmax(dim=1), masks, CLASSES))


def test_a_class_that_never_occurs_is_left_out_of_the_mean(score_of, split):
    """Neither predicted nor true it has no score; 0 or 1 would move the mean."""
    logits, masks = split
    masks[masks == 3] = IGNORE
    offsets = np.array([0.0, 0.0, 0.0, -1e6])
    assert score_of(logits, masks)(offsets) == pytest.approx(expected(logits[:, :3], masks, offsets[:3]), rel=1e-12)


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_of_equal_logits_the_first_class_is_taken_as_argmax_does(score_of, moved):
    """Or the fitted score would be of other predictions than those that are judged. Also where one class moved."""
    logits, masks = np.zeros((1, 3, 2, 2), dtype=np.float32), np.zeros((1, 2, 2), dtype=np.uint8)
    logits[:, :, 0] += 0.1
    score = score_of(logits, masks)
    assert score(np.zeros(3)) == 1.0
    score(np.eye(3)[moved])
    assert score(np.zeros(3)) == 1.0


def test_a_split_of_void_alone_but_one_pixel_is_scored_by_that_pixel(score_of, split):
    logits, masks = split
    masks[:] = IGNORE
    masks[2, 3, 4] = 1
    score = score_of(logits, masks)
    assert score(np.array([0, 1e6, 0, 0])) == 1.0
    assert score(np.array([1e6, 0, 0, 0])) == 0.0


@pytest.mark.parametrize("kind", ["post_hoc_logit_adjustment", "class_thresholds"])
def test_a_fit_raises_the_score_of_a_model_that_neglects_rare_classes(score_of, split, kind):
    """By offsets that favour these, judged by the definition."""
    offsets = plugins.build("strategies", kind, {}, kind).decision(STATISTICS, score_of(*split))
    assert expected(*split, offsets) > expected(*split, np.zeros(CLASSES)) + 0.05
    assert min(offsets[2:]) > max(offsets[:2])


def test_the_post_hoc_fit_is_the_best_of_its_grid_worked_out_apart(score_of, split):
    """Menon et al.: tau times the log of the prior, here with the best of 21 values of tau."""
    strategy = plugins.build("strategies", "post_hoc_logit_adjustment", {}, "here")
    grid = [-tau * np.log([0.9, 0.09, 0.009, 0.001]) for tau in np.arange(21) / 10]
    best = max(grid, key=lambda offsets: expected(*split, offsets))
    np.testing.assert_allclose(strategy.decision(STATISTICS, score_of(*split)), best)

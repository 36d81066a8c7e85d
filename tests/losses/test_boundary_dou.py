"""Boundary DoU: NumPy with the boundaries by SciPy, its limit Jaccard, and values a reader can work out."""

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion, generate_binary_structure
from scipy.special import softmax
from sklearn.metrics import jaccard_score
from torch.testing import assert_close

from tests.losses.reference import mean

CROSS = generate_binary_structure(2, 1)


def reference(loss, logits, target, weights, facts):
    """Sun et al. in the squared form of their code; the boundary is what an erosion by a cross takes away."""
    p, valid = softmax(logits, axis=1), target != 255
    classes = np.unique(target[valid])
    losses = []
    for index in classes:
        g, probability = (target == index).astype(float), p[:, index] * valid
        size = g.sum()
        boundary = sum(image.sum() - binary_erosion(image, CROSS).sum() for image in target == index)
        alpha = min(max(1 - 2 * boundary / size, 0), 0.8)
        intersection, sizes = (probability * g).sum(), (probability**2).sum() + (g**2).sum()
        losses.append((sizes - 2 * intersection) / (sizes - (1 + alpha) * intersection))
    return mean(np.array(losses), weights[classes])


def square(side, size=12, shift=0):
    """Mask `1 size size` with a square of class 1, `shift` pixels to the right of the middle."""
    mask = torch.zeros(1, size, size, dtype=torch.long)
    start = (size - side) // 2
    mask[:, start : start + side, start + shift : start + side + shift] = 1
    return mask


def surely(mask):
    return 200 * torch.nn.functional.one_hot(mask, 2).movedim(-1, 1).float()


def test_small_square_by_hand(build):
    """3 x 3: 8 of 9 pixels are boundary, alpha = 0. Moved by one: I = 6, U = 12, and 1 - 6/12."""
    loss = build("boundary_dou", background=False)(surely(square(3, shift=1)), square(3))
    assert loss.item() == pytest.approx(1 - 6 / 12)


def test_large_square_by_hand(build):
    """8 x 8: 28 of 64 pixels are boundary, alpha = 1 - 56/64 = 1/8. Moved by one: I = 56, U = 72."""
    loss = build("boundary_dou", background=False)(surely(square(8, shift=1)), square(8))
    assert loss.item() == pytest.approx(16 / (72 - 56 / 8))


def test_alpha_is_at_most_four_fifths(build):
    """60 x 60: 236 of 3600 pixels are boundary, and 1 - 2 * 236/3600 = 0.869 is cut. Moved by one: I = 3540."""
    loss = build("boundary_dou", background=False)(surely(square(60, 64, shift=1)), square(60, 64))
    assert loss.item() == pytest.approx(120 / (3660 - 0.8 * 3540))


def test_same_shift_costs_a_large_object_more_than_jaccard_would(build):
    """The paper's aim: the interior of a large object no longer hides its boundary."""
    loss = build("boundary_dou", background=False)(surely(square(60, 64, shift=1)), square(60, 64))
    assert loss > 3 * (120 / 3660)


def test_half_probability_by_hand(build, row, predict):
    """Each class: I = 1/2, U = 1/4 + 1/4 + 1 - 1/2 = 1; a row is boundary all along, alpha = 0."""
    assert build("boundary_dou")(predict([0.5, 0.5], [0.5, 0.5]), row(0, 1)).item() == pytest.approx(1 / 2)


@pytest.mark.parametrize("classes", [2, 4])
def test_hard_predictions_of_thin_classes_give_the_jaccard_index_of_scikit_learn(build, batch, classes):
    """In a random mask at least half of each class is boundary, so alpha = 0."""
    target = torch.where(batch[1] < classes, batch[1], 255)
    prediction = torch.randint(0, classes, target.shape, generator=torch.Generator().manual_seed(1))
    logits = 100 * torch.nn.functional.one_hot(prediction, classes).movedim(-1, 1).float()
    valid = target != 255
    jaccard = jaccard_score(target[valid], prediction[valid], labels=range(classes), average="macro")
    assert build("boundary_dou")(logits, target).item() == pytest.approx(1 - jaccard, abs=1e-6)


def test_void_pixels_bound_an_object_as_the_edge_of_the_image_does(build):
    """Of a background of 9 x 9 the outer ring of 32 is boundary; a ring of void pixels around it changes nothing."""
    inner = torch.zeros(1, 9, 9, dtype=torch.long)
    ringed = torch.nn.functional.pad(inner, (1, 1, 1, 1), value=255)
    for target in (inner, ringed):
        logits = torch.zeros(1, 2, *target.shape[1:])
        union, intersection, alpha = 81 / 4 + 81 - 81 / 2, 81 / 2, 1 - 2 * 32 / 81
        expected = (union - intersection) / (union - alpha * intersection)
        assert build("boundary_dou")(logits, target).item() == pytest.approx(expected)


def test_scale_does_not_depend_on_how_many_classes_are_absent(build, batch):
    """As in Dice."""
    logits, target = batch
    more = torch.nn.functional.pad(logits, (0, 0, 0, 0, 0, 5), value=-1e4)  # five classes more, nowhere seen
    assert_close(build("boundary_dou")(more, target), build("boundary_dou")(logits, target))


def test_weight_of_an_absent_class_changes_nothing(build, batch):
    """It is left out of the mean together with its weight."""
    logits, target = batch[0], batch[1].where(batch[1] != 3, 0)
    one, other = (build("boundary_dou")(logits, target, torch.tensor([1.0, 2.0, 0.5, w])) for w in (0.0, 9.0))
    assert_close(one, other)

"""clDice: NumPy with SciPy's filters, and skeletons a reader can work out."""

import numpy as np
import pytest
import torch
from scipy.ndimage import generate_binary_structure, maximum_filter, minimum_filter
from scipy.special import softmax
from torch.testing import assert_close

from pipeline.plumbing.errors import UserError
from tests.losses.reference import mean

CROSS = generate_binary_structure(2, 1)


def reference(loss, logits, target, weights, facts):
    """Shit et al. per class over all images; the smoothing by 1 of their code."""
    p, valid = softmax(logits, axis=1), target != 255
    classes = np.unique(target[valid])
    losses = []
    for index in classes:
        g, probability = (target == index).astype(float), p[:, index] * valid
        skeletons = [
            np.stack([skeleton(image, known, loss.iterations) for image, known in zip(maps, valid, strict=True)])
            for maps in (probability, g)
        ]
        precision, sensitivity = (
            ((each * mask).sum() + 1) / (each.sum() + 1) for each, mask in zip(skeletons, (g, probability), strict=True)
        )
        losses.append(1 - 2 * precision * sensitivity / (precision + sensitivity))
    return mean(np.array(losses), weights[classes])


def skeleton(x, valid, iterations):
    """Soft skeletonisation as in the paper; void pixels are what the pixels beyond the image are."""
    found = np.zeros_like(x)
    for _ in range(iterations + 1):
        eroded = minimum_filter(np.where(valid, x, 9), footprint=CROSS, mode="constant", cval=9)
        opened = maximum_filter(np.where(valid, eroded, -9), size=3, mode="constant", cval=-9)
        removed = np.maximum(x - opened, 0) * valid
        found = found + np.maximum(removed - found * removed, 0)
        x = np.where(valid, eroded, 0)
    return found


def masked(*lines):
    """Target of one image, written as lines of digits."""
    return torch.tensor([[[int(digit) for digit in line] for line in lines]])


def surely(mask):
    return 200 * torch.nn.functional.one_hot(mask, 2).movedim(-1, 1).float()


LINE = masked("0000000", "0000000", "1111111", "0000000", "0000000")
THICK = masked("0000000", "1111111", "1111111", "1111111", "0000000")
BROKEN = masked("0000000", "0000000", "1110111", "0000000", "0000000")
STUB = masked("0000000", "0000000", "1111111", "0001000", "0001000")


def test_break_by_hand(build):
    """A line of 7 is its own skeleton and misses one pixel: TP = 1, TS = (6 + 1) / (7 + 1)."""
    loss = build("cl_dice")(surely(BROKEN), LINE)
    assert loss.item() == pytest.approx(1 - 2 * (7 / 8) / (1 + 7 / 8))


def test_false_branch_by_hand(build):
    """Two pixels too many on the skeleton of nine: TP = (7 + 1) / (9 + 1), TS = 1."""
    loss = build("cl_dice")(surely(STUB), LINE)
    assert loss.item() == pytest.approx(1 - 2 * (8 / 10) / (1 + 8 / 10))


def test_width_is_not_seen(build):
    """A line three times as thick has the same centre line, so alone this loss is not enough."""
    assert build("cl_dice")(surely(THICK), LINE) == pytest.approx(0, abs=1e-6)
    assert build("cl_dice")(surely(LINE), THICK) == pytest.approx(0, abs=1e-6)
    assert build("dice")(surely(THICK), LINE) > 0.4


def test_break_costs_more_than_a_lack_of_width(build):
    """Dice sees it the other way round: there the many pixels of the width count more than the break."""
    loss, dice = build("cl_dice"), build("dice")
    assert loss(surely(BROKEN), LINE) > loss(surely(THICK), LINE) + 0.05
    assert dice(surely(BROKEN), LINE) < dice(surely(THICK), LINE)


@pytest.mark.parametrize(("iterations", "sensitivity"), [(1, 1), (2, (8 + 1) / (9 + 1))])
def test_thick_structures_need_more_iterations(build, iterations, sensitivity):
    """A bar five pixels thick has its centre line after two erosions; before that a hole in it goes unnoticed."""
    bar = torch.zeros(1, 9, 9, dtype=torch.long)
    bar[:, 2:7] = 1
    hole = bar.clone()
    hole[:, 4, 4] = 0
    loss = build("cl_dice", iterations=iterations)(surely(hole), bar)
    assert loss.item() == pytest.approx(1 - 2 * sensitivity / (1 + sensitivity), abs=1e-6)


@pytest.mark.parametrize(("iterations", "sensitivity"), [(3, 1), (10, (2 * 60 + 1) / (2 * 64 + 1))])
def test_default_sees_a_gap_in_a_vessel_of_ten_pixels(build, iterations, sensitivity):
    """Its centre line is two rows of 64 pixels, reached after four erosions; a gap hides four of each."""
    vessel = torch.zeros(1, 32, 64, dtype=torch.long)
    vessel[:, 11:21] = 1
    broken = vessel.clone()
    broken[:, :, 30:34] = 0
    loss = build("cl_dice", iterations=iterations)(surely(broken), vessel)
    assert loss.item() == pytest.approx(1 - 2 * sensitivity / (1 + sensitivity), abs=1e-6)
    assert build("cl_dice").iterations == 10


def test_class_that_fills_the_image_has_no_skeleton(build):
    """It is never eroded, and neither is a prediction that knows nothing: there is nothing to compare."""
    truth = torch.zeros(1, 5, 7, dtype=torch.long)
    assert build("cl_dice")(surely(truth), truth) == 0
    assert build("cl_dice")(torch.zeros(1, 2, 5, 7), truth) == 0


def test_structures_that_leave_the_image_are_not_eroded_from_its_edge(build):
    """The line runs from edge to edge, and so does its skeleton: losing an end costs as much as losing the middle."""
    cut = masked("0000000", "0000000", "0111111", "0000000", "0000000")
    loss = build("cl_dice")
    assert_close(loss(surely(cut), LINE), loss(surely(BROKEN), LINE))


def test_skeleton_does_not_run_through_void_pixels(build):
    """A void pixel where the line is broken: what is known of it is found."""
    truth = LINE.masked_fill(BROKEN != LINE, 255)
    assert build("cl_dice")(surely(BROKEN), truth) == pytest.approx(0, abs=1e-6)


def test_scale_does_not_depend_on_how_many_classes_are_absent(build, batch):
    """As in Dice."""
    logits, target = batch
    more = torch.nn.functional.pad(logits, (0, 0, 0, 0, 0, 5), value=-1e4)  # five classes more, nowhere seen
    assert_close(build("cl_dice")(more, target), build("cl_dice")(logits, target))


@pytest.mark.parametrize("value", [0, 51, 2.5])
def test_iterations_out_of_range_is_refused(build, value):
    """With the name of the key."""
    with pytest.raises(UserError, match=r"cl_dice\.iterations: "):
        build("cl_dice", iterations=value)


def test_a_foreground_that_is_absent_costs_what_skeleton_is_predicted(build):
    """A false line of 7 where there is none: TP = (0 + 1) / (7 + 1), TS = 1. Class weights of 1 to 7 make it a seventh
    as dear."""
    truth = torch.zeros_like(LINE)
    loss = build("cl_dice", iterations=3)
    assert loss(surely(LINE), truth).item() == pytest.approx(1 - 2 * (1 / 8) / (1 + 1 / 8))
    weighted = loss(surely(LINE), truth, torch.tensor([1.0, 7.0]))
    assert weighted.item() == pytest.approx(1 - 2 * (1 / 2) / (1 + 1 / 2))

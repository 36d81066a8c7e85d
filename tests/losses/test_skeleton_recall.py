"""Skeleton recall: scikit-image's skeleton and dilation as in the authors' code, and lines a reader can count."""

import numpy as np
import pytest
import torch
from scipy.special import softmax
from skimage.morphology import dilation, skeletonize
from torch.testing import assert_close

from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from tests.losses.reference import mean


def tube_of(mask, radius):
    """The authors' transform: the skeleton, dilated by a cross again and again, times the mask."""
    tube = skeletonize(mask)
    for _ in range(radius):
        tube = dilation(tube)
    return tube * mask


def reference(loss, logits, target, weights, facts):
    """Kirchhoff et al.: one minus the soft recall on the tubed skeleton, of each class over the images of the batch."""
    p, classes = softmax(logits, axis=1), [c for c in np.unique(target[target != 255]) if weights[c]]
    losses = []
    for c in classes:
        tubes = np.stack([tube_of(image == c, loss.radius) for image in target])
        losses.append(1 - (tubes * p[:, c]).sum() / tubes.sum())
    return mean(np.array(losses), weights[classes])


def bar(rows, columns=20, height=15):
    """A horizontal bar of class 1 as thick as `rows`, in the middle of the image."""
    mask = torch.zeros(1, height, columns, dtype=torch.int64)
    mask[:, (height - rows) // 2 : (height + rows) // 2] = 1
    return mask


def surely(mask, classes=2):
    return 60 * torch.nn.functional.one_hot(mask, classes).movedim(-1, 1).float()


@pytest.mark.parametrize(("radius", "expected"), [(0, 4 / 20), (2, 4 / 20)])
def test_gap_in_a_thin_line_costs_its_length(build, radius, expected):
    """A line is its own skeleton and its own tube."""
    line, found = bar(1), bar(1)
    found[..., 8:12] = 0
    assert build("skeleton_recall", radius=radius)(surely(found), line).item() == pytest.approx(expected)


def test_what_lies_outside_the_tube_is_not_missed(build):
    """Of a bar of nine rows the tube is five and a little more at the ends; the outermost rows may be missing."""
    thick, thin = bar(9), bar(7)
    assert build("skeleton_recall")(surely(thin), thick) == pytest.approx(0, abs=1e-6)
    assert build("dice")(surely(thin), thick) > 0.1


def test_false_alarms_cost_nothing(build):
    """It is a recall: why it is a term and never alone."""
    everything = torch.ones_like(bar(1))
    assert build("skeleton_recall")(surely(everything), bar(1)) == pytest.approx(0, abs=1e-6)
    assert build("skeleton_recall", background=True)(surely(everything), bar(1)) == pytest.approx(1 / 2)


def test_classes_side_by_side_have_a_skeleton_each(build):
    """Two thin lines that touch: the one that is not found costs half. One skeleton of both would run in one of them."""
    truth = bar(1)
    truth[:, 8] = 2
    found = truth.where(truth != 2, 0)
    loss = build("skeleton_recall", background=False)
    assert loss(surely(found, 3), truth).item() == pytest.approx(1 / 2)
    assert loss(surely(found, 3), truth, torch.tensor([1.0, 3.0, 1.0])).item() == pytest.approx(1 / 4)


def test_each_image_has_skeletons_of_its_own_and_counts_by_their_length(build):
    """20 pixels of one image are found and 5 of another are not."""
    short = bar(1)
    short[..., 5:] = 0
    truth, found = torch.cat([bar(1), short]), torch.cat([bar(1), torch.zeros_like(short)])
    assert build("skeleton_recall")(surely(found), truth).item() == pytest.approx(5 / 25)


def test_absent_foreground_costs_nothing(build):
    """There is nothing to be recalled."""
    nothing = torch.zeros_like(bar(1))
    assert build("skeleton_recall")(surely(bar(1)), nothing) == 0


def test_void_pixels_are_of_no_skeleton(build):
    """A line that runs on below void pixels is two lines, and what is predicted between them is not asked."""
    truth, found = bar(1), bar(1)
    truth[..., 8:12], found[..., 8:12] = 255, 0
    assert build("skeleton_recall")(surely(found), truth) == pytest.approx(0, abs=1e-6)


def test_gradient_is_along_the_tube_alone(build):
    """What is not of it has none, and through the skeleton goes none."""
    thick = bar(9)
    logits = torch.zeros(1, 2, 15, 20, requires_grad=True)
    build("skeleton_recall")(logits, thick).backward()
    tube = torch.from_numpy(tube_of(thick[0].numpy() == 1, 2))
    assert ((logits.grad[0, 1] != 0) == tube).all()
    assert_close(logits.grad[0, 1][tube], torch.full((int(tube.sum()),), -0.25 / tube.sum()))


@pytest.mark.parametrize("radius", [-1, 21, 1.5, "two", None])
def test_radius_out_of_range_is_refused(radius):
    with pytest.raises(UserError, match=r"x\.radius: "):
        plugins.build("losses", "skeleton_recall", {"radius": radius}, "x")

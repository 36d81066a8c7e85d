"""The contract of losses by overlap (pipeline/losses/base_overlap.py), over every file in pipeline/losses that is one:
what is counted together, what an absent class costs, whose loss it is with two classes, and digits that last.

That each gives the value of its reference under these options, test_contract.py shows by drawn batches.
"""

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score
from torch.testing import assert_close

from pipeline.losses.base import Batch, Facts
from pipeline.losses.base_overlap import OverlapLoss
from tests.losses.variants import CLASSES, KINDS, build_loss

BY_OVERLAP = [kind for kind in KINDS if issubclass(CLASSES[kind], OverlapLoss)]
OF_FOREGROUND = [kind for kind in BY_OVERLAP if CLASSES[kind].model_fields["background"].default is None]
EACH_CLASS = [kind for kind in BY_OVERLAP if kind != "generalized_dice"]  # it is one loss of all classes together
overlap_losses = pytest.mark.parametrize("kind", BY_OVERLAP)


def surely(*masks):
    """Logits of hard predictions, one for each mask `h w`."""
    return 60 * torch.nn.functional.one_hot(torch.tensor(masks), 3).movedim(-1, 1).float()


# --- digits ---


@pytest.fixture(scope="module", params=[2, pytest.param(3, marks=pytest.mark.slow)])
def rare(request):
    """Logits, and the same batch in float32 and in float64: 8 images of 1024 x 1024 with one pixel of class 1.

    Shared, since they are large: what a batch derives from logits and target it keeps.
    """
    generator, classes = torch.Generator().manual_seed(0), request.param
    target = torch.zeros(8, 1024, 1024, dtype=torch.int64)
    if classes == 3:
        target[1:, ::2] = 2
    target[0, 0, 0] = 1
    logits = torch.randn(8, classes, 1024, 1024, generator=generator)
    logits[0, :, 0, 0] = torch.tensor([1.0, 2.0, 0.0])[:classes]
    batches = []
    for dtype in (torch.float32, torch.float64):
        facts = Facts(train_pixels=torch.tensor([9.0, 1.0, 5.0], dtype=dtype)[:classes])
        batches.append(Batch(logits.to(dtype).requires_grad_(), target, None, facts))
    return batches


@pytest.mark.parametrize("kind", [*BY_OVERLAP, "unified_focal"])
def test_one_rare_pixel_in_eight_million_keeps_its_digits(kind, rare):
    """Of a rare class, what two sums over all pixels differ by has no digit right in float32, neither in the value nor
    in the gradient; in float64 it has."""
    loss = build_loss(kind, {}).loss
    values = [loss.formula(batch) for batch in rare]
    gradients = [
        torch.autograd.grad(value, batch.logits, retain_graph=True)[0]
        for value, batch in zip(values, rare, strict=True)
    ]
    assert values[0].item() == pytest.approx(values[1].item(), rel=1e-4)
    error, expected = (gradients[0] - gradients[1]).abs(), gradients[1]
    assert error[0, :, 0, 0].max() < 1e-3 * expected[0, :, 0, 0].abs().max()
    error[0, :, 0, 0] = expected[0, :, 0, 0] = 0
    assert error.norm() < 1e-3 * expected.norm()


# --- whose loss it is ---


@pytest.mark.parametrize("kind", OF_FOREGROUND)
def test_of_two_classes_it_is_the_loss_of_the_foreground(kind):
    """As in the papers: what is said of the background alone does not change it. More classes count them all."""
    logits, target = torch.randn(1, 3, 6, 6), torch.arange(36).view(1, 6, 6) % 3
    two = logits[:, :2], target.clamp(max=1)
    assert build_loss(kind, {})(*two) == build_loss(kind, {"background": False})(*two)
    assert build_loss(kind, {})(logits, target) == build_loss(kind, {"background": True})(logits, target)


@overlap_losses
def test_the_background_has_no_share_in_the_mean_without_it(kind):
    """With three classes, of which the first is found badly and the others are found altogether."""
    logits, target = surely([[0, 1, 1, 2, 2]]), torch.tensor([[[255, 1, 1, 2, 2]]])
    more = torch.cat([logits, surely([[0, 1, 0, 0, 2]])]), torch.cat([target, torch.tensor([[[0, 255, 255, 0, 255]]])])
    logits[:, 0, 0, :1] = 0
    without, with_it = (build_loss(kind, {"background": value}) for value in (False, True))
    assert without(*more) == pytest.approx(0, abs=1e-6)
    wrong = more[0].clone()
    wrong[1, :, 0, 3] = torch.tensor([0.0, 0.0, 60.0])  # a pixel of the background is taken for class 2
    cost, cost_of_all = without(wrong, more[1]), with_it(wrong, more[1])
    assert 0 < cost != cost_of_all


@pytest.mark.parametrize("kind", OF_FOREGROUND)
@pytest.mark.parametrize("share", [0.5, 4.0])
def test_with_the_foreground_alone_class_weights_are_the_price_of_a_false_positive(kind, share, row, predict):
    """w_0 / w_1 times as much, as if there were so many background pixels of each kind; in
    sensitivity_specificity each kind of pixel has a mean of its own, so there its second term costs so much."""
    if kind == "sensitivity_specificity":
        pytest.skip("its test has the value")
    loss, weights = build_loss(kind, {}), torch.tensor([share, 1.0])
    foreground, background = [[0.3, 0.7], [0.8, 0.2]], [[0.6, 0.4], [0.95, 0.05]]
    times = (1, int(share)) if share >= 1 else (int(1 / share), 1)
    repeated = predict(*foreground * times[0], *background * times[1]), row(*[1, 1] * times[0], *[0, 0] * times[1])
    assert_close(loss(predict(*foreground, *background), row(1, 1, 0, 0), weights), loss(*repeated))


# --- what is counted together ---


@pytest.mark.parametrize(("over", "expected"), [("batch", "dataset"), ("image", "image"), ("image_and_class", "class")])
@pytest.mark.parametrize("kind", ["jaccard", "tversky"])
def test_hard_predictions_give_the_three_averages_of_iou(kind, over, expected):
    """mIoU-D, -I and -C of Wang et al., from scikit-learn's Jaccard index of single images and classes. The images
    differ in size of their classes, and one lacks a class, or all three would be equal."""
    masks = [[[0, 0, 0, 0, 1, 1]], [[0, 0, 1, 1, 1, 2]], [[2, 2, 2, 0, 1, 1]]]
    found = [[[0, 0, 0, 1, 1, 1]], [[0, 1, 1, 1, 2, 2]], [[2, 0, 2, 0, 1, 0]]]
    target, prediction = np.array(masks), np.array(found)
    table = np.full((3, 3), np.nan)
    for image in range(3):
        for c in np.unique(target[image]):
            table[image, c] = jaccard_score(target[image].ravel() == c, prediction[image].ravel() == c)
    averages = {
        "dataset": jaccard_score(target.ravel(), prediction.ravel(), average="macro"),
        "image": np.nanmean(np.nanmean(table, axis=1)),
        "class": np.nanmean(np.nanmean(table, axis=0)),
    }
    assert len({round(value, 3) for value in averages.values()}) == 3
    options = {"over": over} | ({"alpha": 1.0, "beta": 1.0} if kind == "tversky" else {})
    value = build_loss(kind, options)(surely(*found), torch.tensor(masks))
    assert value.item() == pytest.approx(1 - averages[expected], abs=1e-6)


@overlap_losses
@pytest.mark.parametrize("absent", ["left_out", "charged"])
def test_of_one_image_all_that_is_counted_together_is_the_same(kind, absent):
    """Batch, image, and image and class."""
    logits, target = torch.randn(1, 3, 5, 5), torch.arange(25).view(1, 5, 5) % 2
    overs = ["batch", "image", "image_and_class"][: 2 if kind not in EACH_CLASS else 3]
    values = [build_loss(kind, {"over": over, "absent": absent})(logits, target) for over in overs]
    assert_close(torch.stack(values), values[0].expand(len(values)))


@overlap_losses
def test_an_image_of_void_pixels_is_no_image(kind):
    """It has no share in the mean over images, also where absent classes are charged."""
    logits, target = torch.randn(2, 3, 5, 5), torch.arange(50).view(2, 5, 5) % 3
    target[1] = 255
    for options in ({"over": "image"}, {"over": "image", "absent": "charged"}):
        loss = build_loss(kind, options)
        assert_close(loss(logits, target), loss(logits[:1], target[:1]))


# --- what an absent class costs ---


@overlap_losses
@pytest.mark.parametrize("channels", [1, 2])
def test_an_absent_foreground_is_charged_from_0_upwards(kind, channels):
    """Smoothly with what is wrongly given to it, to nearly as much as a class found nowhere; never NaN."""
    options = {"background": False} if kind not in OF_FOREGROUND else {}
    loss, target, costs = build_loss(kind, options), torch.zeros(1, 10, 10, dtype=torch.int64), []
    for p in (1e-9, 1e-4, 1e-2, 0.5, 1 - 1e-6):
        logits = torch.full((1, channels, 10, 10), float(np.log(p / (1 - p)))).requires_grad_()
        if channels == 2:
            logits = torch.cat([0 * logits[:, :1], logits[:, :1]], 1)
        value = loss(logits, target)
        assert torch.autograd.grad(value, logits)[0].isfinite().all()
        costs.append(value.item())
    assert costs[0] == pytest.approx(0, abs=1e-3)
    assert costs == sorted(costs)
    assert costs[-1] > 0.8
    assert build_loss(kind, options | {"absent": "left_out"})(logits, target) == 0


def test_the_charge_by_hand(predict_surely):
    """Of 200 pixels 2 are given to a class that none is of. As if a hundredth, 2 pixels, were of it and found: Dice is
    2 * 2 / (2 * 2 + 2), Jaccard 2 / (2 + 2), and of Tversky with alpha 0.3 it is 2 / (2 + 0.3 * 2)."""
    logits, target = predict_surely(*[1] * 2, *[0] * 198, classes=2), torch.zeros(1, 1, 200, dtype=torch.int64)
    assert build_loss("dice", {})(logits, target).item() == pytest.approx(1 - 4 / 6)
    assert build_loss("jaccard", {})(logits, target).item() == pytest.approx(1 - 2 / 4)
    assert build_loss("tversky", {})(logits, target).item() == pytest.approx(1 - 2 / 2.6)


@pytest.mark.parametrize("kind", EACH_CLASS)
def test_a_charged_class_has_its_share_in_the_mean(kind):
    """Of three classes two are there and found and the third is given no pixel: it costs 0 and counts."""
    logits, target = surely([[0, 0, 1, 1]]), torch.tensor([[[0, 1, 1, 1]]])
    left_out, charged = (build_loss(kind, {"absent": absent})(logits, target) for absent in ("left_out", "charged"))
    assert_close(charged, left_out * 2 / 3)


# --- slopes ---


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", [*BY_OVERLAP, "unified_focal", "compound"])
def test_second_derivatives_are_those_of_the_first(kind, classes, batch):
    """For penalties on gradients, influence functions, and the curvature of a loss."""
    logits, target = batch[0][:1, :classes, :2, :3].double(), batch[1][:1, :2, :3] % classes
    loss = build_loss(kind, {"terms": {"cross_entropy": 1.0, "dice": 10.0}} if kind == "compound" else {})
    assert torch.autograd.gradgradcheck(lambda logits: loss.in_float64(logits, target), logits.requires_grad_())


@pytest.mark.parametrize("classes", [2, 3])
@overlap_losses
def test_functional_gradients_are_those_of_backward(kind, classes, batch):
    """`torch.func.grad`, as for the gradient of each sample."""
    logits, target = batch[0][:, :classes].clone().requires_grad_(), batch[1] % classes
    loss = build_loss(kind, {}).loss
    loss(logits, target).backward()
    assert_close(torch.func.grad(loss)(logits.detach(), target), logits.grad)


@pytest.mark.parametrize("classes", [2, 3])
@overlap_losses
def test_compiled_it_is_the_same(kind, classes, batch):
    """`torch.compile` is given the plain sums, in place of the function with a backward pass of its own."""
    logits, target = batch[0][:, :classes], batch[1] % classes
    loss = build_loss(kind, {}).loss
    torch.compiler.reset()
    assert_close(torch.compile(lambda logits: loss(logits, target), backend="eager")(logits), loss(logits, target))


@overlap_losses
@pytest.mark.parametrize("classes", [2, 3])
def test_nothing_costs_less_than_nothing(kind, classes):
    """Nor by rounding, near the perfect prediction."""
    generator = torch.Generator().manual_seed(0)
    for margin in (6.0, 9.0, 12.0, 16.0, 20.0):
        target = torch.randint(0, classes, (2, 40, 40), generator=generator)
        logits = margin * torch.nn.functional.one_hot(target, classes).movedim(-1, 1).float()
        logits += torch.rand(logits.shape, generator=generator)
        assert build_loss(kind, {"denominator": "squared"} if kind == "dice" else {})(logits, target) >= 0

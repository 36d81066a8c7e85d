"""Soft targets over every loss in pipeline/losses: taken by their meaning, or refused with the reason."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from pipeline.losses.base import Facts
from pipeline.losses.base_soft import SoftBatch, likeliest
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.labels import IGNORE
from tests.losses.variants import KINDS, VARIANTS, build_loss

LEAST_ELSEWHERE = {  # why the label itself is not the best prediction
    "balanced_softmax": "the shifted probabilities are best at the label",
    "logit_adjusted": "the shifted probabilities are best at the label",
    "bi_tempered": "its probabilities are no softmax, unless t2 is 1; they have a test of their own",
    "region_mutual_information": "a pattern stronger than that of the truth explains it even better",
    "cross_entropy-label_smoothing=0.5": "the smoothed label is",
    "jaccard-label_smoothing=0.5": "the smoothed label is",
}
ABOVE_0 = {"cross_entropy", "balanced_cross_entropy", "class_balanced", "focal", "compound"}  # the entropy of the label
LOSSES = {name: build_loss(*variant) for name, variant in VARIANTS.items()}
TAKEN = [name for name, loss in LOSSES.items() if not loss.refuses_soft_targets()]
REFUSED = [name for name in LOSSES if name not in TAKEN]
BEST_AT_THE_LABEL = [name for name in TAKEN if not {name, VARIANTS[name][0]} & LEAST_ELSEWHERE.keys()]
OVERLAPS = ["dice", "f_beta", "focal_tversky", "generalized_dice", "jaccard", "tversky"]

every_taker = pytest.mark.parametrize("name", TAKEN)


def one_hot(target, classes):
    valid = target != IGNORE
    return torch.nn.functional.one_hot(target.where(valid, 0), classes).movedim(-1, 1).float() * valid.unsqueeze(1)


def facts(loss, logits):
    """What a training tells: class statistics. No loss that takes soft targets asks for distances."""
    classes = max(2, logits.shape[1])
    return loss.facts(torch.zeros(1, 1, 1, dtype=torch.int64), classes)


def value_and_slope(name, logits, target, weights=None):
    loss, logits = LOSSES[name], logits.clone().requires_grad_()
    value = loss.loss(logits, target, weights, facts(loss, logits))
    value.backward()
    return value.detach(), logits.grad


def in_float64(name, logits, labels):
    loss = LOSSES[name]
    told = Facts(*(each.double() if torch.is_tensor(each) else each for each in facts(loss, logits)))
    return loss.formula(SoftBatch(logits.double(), likeliest(labels), None, told, labels=labels.double()))


@pytest.fixture(scope="module")
def soft():
    """Labels `2 4 6 5` of every class, some pixels certain, some ignored."""
    labels = torch.randn(2, 4, 6, 5, generator=torch.Generator().manual_seed(1)).mul(2).softmax(dim=1)
    labels[:, :, 5] = one_hot(torch.arange(10).view(2, 5) % 4, 4)
    labels[0, :, 1:4, 2] = labels[1, :, 0, :3] = 0
    return labels


# --- one-hot ---


@every_taker
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_one_hot_probabilities_give_what_the_classes_give(name, weighted, channels, batch, weights):
    """Value and gradient, with void pixels and with a class that an image lacks; for one channel in both forms."""
    classes = max(2, channels)
    weights = weights[:classes] if weighted and not LOSSES[name].refuses_class_weights() else None
    logits, target = batch[0][:, :channels], batch[1].where(batch[1] < classes, 0).where(batch[1] != IGNORE, IGNORE)
    target[0] = target[0].where(target[0] != classes - 1, 0)
    expected = value_and_slope(name, logits, target, weights)
    assert_close(value_and_slope(name, logits, one_hot(target, classes), weights), expected, rtol=1e-5, atol=1e-6)
    if channels == 1:
        whole = target.where(target != IGNORE, 0)
        expected = value_and_slope(name, logits, whole, weights)
        foreground = (whole == 1).unsqueeze(1).float()
        assert_close(value_and_slope(name, logits, foreground, weights), expected, rtol=1e-5, atol=1e-6)


@every_taker
@pytest.mark.parametrize("present", [0, 3])
def test_one_hot_of_a_single_class_too(name, present, batch):
    """All other classes absent."""
    target = torch.full_like(batch[1], present)
    expected = value_and_slope(name, batch[0], target)
    assert_close(value_and_slope(name, batch[0], one_hot(target, 4)), expected, rtol=1e-5, atol=1e-6)


# --- the best prediction ---


@pytest.mark.parametrize("name", BEST_AT_THE_LABEL)
@pytest.mark.parametrize("classes", [2, 4])
def test_the_label_itself_is_the_best_prediction(name, classes):
    """Moved from there by a little or a lot, into any direction or towards certainty, it costs more."""
    generator = torch.Generator().manual_seed(2)
    best = torch.randn(2, classes, 6, 5, generator=generator).double()
    labels = best.softmax(dim=1)
    least = in_float64(name, best, labels)
    if VARIANTS[name][0] not in ABOVE_0:
        assert least.abs() < 1e-9
    for scale in (1e-3, 0.1, 3.0):
        for _ in range(5):
            moved = best + scale * torch.randn(best.shape, generator=generator).double()
            assert in_float64(name, moved, labels) > least
    assert in_float64(name, 30 * best, labels) > least


@pytest.mark.parametrize("t1", [0.0, 0.5, 0.8, 1.0])
@pytest.mark.parametrize("t2", [1.0, 1.2, 2.0])
def test_bi_tempered_costs_nothing_where_its_probabilities_are_the_label(t1, t2):
    """From labels back to logits by the tempered logarithm: exp_t2 (log_t2 g) = g."""
    labels = torch.rand(2, 3, 4, 4, generator=torch.Generator().manual_seed(3)).double().softmax(dim=1)
    logits = labels.log() if t2 == 1 else (labels ** (1 - t2) - 1) / (1 - t2)
    loss = build_loss("bi_tempered", {"t1": t1, "t2": t2}).loss
    batch = SoftBatch(logits, likeliest(labels), labels=labels)
    assert loss.formula(batch).abs() < 1e-12
    assert loss.formula(SoftBatch(logits.flip(1), likeliest(labels), labels=labels)) > 1e-3


# --- values from elsewhere ---


def test_cross_entropy_is_that_of_torch(soft, batch):
    """Its mean is over all pixels, ours over those that are valid."""
    value = LOSSES["cross_entropy"].loss(batch[0], soft)
    valid = soft.sum(dim=1) > 0
    expected = torch.nn.functional.cross_entropy(batch[0].movedim(1, -1)[valid], soft.movedim(1, -1)[valid])
    assert_close(value, expected)


def test_label_smoothing_is_that_of_torch(soft, batch):
    loss = build_loss("cross_entropy", {"label_smoothing": 0.3}).loss
    valid = soft.sum(dim=1) > 0
    logits, labels = (each.movedim(1, -1)[valid] for each in (batch[0], soft))
    assert_close(loss(batch[0], soft), torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.3))


def test_a_pixel_weighs_what_its_classes_weigh_on_average(predict):
    """Labels (1, 0) and (0.5, 0.5), weights 1 and 3: the pixels weigh 1 and 2."""
    labels = torch.tensor([[1.0, 0.0], [0.5, 0.5]]).T.reshape(1, 2, 1, 2)
    logits = predict([0.8, 0.2], [0.4, 0.6])
    expected = (-np.log(0.8) + 2 * -(np.log(0.4) + np.log(0.6)) / 2) / 3
    weights = torch.tensor([1.0, 3.0])
    assert LOSSES["cross_entropy"].loss(logits, labels, weights).item() == pytest.approx(expected)


def test_l1_is_the_mean_absolute_difference(soft, batch):
    valid = soft.sum(dim=1) > 0
    difference = (batch[0].softmax(dim=1) - soft).abs().movedim(1, -1)[valid]
    assert_close(LOSSES["l1"].loss(batch[0], soft), difference.mean())


@pytest.mark.parametrize("name", ["dice", "jaccard", "tversky"])
def test_losses_by_overlap_are_those_of_the_papers(name, soft, batch):
    """By norms, as Wang et al. write them: I = (|p| + |g| - |p - g|) / 2, FP = |p| - I, FN = |g| - I."""
    valid = soft.sum(dim=1) > 0
    p, g = (each.movedim(1, -1)[valid].double() for each in (batch[0].softmax(dim=1), soft))
    sizes, apart = p.sum(dim=0) + g.sum(dim=0), (p - g).abs().sum(dim=0)
    found = (sizes - apart) / 2
    index = {
        "dice": 2 * found / sizes,
        "jaccard": (sizes - apart) / (sizes + apart),
        "tversky": found / (found + 0.3 * (p.sum(dim=0) - found) + 0.7 * (g.sum(dim=0) - found)),
    }[name]
    assert LOSSES[name].loss(batch[0], soft).item() == pytest.approx(1 - index.mean().item(), rel=1e-5)


def test_squared_dice_is_that_of_v_net(soft, batch):
    """2 sum p g / (sum p^2 + sum g^2), as its equation says of any g."""
    valid = soft.sum(dim=1) > 0
    p, g = (each.movedim(1, -1)[valid].double() for each in (batch[0].softmax(dim=1), soft))
    index = 2 * (p * g).sum(dim=0) / (p**2 + g**2).sum(dim=0)
    loss = build_loss("dice", {"denominator": "squared"}).loss
    assert loss(batch[0], soft).item() == pytest.approx(1 - index.mean().item(), rel=1e-5)


def test_gradient_is_that_of_its_equation(batch):
    """All pixels valid: no weight of any pair."""
    p, g = (each.softmax(dim=1).double() for each in (batch[0], batch[0].flip(0)))
    squares = [(p - g).diff(dim=axis) ** 2 for axis in (2, 3)]
    number = sum(each[:, 0].numel() for each in squares)
    expected = sum(each.sum(dim=(0, 2, 3)) for each in squares).mean() / number
    assert LOSSES["gradient"].loss(batch[0], g.float()).item() == pytest.approx(expected.item(), rel=1e-5)


def test_ssim_is_that_of_its_equation():
    """With means as a product with all weights of all windows; every pixel sees the whole image of 3 x 4."""
    y, x = np.divmod(np.arange(12), 4)
    window = np.exp(-((y - y[:, None]) ** 2 + (x - x[:, None]) ** 2) / (2 * 1.5**2))
    window /= window.sum(axis=1, keepdims=True)
    logits = torch.randn(2, 1, 2, 3, 4, generator=torch.Generator().manual_seed(4))
    p, g = logits.softmax(dim=2).double().numpy().reshape(2, 2, 12)
    present = np.bincount(g.argmax(axis=0), minlength=2) > 0
    m_p, m_g = p @ window.T, g @ window.T
    v_pp, v_gg, v_pg = (p * p) @ window.T - m_p**2, (g * g) @ window.T - m_g**2, (p * g) @ window.T - m_p * m_g
    alike = (2 * m_p * m_g + 1e-4) * (2 * v_pg + 9e-4) / ((m_p**2 + m_g**2 + 1e-4) * (v_pp + v_gg + 9e-4))
    expected = (1 - alike).mean(axis=1)[present].mean()
    loss = build_loss("ssim", {"background": True}).loss
    assert loss(logits[0], logits[1].softmax(dim=1)).item() == pytest.approx(expected, rel=1e-4)


def test_region_mutual_information_is_that_of_its_equation():
    """By the inverse that the code avoids, of an image of 5 x 6 pixels that are cells of their own."""
    logits = torch.randn(2, 1, 2, 5, 6, generator=torch.Generator().manual_seed(5))
    p, g = logits.softmax(dim=2).double()[:, 0, 1].numpy()
    regions = [np.lib.stride_tricks.sliding_window_view(each, (3, 3)).reshape(-1, 9) for each in (p, g)]
    p, g = (each - each.mean(axis=0) for each in regions)
    left = g.T @ g - g.T @ p @ np.linalg.inv(p.T @ p + 5e-4 * np.eye(9)) @ p.T @ g
    expected = np.linalg.slogdet(np.eye(9) + left / 5e-4)[1] / 18  # the same for both of two classes
    value = LOSSES["region_mutual_information"].loss(logits[0], logits[1].softmax(dim=1))
    assert value.item() == pytest.approx(expected, rel=1e-4)


def test_balanced_cross_entropy_balances_the_classes_that_are_there(predict):
    """Two pixels of class 0, one of class 1, each with a tenth of class 2: 0.9 / 2, 0.9 / 2 and 0.9 / 1."""
    labels = torch.tensor([[0.9, 0.0, 0.1], [0.9, 0.0, 0.1], [0.0, 0.9, 0.1]]).T.reshape(1, 3, 1, 3)
    p = [[0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [0.2, 0.6, 0.2]]
    each = -(labels[0, :, 0].T * torch.tensor(p).log()).sum(dim=1)
    expected = (each[0] / 2 + each[1] / 2 + each[2]) / 2
    assert_close(LOSSES["balanced_cross_entropy"].loss(predict(*p), labels), expected)


@pytest.mark.parametrize("kind", ["jaccard", "cross_entropy"])
@pytest.mark.parametrize("present", [2, 4])
def test_smoothed_labels_are_those_of_the_option(kind, present, batch):
    """Also where a class is absent and smoothing gives it a share of every label."""
    target = batch[1].where((batch[1] < present) | (batch[1] == IGNORE), 0)
    smoothed = (0.8 * one_hot(target, 4) + 0.2 / 4) * (target != IGNORE).unsqueeze(1)
    expected = build_loss(kind, {"label_smoothing": 0.2}).loss(batch[0], target)
    assert_close(LOSSES[kind].loss(batch[0], smoothed), expected)


@pytest.mark.parametrize("name", OVERLAPS)
def test_a_class_that_is_nowhere_the_likeliest_is_absent(name, batch):
    """What a teacher gives to it does not make a term of it: the mean is over the other classes."""
    target = batch[1].where(batch[1] != 3, 0)
    labels = 0.9 * one_hot(target, 4)
    labels[:, 3] += 0.1 * (target != IGNORE)
    value = [LOSSES[name].loss(batch[0], labels, torch.tensor([1.0, 2.0, 0.5, weight])) for weight in (1e-6, 2.0)]
    assert_close(*value)


# --- ignored pixels, precision, derivatives ---


@every_taker
def test_ignored_pixels_have_no_say(name, soft, batch):
    """Neither gradient nor influence, whatever their logits."""
    void = soft.sum(dim=1, keepdim=True) == 0
    value, slope = value_and_slope(name, batch[0], soft)
    other, _ = value_and_slope(name, batch[0] + 7 * void * torch.arange(4.0).view(-1, 1, 1), soft)
    assert value.isfinite()
    assert slope.isfinite().all()
    assert_close(other, value)
    assert (slope * void == 0).all()


@every_taker
@pytest.mark.parametrize("channels", [1, 4])
def test_a_batch_of_ignored_pixels_costs_nothing(name, channels, batch):
    labels = torch.zeros(2, max(2, channels), 6, 5)
    value, slope = value_and_slope(name, batch[0][:, :channels], labels)
    assert value == 0
    assert (slope == 0).all()


@every_taker
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_labels_may_be_of_any_float_type(name, dtype, soft, batch):
    """They are taken as they are rounded, and computed in float32."""
    value, _ = value_and_slope(name, batch[0], soft.to(dtype))
    assert value.dtype == torch.float32
    assert_close(value, value_and_slope(name, batch[0], soft.to(dtype).float())[0])


@pytest.mark.parametrize("name", [kind for kind in KINDS if kind in TAKEN])
def test_derivatives_are_right(name, soft, batch):
    """The first, and the second as well."""
    labels = soft[:, :, 2:5, :2]
    logits = batch[0][:, :, 2:5, :2].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda logits: in_float64(name, logits, labels), logits)
    assert torch.autograd.gradgradcheck(lambda logits: in_float64(name, logits, labels), logits, atol=1e-4)


# --- what is refused ---


@pytest.mark.parametrize("name", REFUSED)
def test_the_others_refuse_and_say_why(name, soft, batch):
    """Also those that are right already where labels happen to be one-hot."""
    loss = LOSSES[name].loss
    reason = loss.refuses_soft_targets()
    sentence = f"{type(loss).__name__} takes no soft targets: {reason}; give it the class of each pixel, `b h w`."
    for labels in (soft, one_hot(batch[1], 4)):
        with pytest.raises(UserError) as error:
            loss(batch[0], labels)
        assert str(error.value) == sentence


def test_a_sum_takes_them_if_its_terms_do(soft, batch):
    """Its reason is that of the first term which does not."""
    taker = build_loss("compound", {"terms": {"cross_entropy": 1.0, "jaccard": 2.0}}).loss
    expected = LOSSES["cross_entropy"].loss(batch[0], soft) + 2 * LOSSES["jaccard"].loss(batch[0], soft)
    assert_close(taker(batch[0], soft), expected)
    refuser = build_loss("compound", {"terms": {"cross_entropy": 1.0, "lovasz_softmax": 1.0}}).loss
    assert refuser.refuses_soft_targets() == LOSSES["lovasz_softmax"].refuses_soft_targets()


@pytest.mark.parametrize("kind", ["focal", "class_balanced"])
def test_a_factor_that_is_turned_off_is_no_reason(kind):
    assert build_loss(kind, {"gamma": 0.0}).refuses_soft_targets() is None
    assert "(1 - p)^gamma" in build_loss(kind, {"gamma": 1.0}).refuses_soft_targets()


SENTENCE = (
    "The soft target of logits [2, {c}, 4, 3] must be of shape [2, {c}, 4, 3]{foreground}, with probabilities that are at "
    "least 0 and sum to 1 over the classes of a pixel, or are all 0 where it is to be ignored; this one {found}."
)


def refusal(kind, channels, labels):
    with pytest.raises(UserError) as error:
        build_loss(kind, {}).loss(torch.zeros(2, channels, 4, 3), labels)
    return str(error.value)


@pytest.mark.parametrize("kind", ["cross_entropy", "jaccard", "compound"])
@pytest.mark.parametrize("channels", [1, 2, 4])
@pytest.mark.parametrize("shape", [(2, 3, 4, 3), (2, 4, 3, 1), (1, 4, 4, 3), (2, 4, 3, 4)])
def test_labels_of_another_shape_are_refused(kind, channels, shape):
    """One class too many or too few, channels last, another batch."""
    labels = torch.full(shape, 1 / shape[1])
    foreground = ", or [2, 1, 4, 3] for that of the foreground" if channels == 1 else ""
    sentence = SENTENCE.format(c=max(2, channels), foreground=foreground, found=f"is of shape {list(shape)}")
    assert refusal(kind, channels, labels) == sentence


@pytest.mark.parametrize("channels", [2, 4])
def test_the_foreground_alone_is_refused_beside_several_channels(channels):
    sentence = SENTENCE.format(c=channels, foreground="", found="is of shape [2, 1, 4, 3]")
    assert refusal("cross_entropy", channels, torch.full((2, 1, 4, 3), 0.5)) == sentence


@pytest.mark.parametrize("kind", ["cross_entropy", "jaccard", "compound"])
@pytest.mark.parametrize(
    ("pixel", "found"),
    [
        ([0.5, 0.7, -0.2, 0.0], "has -0.2"),
        ([1.0, 1.0, 0.0, 0.0], "has a pixel with the sum 2"),
        ([0.3, 0.3, 0.3, 0.0], "has a pixel with the sum 0.9"),
        ([float("inf"), 0.0, 0.0, 0.0], "has a pixel with the sum inf"),
        ([float("nan"), 0.5, 0.5, 0.0], "has nan"),
        ([0.0, 0.02, 0.0, 0.0], "has a pixel with the sum 0.02"),
    ],
)
def test_numbers_that_are_no_probabilities_are_refused(kind, pixel, found):
    """Also of a single pixel: logits, several labels at once, what interpolation leaves of void."""
    labels = torch.full((2, 4, 4, 3), 0.25)
    labels[1, :, 2, 1] = torch.tensor(pixel)
    assert refusal(kind, 4, labels) == SENTENCE.format(c=4, foreground="", found=found)


@pytest.mark.parametrize(("number", "found"), [(-0.25, "has -0.25"), (1.5, "has -0.5")])
def test_a_foreground_that_is_no_probability_is_refused(number, found):
    labels = torch.full((2, 1, 4, 3), 0.5)
    labels[0, 0, 0, 0] = number
    foreground = ", or [2, 1, 4, 3] for that of the foreground"
    assert refusal("dice", 1, labels) == SENTENCE.format(c=2, foreground=foreground, found=found)


def test_labels_rounded_to_half_precision_are_no_mistake():
    """Of 150 classes, whose sum then misses 1 by a little."""
    labels = torch.randn(2, 150, 4, 3, generator=torch.Generator().manual_seed(0)).softmax(dim=1)
    for dtype in (torch.float16, torch.bfloat16):
        assert LOSSES["cross_entropy"].loss(torch.zeros(2, 150, 4, 3), labels.to(dtype)).isfinite()

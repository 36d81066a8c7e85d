"""A module of one's own as a loss: modules of torch under its own functional forms, and modules with faults."""

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot
from torch.testing import assert_close

from pipeline.losses.base_wrapped import ModuleLoss
from pipeline.plumbing.errors import UserError


class Known(ModuleLoss):
    criterion = nn.CrossEntropyLoss
    label_smoothing: float = 0.0


class MeanOverPixels(nn.Module):
    """Knows nothing of ignored pixels."""

    def forward(self, logits, target):
        return cross_entropy(logits, target)


class BatchDice(nn.Module):
    def forward(self, logits, target):
        p, g = logits.softmax(dim=1), one_hot(target, logits.shape[1]).movedim(-1, 1)
        return 1 - (2 * (p * g).sum((0, 2, 3)) / (p + g).sum((0, 2, 3))).mean()


class ImageDice(BatchDice):
    def forward(self, logits, target):
        return sum(super(ImageDice, self).forward(z[None], t[None]) for z, t in zip(logits, target, strict=True))


class Smooth(nn.Module):
    """Looks at neighbours."""

    def forward(self, logits, target):
        return cross_entropy(logits, target) + logits.diff(dim=2).abs().mean()


class SaysItIgnores(nn.Module):
    def __init__(self, ignore_index):
        super().__init__()

    def forward(self, logits, target):
        return cross_entropy(logits, target.clamp(max=logits.shape[1] - 1))


class ForTwoClasses(nn.Module):
    def forward(self, logits, target):
        return cross_entropy(logits, target, torch.ones(2))


class Flat(nn.Module):
    def forward(self, logits, target):
        return 0 * logits.sum()


def wrapped(module):
    """The two lines."""

    class MyLoss(ModuleLoss):
        criterion = module

    return MyLoss


def test_module_that_ignores_is_told_what(batch):
    """And its options are those of the entry."""
    assert_close(Known()(*batch), cross_entropy(*batch, ignore_index=255))
    assert_close(Known(label_smoothing=0.1)(*batch), cross_entropy(*batch, ignore_index=255, label_smoothing=0.1))


def test_module_that_does_not_gets_the_valid_pixels(batch):
    """With no share of the others in the mean, and no gradient."""
    logits, target = batch[0].clone().requires_grad_(), batch[1]
    value = wrapped(MeanOverPixels)()(logits, target)
    assert_close(value, cross_entropy(logits, target, ignore_index=255))
    value.backward()
    assert not logits.grad.movedim(1, -1)[target == 255].any()
    assert logits.grad.movedim(1, -1)[target != 255].all()


def test_loss_over_the_batch_is_that_of_cropped_images(batch):
    """Where a border is void."""
    logits, target = batch[0], batch[1].clamp(max=3)
    masked = target.clone()
    masked[:, :, :2] = 255
    assert_close(wrapped(BatchDice)()(logits, masked), BatchDice()(logits[..., 2:], target[..., 2:]))


@pytest.mark.parametrize("module", [MeanOverPixels, nn.CrossEntropyLoss, BatchDice])
@pytest.mark.parametrize("classes", [2, 3, 40])
def test_module_that_keeps_the_contract_is_taken(module, classes):
    assert wrapped(module)().refuses_classes(classes) is None


@pytest.mark.parametrize("module", [MeanOverPixels, nn.CrossEntropyLoss])
def test_batch_of_ignored_pixels_costs_nothing(module):
    """Where the module itself would give NaN."""
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    value = wrapped(module)()(logits, torch.full((1, 2, 2), 255))
    value.backward()
    assert value == 0
    assert not logits.grad.any()


ROW = (
    "its module takes no `ignore_index`, and void pixels cannot be left out for it, since its value depends on where "
    "pixels lie or on which image they are of. Give it an `ignore_index`."
)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Smooth, ROW),
        (ImageDice, ROW),
        (SaysItIgnores, "its module takes an `ignore_index`, and yet its value depends on ignored pixels."),
        (Flat, "its module gives no finite number with a finite slope for ordinary logits."),
        (nn.MSELoss, "its module raises RuntimeError: The size of tensor a (3) must match the size of tensor b (2)"),
        (ForTwoClasses, "its module raises RuntimeError: weight tensor should be defined either for all or no classes"),
        (lambda: nn.CrossEntropyLoss(reduction="none"), "its module must give one number, as with reduction='mean'."),
    ],
    ids=["neighbours", "by image", "not ignored", "flat", "other inputs", "other classes", "a map"],
)
@pytest.mark.filterwarnings("ignore:Using a target size")
def test_module_that_does_not_is_refused_before_anything_trains(module, reason):
    """With its own words where it fails."""
    loss = wrapped(module)()
    assert reason in loss.refuses_classes(3)
    with pytest.raises(UserError, match=r"^MyLoss cannot score 3 classes: "):
        loss(torch.randn(1, 3, 4, 4), torch.zeros(1, 4, 4).long())


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (wrapped(lambda: nn.Linear(2, 2)), "MyLoss: its module has parameters, which nothing would train."),
        (wrapped(lambda size: nn.Flatten()), "MyLoss: its module cannot be made of {}: "),
        (lambda: Known(label_smothing=0.1), "Known.label_smothing: unknown key. Did you mean 'label_smoothing'? Known: label_smoothing."),
    ],
)  # fmt: skip
def test_mistake_is_named_when_the_loss_is_made(make, sentence):
    with pytest.raises(UserError) as error:
        make()
    assert str(error.value).startswith(sentence)


def test_class_weights_are_refused():
    assert Known().refuses_class_weights() == "the module that it wraps is not told any"


def test_it_is_a_module_again(batch):
    """With an ignore index that the wrapped module does not know."""
    logits, target = batch
    module = wrapped(MeanOverPixels)().module(ignore_index=-1)
    assert_close(module(logits, target.where(target != 255, -1)), cross_entropy(logits, target, ignore_index=255))


class Unready(nn.Module):
    def __init__(self):
        raise RuntimeError("no licence")


class Forgotten(ModuleLoss):
    pass


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (Forgotten, "Forgotten.criterion: must be the class of a module, or what makes one."),
        (wrapped(3), "MyLoss.criterion: must be the class of a module, or what makes one."),
        (wrapped(Unready), "MyLoss: its module cannot be made of {}: RuntimeError: no licence"),
        (wrapped(lambda: 1 / 0), "MyLoss: its module cannot be made of {}: ZeroDivisionError: division by zero"),
        (wrapped(lambda: None), "MyLoss.criterion: must make an nn.Module, not a value of type NoneType."),
    ],
)
def test_loss_without_a_module_is_refused_when_it_is_made(make, sentence):
    with pytest.raises(UserError) as error:
        make()
    assert str(error.value) == sentence

"""A loss as an `nn.Module`, held against torch, against the loss itself, and against what an `nn.Module` is to do."""

import copy
import pickle

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from torch import nn
from torch.testing import assert_close

from pipeline.losses import Boundary, ClassBalanced, Compound, CrossEntropy, Dice, Focal, Hausdorff, LogitAdjusted
from pipeline.losses.base import Facts
from pipeline.losses.base_module import signed_distances
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from tests.losses.informed import TRAIN_IMAGES, TRAIN_PIXELS
from tests.losses.variants import KINDS, NEEDED, VARIANTS, build_loss

STATISTICS = {"train_pixels": TRAIN_PIXELS[:4], "train_images": TRAIN_IMAGES[:4]}
LEARNED = Compound(terms={"cross_entropy": 1.0, "dice": 1.0}, weights="learned")
RAMP = Compound(terms={"cross_entropy": {"weight": {"start": 1.0, "end": 0.0}}, "dice": 1.0})
TWO, FOUR = [1.0, 2.0], [0.5, 1.0, 3.0, 0.25]

COMPILED = ("boundary", "compound", "dice", "lovasz_softmax")  # in every run; the others in `make proof`, a second each

every_loss = pytest.mark.parametrize("kind", KINDS)


def module_of(loss, **known):
    """With the statistics that the loss says it needs, and no others."""
    return loss.module(**{name: STATISTICS[name] for name in loss.needs_statistics()}, **known)


def plain(kind):
    return plugins.build("losses", kind, NEEDED.get(kind, {}), kind)


@pytest.fixture(scope="module")
def large():
    """Logits `2 4 12 10`, of which no two are equal, and a target with ignored pixels: enough for every loss."""
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, 4, (2, 6, 5), generator=generator).repeat_interleave(2, 1).repeat_interleave(2, 2)
    target[0, :3, :4] = 255
    return torch.randn(2, 4, 12, 10, generator=generator), target


# --- the same loss ---


@pytest.mark.parametrize("name", VARIANTS)
def test_it_gives_what_the_loss_gives_when_it_knows_all(name, batch):
    """With every option moved: so each loss says which statistics it needs, and distance maps are made as in training."""
    loss = build_loss(*VARIANTS[name])
    given = Facts(
        torch.tensor(TRAIN_PIXELS[:4]), torch.tensor(TRAIN_IMAGES[:4]), loss.facts(batch[1], 4).distances, 0.25
    )
    module = module_of(loss.loss)
    if module.learned is not None:
        given = given._replace(learned=module.learned)
    assert_close(module(*batch, progress=0.25), loss.loss(*batch, None, given), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("weights", [FOUR, tuple(FOUR), np.array(FOUR), np.array([2, 4, 12, 1]), torch.tensor(FOUR)])
def test_class_weights_are_those_of_torch(weights, batch):
    """A list, a tuple, an array of either type, a tensor."""
    module = CrossEntropy().module(class_weights=weights)
    assert_close(module(*batch), nn.CrossEntropyLoss(torch.tensor(FOUR), ignore_index=255)(*batch))


@pytest.mark.parametrize("index", [-100, -1, 254, 255, 256, 1000, np.int64(7)])
@pytest.mark.parametrize("dtype", [torch.int16, torch.int64])
def test_any_integer_is_ignored(index, dtype, batch):
    logits, target = batch
    other = target.where(target != 255, int(index)).to(dtype)
    assert_close(
        CrossEntropy().module(ignore_index=index)(logits, other), nn.CrossEntropyLoss(ignore_index=255)(*batch)
    )


def test_a_class_can_be_ignored(batch):
    logits, target = batch
    target = target.where(target != 255, 0)
    assert_close(
        CrossEntropy().module(ignore_index=0)(logits, target), nn.CrossEntropyLoss(ignore_index=0)(logits, target)
    )


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8])
def test_number_that_a_small_type_cannot_hold_ignores_nothing(dtype, batch):
    logits, target = batch
    target = target.where(target != 255, 0).to(dtype)
    assert_close(
        CrossEntropy().module(ignore_index=-1000)(logits, target), nn.CrossEntropyLoss()(logits, target.long())
    )


@pytest.mark.parametrize("channels", [1, 4])
def test_target_may_have_a_channel(channels, batch):
    """As the masks of SMP and MONAI."""
    logits, target = batch[0][:, :channels], batch[1].clamp(max=max(1, channels - 1))
    module = Dice().module()
    assert module(logits, target.unsqueeze(1)) == module(logits, target)


def test_distances_may_be_given(batch):
    """Those of a loader, of SciPy: twice as far is twice the loss."""
    logits, target = batch
    maps = torch.from_numpy(np.stack([signed_distances(mask.numpy().astype(np.uint8), 4) for mask in target]))
    module = Boundary().module()
    assert_close(module(logits, target, maps), module(logits, target))
    assert_close(module(logits, target, 2 * maps), 2 * module(logits, target))


@pytest.mark.parametrize("loss", [Boundary(), Hausdorff()], ids=lambda loss: loss.kind)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_distances_may_be_of_any_float_type(loss, dtype, batch):
    """Whole numbers, which each type holds, and a fourth of them."""
    maps = (torch.arange(batch[0].numel()) % 9 - 4).reshape(batch[0].shape) / 4
    assert_close(loss.module()(*batch, maps.to(dtype)), loss.module()(*batch, maps), rtol=0, atol=0)


@pytest.mark.parametrize(
    "maps",
    [
        torch.zeros(1, 3, 1, 1),
        torch.zeros(2, 7, 4, 4),
        torch.zeros(1, 3, 4, 4),
        torch.zeros(2, 1, 4, 4),
        torch.zeros(2, 4, 4),
        torch.zeros(2, 3, 4, 4).long(),
        np.zeros((2, 3, 4, 4), np.float32),
    ],
    ids=lambda maps: f"{tuple(maps.shape)} {maps.dtype}",
)
@pytest.mark.parametrize("loss", [Boundary(), Hausdorff()], ids=lambda loss: loss.kind)
def test_distances_that_do_not_fit_are_refused(loss, maps):
    """None is stretched to fit."""
    with pytest.raises(UserError, match=r"^distances: must be a tensor of shape \[2, 3, 4, 4\] and a float type, not "):
        loss.module()(torch.zeros(2, 3, 4, 4), target_of(2, 4, 4), maps)


def test_distances_of_one_channel_are_of_two_classes():
    logits, target = torch.zeros(2, 1, 4, 4), target_of(2, 4, 4)
    with pytest.raises(
        UserError, match=r"shape \[2, 2, 4, 4\] and a float type, not \[2, 1, 4, 4\] of torch.float32\.$"
    ):
        Boundary().module()(logits, target, torch.zeros(2, 1, 4, 4))
    assert Boundary().module()(logits, target, torch.zeros(2, 2, 4, 4)) == 0


@pytest.mark.parametrize("loss", [Boundary(), Hausdorff(), Dice()], ids=lambda loss: loss.kind)
def test_an_empty_batch_costs_nothing(loss):
    assert loss.module()(torch.zeros(0, 3, 4, 4), target_of(0, 4, 4)) == 0


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64])
def test_target_may_be_of_a_large_unsigned_type(dtype, batch):
    assert_close(Dice().module()(batch[0], batch[1].to(dtype)), Dice().module()(*batch), rtol=0, atol=0)


def test_class_weights_are_divided_in_the_precision_of_the_logits(batch):
    """Those that float32 holds, whose ratios it does not."""
    logits, weights = batch[0].double(), [1.0, 3.0, 7.0, 0.5]
    expected = nn.CrossEntropyLoss(torch.tensor(weights).double(), ignore_index=255)(logits, batch[1])
    assert_close(CrossEntropy().module(class_weights=weights)(logits, batch[1]), expected, rtol=1e-14, atol=0)


def test_distance_maps_are_those_of_scipy():
    mask = np.kron(np.random.default_rng(0).integers(0, 3, (4, 5)), np.ones((3, 2))).astype(np.uint8)
    maps = signed_distances(mask, 4)
    assert maps.dtype == np.float32
    for index in range(3):
        inside = mask == index
        expected = np.where(inside, 1 - distance_transform_edt(inside), distance_transform_edt(~inside))
        np.testing.assert_allclose(maps[index], expected, rtol=1e-6)
    assert not maps[3].any()


def test_progress_moves_a_ramp(batch):
    """Weight 1 to 0 for cross-entropy beside Dice."""
    module, terms = RAMP.module(), (CrossEntropy().module()(*batch), Dice().module()(*batch))
    for progress in (0.0, 0.3, 1.0):
        assert_close(module(*batch, progress=progress), (1 - progress) * terms[0] + terms[1])


# --- as an nn.Module ---


def test_what_it_knows_is_in_the_state_and_moves(batch):
    module = LogitAdjusted().module(class_weights=FOUR, train_pixels=[4, 3, 2, 1])
    assert module.state_dict().keys() == {"class_weights", "train_pixels"}
    assert {each.device.type for each in module.to("meta").buffers()} == {"meta"}
    other = LogitAdjusted().module(class_weights=[1, 1, 1, 1], train_pixels=[1, 1, 1, 1])
    other.load_state_dict(LogitAdjusted().module(class_weights=FOUR, train_pixels=[4, 3, 2, 1]).state_dict())
    assert_close(other(*batch), LogitAdjusted().module(class_weights=FOUR, train_pixels=[4, 3, 2, 1])(*batch))


def test_what_it_learns_is_a_parameter(batch):
    """Those of the losses that learn, and none of the others."""
    module = LEARNED.module()
    assert [list(each.shape) for each in module.parameters()] == [[2]]
    module(*batch).backward()
    assert module.learned.grad.abs().min() > 0
    assert not list(Dice().module().parameters())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
@pytest.mark.parametrize("loss", [Dice(form="log"), LEARNED, RAMP, Boundary()], ids=lambda loss: loss.kind)
def test_a_copy_is_the_same(copied, loss, batch):
    module = loss.module(class_weights=FOUR, ignore_index=255)
    other = copied(module)
    assert other(*batch) == module(*batch)
    assert other.class_weights is not module.class_weights


def test_it_stands_among_other_modules(batch):
    modules = nn.ModuleDict({"dice": Dice().module(class_weights=FOUR), "ce": CrossEntropy().module()})
    assert modules.state_dict().keys() == {"dice.class_weights"}
    assert repr(modules["ce"]) == "LossModule(CrossEntropy(label_smoothing=0.0), ignore_index=255)"


def test_statistics_outlive_half_precision(batch):
    """A million pixels are more than float16 can hold."""
    pixels = [4_000_000, 3_000_000, 90_000, 200_000]
    module = LogitAdjusted().module(train_pixels=pixels)
    expected = module(*batch)
    assert_close(module.half()(*batch), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_it_computes_in_float32_or_the_double_of_it(dtype, batch):
    value = Dice().module()(batch[0].to(dtype), batch[1])
    assert value.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)


@every_loss
def test_its_gradient_is_the_slope_in_double_precision(kind, large):
    """In float32 the slope would be lost in rounding."""
    module = module_of(plain(kind))
    assert torch.autograd.gradcheck(module, (large[0].double().requires_grad_(), large[1]), fast_mode=True)


@pytest.mark.parametrize(
    "kind", [kind if kind in COMPILED else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # of the compiler itself
def test_it_can_be_compiled(kind, large):
    """Value and gradient are those of the module; the graph may break."""
    torch._dynamo.reset()
    module = module_of(plain(kind))
    found = []
    for each in (module, torch.compile(module, backend="aot_eager")):
        leaf = large[0].clone().requires_grad_()
        value = each(leaf, large[1])
        value.backward()
        found.append((value.detach(), leaf.grad))
    assert_close(found[1], found[0], rtol=1e-4, atol=1e-6)


# --- mistakes in one sentence ---


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: LogitAdjusted().module(), "LogitAdjusted needs the number of pixels of each class in the training data: pass it as `module(train_pixels=[...])`."),
        (lambda: ClassBalanced().module(train_pixels=TWO), "ClassBalanced needs the number of training images that hold each class: pass it as `module(train_images=[...])`."),
        (lambda: Compound(terms={"dice": 1.0, "ldam": 1.0}).module(), "Compound needs the number of pixels of each class in the training data: pass it as `module(train_pixels=[...])`."),
        (lambda: ClassBalanced().module(class_weights=TWO, train_images=TWO), "ClassBalanced takes no class weights: it makes its own class weights, from the number of train images that hold each class."),
        (lambda: LogitAdjusted().module(class_weights=FOUR, train_pixels=TWO), "LogitAdjusted: there must be as many numbers as classes, but class_weights has 4 and train_pixels has 2."),
        (lambda: Focal(alpha=TWO).module(class_weights=FOUR), "Focal cannot score 4 classes: 'alpha' has 2 numbers; give one for each class."),
        (lambda: Dice().module(class_weights=[1, 0]), "class_weights: must be a list of numbers above 0, one for each class, not [1, 0]."),
        (lambda: Dice().module(class_weights=[1, float("nan")]), "class_weights: must be a list of numbers above 0, one for each class, not [1, nan]."),
        (lambda: Dice().module(class_weights=np.eye(2)), "class_weights: must be a list of numbers above 0, one for each class, not [[1.0, 0.0], [0.0, 1.0]]."),
        (lambda: Dice().module(class_weights="balanced"), "class_weights: must be a list of numbers above 0, one for each class, not 'balanced'."),
        (lambda: Dice().module(class_weights=3.0), "class_weights: must be a list of numbers above 0, one for each class, not 3.0."),
        (lambda: Dice().module(class_weights=[]), "class_weights: must be a list of numbers above 0, one for each class, not []."),
        (lambda: LogitAdjusted().module(train_pixels=[0.9, 0.1]), "train_pixels: must be whole numbers, not [0.9, 0.1]."),
        (lambda: Dice().module(ignore_index=None), "ignore_index: must be an integer, not None."),
        (lambda: Dice().module(ignore_index=2**63), "ignore_index: must be an integer of 64 bits, not 9223372036854775808."),
        (lambda: Dice().module(class_weights=[1.0] * 256), "Dice scores at most 255 classes, not 256: 255 marks ignored pixels."),
        (lambda: Dice().module(ignore_index=1.0), "ignore_index: must be an integer, not 1.0."),
        (lambda: Focal(alpha=0.25), "Focal.alpha: 0.25 should be a valid list."),
        (lambda: Focal(alpha=(0.25, -0.75)), "Focal.alpha.1: -0.75 should be greater than 0."),
        (lambda: Focal(gamma="2"), "Focal.gamma: '2' should be a valid number."),
        (lambda: Focal(gama=2.0), "Focal.gama: unknown key. Did you mean 'gamma'? Known: alpha, gamma."),
        (lambda: Compound(terms={"dice": 1.0, "focal": {"weight": 1.0, "alpha": np.array([1.0, -1.0])}}), "compound.terms.focal.alpha.1: -1.0 should be greater than 0."),
        (lambda: Compound(), "Compound.terms: missing; this key has no default."),
    ],
)  # fmt: skip
def test_mistake_is_named_when_the_loss_is_made(make, sentence):
    with pytest.raises(UserError) as error:
        make()
    assert str(error.value) == sentence


def target_of(*shape):
    return torch.zeros(shape, dtype=torch.int64)


@pytest.mark.parametrize(
    ("module", "arguments", "sentence"),
    [
        (Dice().module(), (torch.zeros(2, 3, 4), target_of(2, 4)), "Logits must be `b c h w` of a float type, not [2, 3, 4] of torch.float32."),
        (Dice().module(), (target_of(2, 3, 4, 4), target_of(2, 4, 4)), "Logits must be `b c h w` of a float type, not [2, 3, 4, 4] of torch.int64."),
        (Dice().module(), (torch.zeros(2, 3, 4, 4, 4), target_of(2, 4, 4, 4)), "Logits must be `b c h w` of a float type, not [2, 3, 4, 4, 4] of torch.float32."),
        (Dice().module(ignore_index=-1), (torch.zeros(1, 3, 2, 2), target_of(1, 2, 2) + 255), "The target of logits [1, 3, 2, 2] must be of shape [1, 2, 2] and an integer type, with classes from 0 to 2, and -1 where a pixel is to be ignored; this one has classes from 255 to 255."),
        (Dice().module(class_weights=TWO), (torch.zeros(1, 3, 2, 2), target_of(1, 2, 2)), "Dice: class_weights has 2 numbers, and the logits are of 3 classes."),
        (LogitAdjusted().module(train_pixels=TWO), (torch.zeros(1, 3, 2, 2), target_of(1, 2, 2)), "LogitAdjusted: train_pixels has 2 numbers, and the logits are of 3 classes."),
        (Focal(alpha=TWO).module(), (torch.zeros(1, 3, 2, 2), target_of(1, 2, 2)), "Focal cannot score 3 classes: 'alpha' has 2 numbers; give one for each class."),
        (Dice().module(), (np.zeros((1, 3, 2, 2)), target_of(1, 2, 2)), "Logits must be `b c h w` of a float type, not ndarray, which is no tensor."),
        (Dice().module(), (torch.zeros(1, 0, 2, 2), target_of(1, 2, 2)), "Logits must be `b c h w` of a float type, not [1, 0, 2, 2] of torch.float32."),
        (Dice().module(), ([torch.zeros(1, 3, 2, 2)], target_of(1, 2, 2)), "Logits must be `b c h w` of a float type, not list, which is no tensor."),
        (Dice().module(), (torch.zeros(1, 3, 2, 2), None), "The target must be a tensor of classes, `b h w`, not NoneType, which is no tensor."),
        (Dice().module(), (torch.zeros(1, 3, 2, 2), np.zeros((1, 2, 2), int)), "The target must be a tensor of classes, `b h w`, not ndarray, which is no tensor."),
        (Dice().module(), (torch.zeros(1, 3, 2, 2), target_of(1, 2, 2), None, None), "progress: must be the share of the training that is done, from 0 to 1, not None."),
        (Dice().module(), (torch.zeros(1, 256, 2, 2), target_of(1, 2, 2)), "Dice scores at most 255 classes, not 256: 255 marks ignored pixels."),
        (Boundary().module(ignore_index=-100), (torch.zeros(1, 300, 2, 2), target_of(1, 2, 2)), "Boundary scores at most 255 classes, not 300: 255 marks ignored pixels."),
        (Boundary().module(), (torch.zeros(1, 3, 2, 2), torch.arange(4).view(1, 2, 2)), "The target of logits [1, 3, 2, 2] must be of shape [1, 2, 2] and an integer type, with classes from 0 to 2, and 255 where a pixel is to be ignored; this one has classes from 0 to 3."),
        (Hausdorff().module(), (torch.zeros(1, 1, 2, 2), torch.arange(4).view(1, 2, 2)), "The target of logits [1, 2, 2, 2] must be of shape [1, 2, 2] and an integer type, with classes from 0 to 1, and 255 where a pixel is to be ignored; this one has classes from 0 to 3."),
        (Boundary().module(), (torch.zeros(1, 1, 2, 2), target_of(1, 1, 2, 2).float()), "Boundary: classes must be of an integer type, and this target is of torch.float32 and shape [1, 1, 2, 2]; if it holds classes, pass `target.long()`."),
        (Dice().module(), (torch.zeros(1, 3, 2, 2), target_of(1, 2, 2).float()), "Dice: classes must be of an integer type, and this target is of torch.float32 and shape [1, 2, 2]; if it holds classes, pass `target.long()`."),
        (Dice().module(), (torch.zeros(1, 3, 2, 2), target_of(1, 3, 2, 2)), "Dice: a target of an integer type has no channel for each class, and this one is of shape [1, 3, 2, 2]; if it is one-hot, pass `target.argmax(dim=1)`."),
        (RAMP.module(), (torch.zeros(1, 3, 2, 2), target_of(1, 2, 2), None, 30), "progress: must be the share of the training that is done, from 0 to 1, not 30."),
        (Focal(alpha=FOUR), (torch.zeros(1, 3, 2, 2), target_of(1, 2, 2)), "Focal cannot score 3 classes: 'alpha' has 4 numbers; give one for each class."),
        (LogitAdjusted(), (torch.zeros(1, 3, 2, 2), target_of(1, 2, 2)), "LogitAdjusted needs train_pixels among its facts; `LogitAdjusted.module` takes or makes them."),
        (Boundary(), (torch.zeros(1, 3, 2, 2), target_of(1, 2, 2)), "Boundary needs distances among its facts; `Boundary.module` takes or makes them."),
    ],
)  # fmt: skip
def test_mistake_in_a_batch_is_named(module, arguments, sentence):
    """Also without the module."""
    with pytest.raises(UserError) as error:
        module(*arguments)
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    "alpha", [(0.25, 0.75), np.array([0.25, 0.75]), torch.tensor([0.25, 0.75]), [np.float32(0.25), 0.75]]
)
def test_options_may_be_arrays(alpha):
    assert Focal(alpha=alpha, gamma=np.float32(1.5)) == Focal(alpha=[0.25, 0.75], gamma=1.5)

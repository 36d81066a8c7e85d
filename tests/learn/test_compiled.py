"""The compiled network: the same function of the same weights."""

import copy
import functools

import pytest
import torch
from torch import nn

from pipeline.learn.compiled import compile_network
from pipeline.learn.fit import Listener, fit
from pipeline.learn.settings import Fit
from pipeline.learn.trainer import Outcome
from pipeline.plumbing.errors import UserError
from tests.learn.test_fit import CPU, CallsLoss, batches, run

CUDA = torch.device("cuda")
GPU = pytest.param(CUDA, marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))
EXACT = functools.partial(torch.autocast, dtype=torch.bfloat16, enabled=False)


class Network(nn.Sequential):
    """With all that a forward pass can change: statistics and the random state."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout2d(0.5), nn.Conv2d(4, 2, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(nn.functional.pad(images.float() / 255, (1, 1, 1, 1)))


def some_images(device: torch.device) -> torch.Tensor:
    return torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)).to(device)


@pytest.mark.slow  # compiling takes half a minute
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # the compiler of torch uses what torch deprecates
@pytest.mark.parametrize("device", [CPU, GPU])
def test_compiling_changes_nothing(device, monkeypatch):
    """The function is the same, and weights, statistics, gradients and the random state are as before."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    torch.manual_seed(0)
    model, images = Network().to(device), some_images(device)
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    random_cuda = torch.cuda.get_rng_state() if device == CUDA else None
    network = compile_network(model, images, EXACT(device.type))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(each.grad is None for each in model.parameters())
    assert torch.equal(torch.get_rng_state(), random)
    assert device == CPU or torch.equal(torch.cuda.get_rng_state(), random_cuda)
    model[2].p = 0.0
    torch.testing.assert_close(network(images).clone(), model(images))
    assert model[1].num_batches_tracked == 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_compiled_training_learns_what_one_that_is_not_learns():
    plain, compiled = (train_on_gpu(compile=each) for each in (False, True))
    for one, other in zip(plain.history, compiled.history, strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, abs=0.01)
    assert compiled.history[-1].train_loss < 0.5 * compiled.history[0].train_loss
    assert 200 * compiled.cost.seconds_per_iteration < compiled.cost.seconds / 2  # compiling is not in it


def train_on_gpu(compile: bool) -> Outcome:
    torch.manual_seed(0)
    model = Network().to(CUDA)
    model[2].p = 0.0
    settings = Fit(iterations=200, batch_size=4, lr=0.05, validations=4, compile=compile)
    criterion = CallsLoss(lambda logits, masks: nn.functional.cross_entropy(logits.float(), masks.long()))

    def validate(network: nn.Module) -> tuple[float, list[float]]:
        network.eval()(some_images(CUDA)[:3])  # another shape, in evaluation
        network.train()
        return 0.0, []

    return fit(model, criterion, lambda start: batches(200, start), settings, CUDA, validate, Listener())


def test_the_cpu_does_without():
    """Nothing is compiled, which would take half a minute, and the weights are the same to the bit."""
    compiled, plain = (run(compile=each)[0] for each in (True, False))
    assert torch.equal(compiled.weight, plain.weight)


def test_without_a_c_compiler_one_sentence_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(UserError, match=r"^fit.compile: true needs a C compiler, and none is here. Install gcc"):
        compile_network(Network(), some_images(CPU), EXACT("cpu"))

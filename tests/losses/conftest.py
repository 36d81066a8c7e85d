"""Shared by the tests of the losses: one thread, means to write a batch down, and another library to compare with.

Everything is session-scoped, so that hypothesis may use it.
"""

import numpy as np
import pytest
import torch
from scipy.stats import norm

from pipeline.learn.torchvision_schemas import declare_missing_operators
from pipeline.plumbing import plugins
from tests.losses.informed import Informed

torch.set_num_threads(1)  # tiny tensors: more threads only cost time


@pytest.fixture(scope="session")
def build():
    """`build("focal", gamma=0.0)`: a loss as params.yaml would build it, with facts as a training would give."""
    return lambda kind, **options: Informed(plugins.build("losses", kind, options, kind))


@pytest.fixture(scope="session")
def batch():
    """Logits `2 4 6 5` and a target with every class and some ignored pixels."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(2, 4, 6, 5, generator=generator)
    target = torch.randint(0, 4, (2, 6, 5), generator=generator)
    target[0, 1:4, 2] = target[1, 0, :3] = 255
    return logits, target


@pytest.fixture(scope="session")
def weights():
    """Unequal weights for the four classes of `batch`."""
    return torch.tensor([0.5, 1.0, 3.0, 0.25])


@pytest.fixture(scope="session")
def row():
    """`row(0, 1, 1)`: a target of one image with these pixels side by side."""
    return lambda *classes: torch.tensor([[classes]])


@pytest.fixture(scope="session")
def predict():
    """`predict([0.9, 0.1], [0.2, 0.8])`: logits of one row of pixels, each given by its class probabilities."""
    return lambda *pixels: torch.tensor(pixels).clamp(min=1e-30).log().T[None, :, None, :]


@pytest.fixture(scope="session")
def predict_surely():
    """`predict_surely(0, 2, classes=3)`: logits of one row of pixels with probability 1 for the class named."""
    return lambda *indices, classes: 100 * torch.eye(classes)[list(indices)].T[None, :, None, :]


@pytest.fixture(scope="session")
def smp_losses():
    """The losses of segmentation_models_pytorch."""
    declare_missing_operators()
    return pytest.importorskip("segmentation_models_pytorch").losses


@pytest.fixture(scope="session")
def operating_point():
    """`operating_point(loss, 0.2)`: recall and precision of the threshold that a loss finds best, where a pixel shows
    one number, normally distributed around 1 in the foreground and around -1 in the background, and so large a share
    of the pixels is foreground."""

    def found(loss, share):
        numbers = round(2000 * (1 - share) / share), 2000  # of pixels, at the quantiles of their distribution
        shown = [centre + norm.ppf((np.arange(n) + 0.5) / n) for centre, n in zip((-1, 1), numbers, strict=True)]
        target = torch.tensor([[[0] * numbers[0] + [1] * numbers[1]]])
        pixels = torch.from_numpy(np.concatenate(shown)).view(1, 1, 1, -1).float()
        thresholds = torch.linspace(-2, 2, 161)
        best = min(thresholds, key=lambda threshold: loss(100 * (pixels - threshold).sign(), target).item())
        positive = (pixels > best).flatten()
        hits = (positive & (target.flatten() == 1)).sum()
        return (hits / numbers[1]).item(), (hits / positive.sum()).item()

    return found

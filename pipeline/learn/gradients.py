"""The gradients of several losses at one point: how long they are, which way and at which pixels they pull.

Legend of shapes: k losses, c classes.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.plumbing.labels import IGNORE


class Gradients(NamedTuple):
    """What is known of all batches; the properties below make norms, cosines and shares of it.

    A norm is the root of the mean square over batches. The norm of a mean gradient would be smaller, since noise
    cancels in it, but a step of training is taken along the gradient of one batch.
    """

    weights: np.ndarray
    """`k k`: inner products of the gradients with respect to the weights of the model, mean over batches."""
    logits: np.ndarray
    """`k`: squared norm of the gradient with respect to the logits, mean over batches."""
    pull: np.ndarray
    """`k c`: sum of absolute values of the gradient with respect to the logits, over the pixels of each true class."""
    pixels: np.ndarray
    """`c`: valid pixels of each class."""

    @property
    def weight_norms(self) -> np.ndarray:
        """`k`."""
        return np.sqrt(np.diag(self.weights))

    @property
    def logit_norms(self) -> np.ndarray:
        """`k`."""
        return np.sqrt(self.logits)

    @property
    def cosines(self) -> np.ndarray:
        """`k k`, from -1 to 1, between the gradients with respect to the weights; NaN where one is zero."""
        return np.clip(ratio(self.weights, np.outer(self.weight_norms, self.weight_norms)), -1, 1)

    @property
    def pull_shares(self) -> np.ndarray:
        """`k c`: share of each true class in the gradient with respect to the logits; NaN for a zero gradient."""
        return ratio(self.pull, self.pull.sum(axis=1, keepdims=True))

    @property
    def pixel_shares(self) -> np.ndarray:
        """`c`: what `pull_shares` would be if every pixel pulled alike."""
        return ratio(self.pixels, self.pixels.sum())


def gradients(
    model: nn.Module, criteria: Sequence[nn.Module], batches: Iterable[tuple[Tensor, ...]], iteration: int = 0
) -> Gradients:
    """Gradients of every criterion at the weights of `model`, each batch predicted once for all of them.

    In training mode, as in a step of training: BatchNorm normalises by the batch. With the running statistics of
    evaluation a new model would be measured at activations that no step ever meets. The statistics move meanwhile, but
    no gradient here depends on them. Always in float32. All gradients of a batch are in memory at once.

    Args:
        model: from images to logits; left in training mode.
        criteria: called with logits, masks, distances where the batches have them, and `iteration`.
        batches: as of `pipeline.learn.samples`, on any device.
        iteration: for losses that change over training.
    """
    model.train()
    weights = [each for each in model.parameters() if each.requires_grad]
    device, k = weights[0].device, len(criteria)
    products = torch.zeros(k, k, dtype=torch.float64, device=device)
    squares, pulls, pixels = [], [], []
    for batch in batches:
        images, *truth = (tensor.to(device) for tensor in batch)
        logits = model(images)
        by_logits = [_by_logits(partial(each, iteration=iteration), logits, truth) for each in criteria]
        by_weights = [
            torch.autograd.grad(logits, weights, each, retain_graph=True, materialize_grads=True) for each in by_logits
        ]
        for of_one_tensor in zip(*by_weights, strict=True):
            rows = torch.stack(of_one_tensor).flatten(1).double()  # in float32 the square of a small number is 0
            products += rows @ rows.T
        squares.append(torch.stack([each.double().square().sum() for each in by_logits]))
        target, classes = truth[0], logits.shape[1]
        pulls.append(torch.stack([_per_class(each.abs().sum(dim=1), target, classes) for each in by_logits]))
        pixels.append(_per_class(torch.ones_like(target), target, classes))
    of_all = (products / len(squares), torch.stack(squares).mean(dim=0), sum(pulls), sum(pixels))
    return Gradients(*(each.cpu().numpy() for each in of_all))


def _by_logits(loss: nn.Module, logits: Tensor, truth: list[Tensor]) -> Tensor:
    """Gradient of a loss with respect to the logits, `b c h w`."""
    logits = logits.detach().requires_grad_()
    return torch.autograd.grad(loss(logits, *truth), logits)[0]


def _per_class(values: Tensor, target: Tensor, classes: int) -> Tensor:
    """`c`: sum of `values` (`b h w`) over the pixels of each true class."""
    sums = torch.bincount(target.flatten().long(), values.flatten().double(), minlength=IGNORE + 1)
    return sums[:classes]


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole`, NaN where `whole` is 0."""
    return np.divide(
        part, whole, out=np.full(np.broadcast_shapes(part.shape, np.shape(whole)), np.nan), where=whole > 0
    )

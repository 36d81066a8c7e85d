"""Temperature scaling: one number per model by which its logits are divided, so that its probabilities mean what they
say; what it decides stays the same (Guo et al., "On calibration of modern neural networks", ICML 2017).
"""

import math

import torch
from scipy.optimize import brentq
from torch import Tensor

LOW, HIGH = 0.05, 20.0
PIXELS = 2**16  # at a time: what is made on the way stays small


def fit_temperature(logits: Tensor, truth: Tensor) -> float:
    """The temperature from `LOW` to `HIGH` that minimises the negative log-likelihood of pixels, logits `c n` and true
    classes `n`.

    It is convex in 1 / T, so its slope is 0 at one place at most. Where it is 0 nowhere, the temperature is the end
    towards which the likelihood grows: `LOW` where all pixels are right. Without pixels, or where all logits are equal,
    any temperature is as good, and it is 1.
    """

    def slope(log_inverse: float) -> float:
        return _slope(logits, truth, math.exp(log_inverse))

    coldest, hottest = -math.log(LOW), -math.log(HIGH)
    if slope(0.0) == 0:
        return 1.0
    if slope(coldest) <= 0:
        return LOW
    if slope(hottest) >= 0:
        return HIGH
    return math.exp(-brentq(slope, hottest, coldest, xtol=1e-6))


@torch.inference_mode()
def _slope(logits: Tensor, truth: Tensor, inverse: float) -> float:
    """Derivative by `inverse`, 1 / T, of the sum over pixels of log sum exp(gap / T): the mean of the gaps between each
    logit and that of the true class under the probabilities, summed over the pixels."""
    total = logits.new_zeros((), dtype=torch.float64)
    for some, true in zip(logits.split(PIXELS, dim=1), truth.split(PIXELS), strict=True):
        gap = some.float() - some.float().gather(0, true.unsqueeze(0))
        total += (gap * (gap * inverse).softmax(dim=0)).sum(dim=0).sum(dtype=torch.float64)
    return total.item()

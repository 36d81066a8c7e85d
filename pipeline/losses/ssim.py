"""SSIM: structural similarity of prediction and truth in a window around each pixel."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pipeline.losses.base import Batch
from pipeline.losses.base_classes import LossPerClass
from pipeline.losses.base_math import TINY
from pipeline.losses.base_parts import class_by_class, errors, signed_errors, truth
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

SIGMA, RADIUS = 1.5, 5  # the window of Wang et al.: 11 x 11 pixels
C1, C2 = 0.01**2, 0.03**2  # their K1 and K2, squared; probabilities have the dynamic range 1


class SSIM(LossPerClass):
    """Structural similarity loss (Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to
    Structural Similarity", IEEE TIP 2004, the SSIM index; as a loss on masks Qin et al., "BASNet", CVPR 2019).

        L = mean_c (1/N) sum_i 1 - (2 m_p m_g + C1) (2 v_pg + C2) / ((m_p^2 + m_g^2 + C1) (v_pp + v_gg + C2))

    over classes c and the N valid pixels i of the batch; m, v_xx and v_xy are mean, variance and covariance of softmax
    probability p and one-hot truth g under a Gaussian window of 11 x 11 pixels and sigma 1.5 around pixel i, and
    C1 = 0.01^2, C2 = 0.03^2. The weights of a window are made to sum to 1 over its valid pixels inside the image. With
    class weights the mean over classes is weighted.

    Range 0 (perfect) to 2.
    Absent class: left out of the mean, but not the foreground of two classes, whose loss this is, as in BASNet.
    Where a window holds no pixel of a class, a probability of 0.01 for it already costs half.
    Limits: in an image of one pixel, 1 - (2 p g + C1) / (p^2 + g^2 + C1).
    Where we differ: Wang et al. leave out, and BASNet pads with 0, windows that reach beyond the image. BASNet compares
    one sigmoid map; of more than two classes we take the mean.

    Use: as a term beside `cross_entropy`, for clean regions with fine structures. It compares contrast, so a faint
    false pattern in a flat region costs far more than the same error beside a border, where the truth varies too. Its
    price is four blurs of every class that is present, of 20 additions a pixel: ten to twenty times `cross_entropy`.
    Family: boundary and shape.
    """

    def refuses_soft_targets(self) -> None:
        return None

    def formula(self, batch: Batch) -> Tensor:
        from pipeline.losses.base_autograd import Linear  # only now, since it needs torch to be imported

        valid = batch.valid.unsqueeze(1).to(batch.logits.dtype)
        weight = _summed(valid).clamp(min=TINY)

        def mean(x: Tensor) -> Tensor:
            return Linear.apply(x, lambda x: _summed(x).div_(weight), lambda by: _summed(by / weight))

        def cost(error: Tensor, classes: Tensor) -> Tensor:
            # By e = p - g, which is exact where p is close to g. With a = m_p^2 + m_g^2 + C1 and b = v_pp + v_gg + C2
            # the two factors are 1 - m_e^2 / a and 1 - v_ee / b; where g is 0 or 1, g^2 = g.
            g = truth(batch, classes)
            e = signed_errors(batch, error, g)
            p = g + e
            m_e, m_ee, m_pp, m_g = mean(e), mean(e * e), mean(p * p), mean(g)
            m_p, m_gg, square = m_g + m_e, mean(g * g) if batch.soft else m_g, m_e * m_e
            a = torch.addcmul(m_g * m_g + C1, m_p, m_p)
            b = torch.addcmul(m_pp + (m_gg - m_g * m_g + C2), m_p, m_p, value=-1)
            dissimilarity = torch.addcmul(square * b, m_ee - square, a - square) / (a * b)
            return self.mean_over_pixels(dissimilarity, batch)

        among = self.among(batch)
        return batch.mean_over_classes(class_by_class(errors(batch), cost, among), among)


def _summed(x: Tensor) -> Tensor:
    """The sum of `x` (`... h w`) under the Gaussian window around each pixel.

    As sums of shifted images: differences of such sums need products in full precision, which a GPU's convolutions and
    products of matrices may lack.
    """
    for axis in (-2, -1):
        size, total = x.shape[axis], x.clone()
        for shift in range(1, min(RADIUS + 1, size)):
            tap = math.exp(-(shift**2) / (2 * SIGMA**2))
            for start in (0, shift):
                total.narrow(axis, start, size - shift).add_(x.narrow(axis, shift - start, size - shift), alpha=tap)
        x = total
    return x

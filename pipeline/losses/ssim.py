"""SSIM: structural similarity of prediction and truth in a window around each pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.losses.base import TINY, Batch, Loss
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

SIGMA, RADIUS = 1.5, 5  # the window of Wang et al.: 11 x 11 pixels
C1, C2 = 0.01**2, 0.03**2  # their K1 and K2, squared; probabilities have the dynamic range 1


class SSIM(Loss):
    """Structural similarity loss (Wang, Bovik, Sheikh, Simoncelli, "Image Quality Assessment: From Error Visibility to
    Structural Similarity", IEEE TIP 2004, the SSIM index; as a loss on masks Qin et al., "BASNet", CVPR 2019).

        L = mean_c (1/N) sum_i 1 - (2 m_p m_g + C1) (2 v_pg + C2) / ((m_p^2 + m_g^2 + C1) (v_pp + v_gg + C2))

    over classes c and the N valid pixels i of the batch; m, v_xx and v_xy are mean, variance and covariance of softmax
    probability p and one-hot truth g under a Gaussian window of 11 x 11 pixels and sigma 1.5 around pixel i, and
    C1 = 0.01^2, C2 = 0.03^2. The weights of a window are made to sum to 1 over its valid pixels inside the image. With
    class weights the mean over classes is weighted.

    Range 0 (perfect) to 2.
    Absent class: left out of the mean, as in `dice`. Where a window holds no pixel of a class, a probability of 0.01
    for it already costs half.
    Limits: in an image of one pixel, 1 - (2 p g + C1) / (p^2 + g^2 + C1).
    Where we differ: Wang et al. leave out, and BASNet pads with 0, windows that reach beyond the image. BASNet compares
    one sigmoid map; we average over classes.

    Use: as a term beside `cross_entropy`, for clean regions with fine structures. It compares contrast, so a faint
    false pattern in a flat region costs far more than the same error beside a border, where the truth varies too. Its
    price is four blurs of every class.
    Family: boundary and shape.
    """

    def formula(self, batch: Batch) -> Tensor:
        p, g, valid = batch.p, batch.g, batch.valid.unsqueeze(1).to(batch.p.dtype)
        rows, columns = (_window(size, valid) for size in valid.shape[2:])
        weight = (rows @ valid @ columns).clamp(min=TINY)

        def blur(x: Tensor) -> Tensor:
            return rows @ x @ columns / weight

        # By p - g, which is exact where p is close to g: 2 m_p m_g = m_p^2 + m_g^2 - (m_p - m_g)^2, so the factors are
        # 1 - luminance and 1 - structure. As g is 0 or 1, g^2 = g.
        error = p - g
        m_g, m_error = blur(g), blur(error)
        m_p = m_g + m_error
        luminance = m_error**2 / (m_p**2 + m_g**2 + C1)
        structure = (blur(error**2) - m_error**2) / (blur(p**2) - m_p**2 + m_g - m_g**2 + C2)
        dissimilarity = batch.mean_of_each_class((luminance + structure - luminance * structure) * valid)
        return batch.mean_over_classes(dissimilarity, among=batch.present)


def _window(size: int, like: Tensor) -> Tensor:
    """The Gaussian window along an axis as a banded matrix: its product is exact float32 where a GPU convolution is
    not, and differences of blurred squares need that."""
    position = torch.arange(size, dtype=like.dtype, device=like.device)
    distance = position - position.unsqueeze(1)
    return (-(distance**2) / (2 * SIGMA**2)).exp() * (distance.abs() <= RADIUS)

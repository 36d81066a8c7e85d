"""Region mutual information: how well the 3 x 3 neighbourhoods of the prediction explain those of the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.losses.base import Batch, Loss
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 3
SIZE = SIDE**2  # values in a region
RIDGE = 5e-4  # on the diagonal of the scatter matrices, as in the authors' code: makes them invertible


class RegionMutualInformation(Loss):
    """Region mutual information loss (Zhao, Wang, Yang, Cai, "Region Mutual Information Loss for Semantic
    Segmentation", NeurIPS 2019), without its cross-entropy term.

        L = mean_c,b  1 / (2 * 9) log det(I + M / r)
        M = S_gg - S_gp (S_pp + r I)^-1 S_pg,    S_xy = sum_k (x_k - mean x) (y_k - mean y)'

    over classes c and images b, where k runs over the regions of 3 x 3 pixels of an image, p_k and g_k are the nine
    softmax probabilities and one-hot truths of a region, and r = 5e-4. M is what remains of the scatter of the truth
    when the best linear map of the prediction is taken off it; -1/2 log det M is a lower bound of the mutual
    information of prediction and truth, up to a constant. Regions that touch a void pixel or reach beyond the image
    are left out, and so are images without any region. With class weights the mean over classes is weighted.

    Range 0 (nothing left to explain) upwards.
    Absent class: left out of the mean, as in `dice`. In an image that lacks it, or that it fills, it costs 0.
    Limits: mutual information does not know which class is which: a class and its complement, or classes that are
    swapped, explain each other as well as themselves. The perfect prediction comes close to the minimum only.
    Where we differ: the paper adds cross-entropy, a `compound` here. It takes a sigmoid per class where we take the
    softmax, sums over classes where we average, and reduces both maps threefold before, which we do not. We subtract
    the constant log det(r I), so that the bound is 0 where nothing is left.

    Use: as a term beside `cross_entropy`, never alone, for textured outlines and structures of few pixels. It holds 18
    numbers of double precision per pixel and class: dear in memory with many classes and large images.
    Family: boundary and shape.
    """

    def formula(self, batch: Batch) -> Tensor:
        inside = _regions(batch.valid.unsqueeze(1).double()).amin(dim=2, keepdim=True)  # b 1 1 k, of 0 and 1
        p, g = (_regions(maps.double()) * inside for maps in (batch.p, batch.g))  # b c 9 k
        regions = inside.sum(dim=-1, keepdim=True)  # b 1 1 1

        def scatter(x: Tensor, y: Tensor) -> Tensor:
            return x @ y.mT - x.sum(-1, keepdim=True) @ y.sum(-1, keepdim=True).mT / regions.clamp(min=1)

        s_pp, s_gp, s_gg = scatter(p, p), scatter(g, p), scatter(g, g)
        left = _log_det_of_what_is_left(s_pp, s_gp, s_gg) / (2 * SIZE)  # b c
        used = (regions > 0)[:, :, 0, 0]
        per_class = (left * used).sum(dim=0) / used.sum().clamp(min=1)
        return batch.mean_over_classes(per_class, among=batch.present).to(batch.logits.dtype)


def _regions(maps: Tensor) -> Tensor:
    """`b c 9 k`: the region around each pixel, with 0 beyond the image."""
    return torch.nn.functional.unfold(maps, SIDE, padding=SIDE // 2).unflatten(1, (maps.shape[1], SIZE))


def _log_det_of_what_is_left(s_pp: Tensor, s_gp: Tensor, s_gg: Tensor) -> Tensor:
    """log det(I + M / r), without an inverse: the last nine pivots of the Cholesky factor of the scatter of p and g
    together, with the ridge, are those of M + r I."""
    both = torch.cat([torch.cat([s_pp, s_gp.mT], dim=-1), torch.cat([s_gp, s_gg], dim=-1)], dim=-2)
    factor, failed = torch.linalg.cholesky_ex(both + RIDGE * torch.eye(2 * SIZE, dtype=both.dtype, device=both.device))
    pivots = factor.diagonal(dim1=-2, dim2=-1)[..., SIZE:]
    pivots = pivots.masked_fill(failed.unsqueeze(-1) > 0, float("nan"))  # a model that diverged is no error here
    return (pivots**2 / RIDGE).log().sum(dim=-1)

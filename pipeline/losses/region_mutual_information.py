"""Region mutual information: how well the neighbourhoods of the prediction explain those of the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base import Batch, Loss
from pipeline.losses.base_math import TINY
from pipeline.losses.base_parts import class_by_class, errors, signed_errors, truth
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

    over classes c and images b, where k runs over the regions of 3 x 3 cells of an image, p_k and g_k are the nine
    softmax probabilities and one-hot truths of a region, and r = 5e-4. A cell is the mean of the valid pixels of a
    square of `stride` x `stride`. M is what remains of the scatter of the truth when the best linear map of the
    prediction is taken off it; -1/2 log det M is a lower bound of the mutual information of prediction and truth, up to
    a constant. Regions that touch a cell of void pixels alone or reach beyond the image are left out, and so are images
    without any region: with the default all of up to 6 pixels in height or width. With class weights the mean over
    classes is weighted.

    Range 0 (nothing left to explain) upwards.
    Absent class: left out of the mean, as in `dice`. In an image that lacks it, or that it fills, it costs 0.
    Limits: mutual information does not know which class is which: a class and its complement, or classes that are
    swapped, explain each other as well as themselves. The perfect prediction comes close to the minimum only.
    Where we differ: the paper adds cross-entropy, a `compound` here. It takes a sigmoid per class where we take the
    softmax and sums over classes where we average. The authors' code pools over cells with a border of zeros and counts
    void pixels as zeros; ours begin at the corner of the image and leave void out. We subtract the constant
    log det(r I), so that the bound is 0 where nothing is left.

    Use: as a term beside `cross_entropy`, never alone, for textured outlines. Class by class it makes 18 numbers of
    double precision of each cell: six to sixteen times the time of `cross_entropy`, with `stride` 1 about a hundred.
    Family: boundary and shape.
    """

    stride: int = Field(default=3, ge=1, le=8)
    """Pixels along a side of a cell: the larger, the wider a region and the lower the price, which falls with its
    square; 1 compares the pixels themselves, for structures of few pixels. The default is that of the authors' class;
    their scripts train with means over 2 or 4."""

    def refuses_soft_targets(self) -> None:
        return None

    def formula(self, batch: Batch) -> Tensor:
        valid = batch.valid.unsqueeze(1).to(batch.logits.dtype)
        filled = self._pooled(valid)  # share of each cell that is valid
        inside = _regions((filled > 0).double()).amin(dim=2, keepdim=True)  # b 1 1 k, of 0 and 1
        regions = inside.sum(dim=-1, keepdim=True)  # b 1 1 1
        used = (regions > 0)[:, :, 0, 0]

        def scatter(x: Tensor, y: Tensor) -> Tensor:
            return x @ y.mT - x.sum(-1, keepdim=True) @ y.sum(-1, keepdim=True).mT / regions.clamp(min=1)

        def cost(error: Tensor, classes: Tensor) -> Tensor:
            g = truth(batch, classes)
            p = g + signed_errors(batch, error, g)
            cells = (self._pooled(maps) / filled.clamp(min=TINY) for maps in (p, g))
            # In double precision, since what is left is the difference of scatters that agree in most digits.
            p, g = (_regions(maps.double()) * inside for maps in cells)  # b k 9 r
            left = _log_det_of_what_is_left(scatter(p, p), scatter(g, p), scatter(g, g)) / (2 * SIZE)  # b k
            return ((left * used).sum(dim=0) / used.sum().clamp(min=1)).to(error.dtype)

        return batch.mean_over_classes(class_by_class(errors(batch), cost, among=batch.present), among=batch.present)

    def _pooled(self, maps: Tensor) -> Tensor:
        """Sums over the cells, up to a factor that is the same for all maps; cells at the far edges may be cut."""
        return torch.nn.functional.avg_pool2d(maps, self.stride, ceil_mode=True)


def _regions(maps: Tensor) -> Tensor:
    """`b c 9 k`: the region around each cell, with 0 beyond the image."""
    return torch.nn.functional.unfold(maps, SIDE, padding=SIDE // 2).unflatten(1, (maps.shape[1], SIZE))


def _log_det_of_what_is_left(s_pp: Tensor, s_gp: Tensor, s_gg: Tensor) -> Tensor:
    """log det(I + M / r), without an inverse: the last nine pivots of the Cholesky factor of the scatter of p and g
    together, with the ridge, are those of M + r I."""
    both = torch.cat([torch.cat([s_pp, s_gp.mT], dim=-1), torch.cat([s_gp, s_gg], dim=-1)], dim=-2)
    factor, failed = torch.linalg.cholesky_ex(both + RIDGE * torch.eye(2 * SIZE, dtype=both.dtype, device=both.device))
    pivots = factor.diagonal(dim1=-2, dim2=-1)[..., SIZE:]
    pivots = pivots.masked_fill(failed.unsqueeze(-1) > 0, float("nan"))  # a model that diverged is no error here
    return (pivots**2 / RIDGE).log().sum(dim=-1)

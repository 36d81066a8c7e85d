"""Soft counts of each class, with a backward pass of their own.

Autograd would keep a product of probabilities and one-hot truth and pass over it several times; this takes about half
the time of that, and makes no one-hot tensor.
"""

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable


class SoftCounts(torch.autograd.Function):
    """From logits `b c h w`, true classes `b h w` and mask `b h w` (1 where valid): true positives, false positives and
    false negatives, `c` each, as `pipeline.losses.base.Overlap` defines them.

    Mistakes are sums of small probabilities, not what two large sums differ by: they keep their digits near a perfect
    prediction, where a loss with a root is steep.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, true_class: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        p, t = logits.softmax(dim=1), true_class.unsqueeze(1)
        right = p.gather(1, t)
        mistaken = p.scatter_(1, t, 0.0)  # what is given to classes that are not true
        fp = (mistaken.flatten(2) @ mask.flatten(1).unsqueeze(2)).sum(dim=0).squeeze(1)
        hits, misses = right.squeeze(1) * mask, mistaken.sum(dim=1) * mask
        ctx.save_for_backward(mistaken, right, true_class, mask)
        return _per_class(hits, true_class, len(fp)), fp, _per_class(misses, true_class, len(fp))

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, by_tp: Tensor, by_fp: Tensor, by_fn: Tensor) -> tuple[Tensor, None, None]:
        """Through dL/dp, by_fp where a class is not true and by_tp - by_fn where it is, then through the softmax."""
        mistaken, right, true_class, mask = ctx.saved_tensors
        mask = mask.unsqueeze(1)
        if_true = (by_tp - by_fn).take(true_class).unsqueeze(1)
        mean = (by_fp @ mistaken.flatten(2)).view_as(mask) + if_true * right  # of dL/dp, weighted by p
        gradient = (by_fp.view(-1, 1, 1) - mean).mul_(mistaken).mul_(mask)
        return gradient.scatter_(1, true_class.unsqueeze(1), (if_true - mean) * right * mask), None, None


def _per_class(values: Tensor, true_class: Tensor, classes: int) -> Tensor:
    """`c`: sum of `values` (`b h w`) over the pixels of each class; in float64, since it adds one by one."""
    return torch.bincount(true_class.flatten(), values.flatten().double(), minlength=classes).to(values.dtype)

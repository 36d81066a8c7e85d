"""Soft counts of each class: the sums that losses by overlap are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from pipeline.losses.base import Overlap

if TYPE_CHECKING:
    from pipeline.losses.base import Batch


def soft_overlap(batch: Batch, per_image: bool, squared: bool = False) -> Overlap:
    """True positives, false positives and false negatives, `c` each, or `b c` of each image; if `squared`, with
    sum_i p^2 (1 - g) for false positives and sum_i (1 - p)^2 g for false negatives.

    Each is a sum of its own: of a rare class, what two sums over all pixels differ by would have no digit right.
    """
    if batch.soft:
        return overlap_with_labels(batch.p, batch.g, per_image, squared)
    mask = batch.valid.to(batch.logits.dtype)
    if batch.logits.shape[1] > 2 and not torch.compiler.is_compiling():  # a compiler joins the passes itself
        return Overlap(*SoftCounts.apply(batch.logits, batch.true_class, mask, per_image, squared)[:3])
    p, g, pixels = batch.logits.softmax(dim=1), batch.g, (2, 3) if per_image else (0, 2, 3)
    mistaken, power = p * (mask.unsqueeze(1) - g), 2 if squared else 1
    tp, fp = (p * g).sum(dim=pixels), (mistaken**power).sum(dim=pixels)
    if p.shape[1] == 2:
        return Overlap(tp, fp, fp.flip(-1))  # one misses what the other wrongly claims
    missed = mistaken.sum(dim=1, keepdim=True) * g
    return Overlap(tp, fp, (missed**power).sum(dim=pixels))


def overlap_with_labels(p: Tensor, g: Tensor, per_image: bool, squared: bool = False) -> Overlap:
    """The same with the probabilities g of a soft target, so that p = g is without a mistake.

    The product p g would not do: where g = 0.6, certainty has more of it than p = g. So a true positive is the minimum
    of p and g, half of p + g - |p - g|, and a mistake what one has beyond it (Wang, Ning, Blaschko, "Jaccard Metric
    Losses", NeurIPS 2023; Wang et al., "Dice Semimetric Losses", MICCAI 2023, the first form of each). Of squares the
    product is right: sum_i p^2 + g^2 - 2 p g is sum_i (p - g)^2. For one-hot g all are as above.
    """
    pixels = (2, 3) if per_image else (0, 2, 3)
    if squared:
        parts = p * g, (p - g).clamp(min=0) ** 2, (g - p).clamp(min=0) ** 2
    else:
        parts = torch.minimum(p, g), (p - g).clamp(min=0), (g - p).clamp(min=0)
    return Overlap(*(part.sum(dim=pixels) for part in parts))


class SoftCounts(torch.autograd.Function):
    """The counts of several classes, with a backward pass of their own.

    Autograd would keep a product of probabilities and one-hot truth and pass over it several times; this takes about
    half the time of that, and makes no one-hot tensor.

    From logits `b c h w`, true classes `b h w`, mask `b h w` (1 where valid), whether to count each image by itself,
    and whether mistakes are squared: true positives, false positives and false negatives, `c` or `b c` each, and two
    tensors for `backward`.

    Mistakes are sums of small probabilities, not what two large sums differ by: they keep their digits near a perfect
    prediction, where a loss with a root is steep.
    """

    @staticmethod
    def forward(logits: Tensor, true_class: Tensor, mask: Tensor, per_image: bool, squared: bool) -> tuple[Tensor, ...]:
        p, t = logits.softmax(dim=1), true_class.unsqueeze(1)
        right = p.gather(1, t)
        mistaken = p.scatter_(1, t, 0.0)  # what is given to classes that are not true
        missed = mistaken.sum(dim=1)
        false_alarms, missed = (mistaken**2, missed**2) if squared else (mistaken, missed)
        fp = (false_alarms.flatten(2) @ mask.flatten(1).unsqueeze(2)).squeeze(2)
        fp = fp if per_image else fp.sum(dim=0)
        groups = _groups(true_class, fp)
        tp, fn = (_sums(values * mask, groups, fp) for values in (right.squeeze(1), missed))
        return tp, fp, fn, mistaken, right

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        tp, _, _, mistaken, right = output
        ctx.shape, ctx.squared = tp.shape, inputs[4]
        ctx.mark_non_differentiable(mistaken, right)
        ctx.set_materialize_grads(False)  # or the backward pass would be handed zeros as large as `mistaken`
        ctx.save_for_backward(*inputs[:3], mistaken, right)

    @staticmethod
    def backward(ctx: FunctionCtx, *by_counts: Tensor | None) -> tuple[Tensor | None, ...]:
        """Through dL/dp, by_fp where a class is not true and by_tp - by_fn where it is (by_fn and by_fp times twice the
        mistake, if squared), then through the softmax."""
        logits, true_class, mask, mistaken, right = ctx.saved_tensors
        mask, t = mask.unsqueeze(1), true_class.unsqueeze(1)
        nothing = logits.new_zeros(ctx.shape)
        by_tp, by_fp, by_fn = (nothing if each is None else each for each in by_counts[:3])
        if torch.is_grad_enabled():  # somebody asks for second derivatives: in steps that autograd can follow
            p = logits.softmax(dim=1)
            wrong = p.scatter(1, t, 0.0)
            missed = 2 * wrong.sum(dim=1, keepdim=True) if ctx.squared else 1
            by_p = by_fp[..., None, None] * (2 * wrong if ctx.squared else torch.ones_like(p))
            by_p = by_p.scatter(1, t, _at(by_tp, t) - _at(by_fn, t) * missed)
            return p * (by_p - (by_p * p).sum(dim=1, keepdim=True)) * mask, None, None, None, None
        if ctx.squared:
            missed = mistaken.sum(dim=1, keepdim=True)  # 1 - right, with its digits
            if_true = _at(by_tp, t) - 2 * _at(by_fn, t) * missed
            by_wrong, weighted = 2 * by_fp[..., None, None] * mistaken, mistaken**2
            of_wrong = (2 * by_fp.unsqueeze(-2) @ weighted.flatten(2)).view_as(t)
            mean, beyond_mean = of_wrong + if_true * right, if_true * missed - of_wrong
        else:
            if_true, by_wrong = _at(by_tp - by_fn, t), by_fp[..., None, None]
            mean = (by_fp.unsqueeze(-2) @ mistaken.flatten(2)).view_as(t) + if_true * right
            beyond_mean = if_true - mean
        gradient = (by_wrong - mean).mul_(mistaken).mul_(mask)  # the mean is that of dL/dp, weighted by p
        return gradient.scatter_(1, t, beyond_mean * right * mask), None, None, None, None


def _at(by_count: Tensor, t: Tensor) -> Tensor:
    """`b 1 h w`: of each pixel the value of its true class, in the batch (`c`) or in its image (`b c`)."""
    found = by_count.take(t) if by_count.dim() == 1 else by_count.gather(1, t.flatten(1))
    return found.view_as(t)


def _groups(true_class: Tensor, like: Tensor) -> Tensor:
    """`b h w` int64: the place of each pixel's class in the flattened counts, `c` or `b c` as `like`."""
    if like.dim() == 1:
        return true_class
    images = torch.arange(len(like), device=like.device).view(-1, 1, 1)
    return true_class + like.shape[1] * images


def _sums(values: Tensor, groups: Tensor, like: Tensor) -> Tensor:
    """Sum of `values` (`b h w`) over the pixels of each group; in float64, since it adds one by one."""
    sums = torch.bincount(groups.flatten(), values.flatten().double(), minlength=like.numel())
    return sums.view(like.shape).to(values.dtype)

"""Functions with a derivative of their own, for losses of many classes: they keep less than autograd would, and digits
that it would lose. All are differentiable twice.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx


class Errors(torch.autograd.Function):
    """From logits `b c h w`, true classes `b h w` and mask `b h w` (1 where valid): |p - g| `b c h w`, the probability
    that is given to a class where it is not true and withheld from it where it is; 0 at ignored pixels.

    What is withheld is summed from what the other classes have, so it keeps its digits where p is close to 1.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, logits: Tensor, true_class: Tensor, mask: Tensor) -> Tensor:
        t = true_class.unsqueeze(1)
        errors = logits.softmax(dim=1).scatter_(1, t, 0.0)
        errors = errors.scatter_(1, t, errors.sum(dim=1, keepdim=True)).mul_(mask.unsqueeze(1))
        ctx.save_for_backward(errors, t)
        return errors

    @staticmethod
    def backward(ctx: FunctionCtx, by: Tensor) -> tuple[Tensor, None, None]:
        """Through the softmax: p is the error of a class that is not true. Where all errors are 0, as at ignored
        pixels, so is the gradient."""
        errors, t = ctx.saved_tensors
        total = (by * errors).sum(dim=1, keepdim=True)
        gradient = errors * (by + (by.gather(1, t) - total))
        return gradient.scatter(1, t, (errors.gather(1, t) - 1) * total), None, None


class InParts(torch.autograd.Function):
    """Values of the parts of `x`, one part after another, and their slopes at once: of what is computed in between,
    only that of one part is held at a time.

    Args:
        x: `b c h w`.
        values: from a part of `x` and its `indices`, the values of that part, in a shape that it can be broadcast from.
            A value may depend on those elements of `x` alone that it is broadcast to.
        dim: along which `x` is divided.
        parts: indices `n` along that dimension; what belongs to no part has the value 0.
        shape: of all values together.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        x: Tensor,
        values: Callable[[Tensor, Tensor], Tensor],
        dim: int,
        parts: Sequence[Tensor],
        shape: Sequence[int],
    ) -> Tensor:
        differentiated = ctx.needs_input_grad[0]
        slopes = torch.zeros_like(x) if differentiated else None
        found = x.new_zeros(shape)
        for indices in parts:
            part = x.index_select(dim, indices)
            with torch.set_grad_enabled(differentiated):
                value = values(part.requires_grad_(differentiated), indices)
                total = value.sum()
            found.index_copy_(dim, indices, value.detach())
            if differentiated:
                slopes.index_copy_(dim, indices, torch.autograd.grad(total, part)[0])
        ctx.of_part, ctx.dim, ctx.parts = values, dim, parts
        ctx.save_for_backward(x, slopes)
        return found

    @staticmethod
    def backward(ctx: FunctionCtx, by: Tensor) -> tuple[Tensor, None, None, None, None]:
        x, slopes = ctx.saved_tensors
        if not torch.is_grad_enabled():
            return by * slopes, None, None, None, None
        gradient = torch.zeros_like(x)  # whose own derivatives are asked for, so the slopes as numbers do not do
        for indices in ctx.parts:
            part = x.index_select(ctx.dim, indices)
            value, of_value = ctx.of_part(part, indices), by.index_select(ctx.dim, indices)
            (slope,) = torch.autograd.grad(value, part, of_value, create_graph=True)
            gradient = gradient.index_copy(ctx.dim, indices, slope)
        return gradient, None, None, None, None


@torch.compiler.disable
def in_parts(x: Tensor, *rest: Any) -> Tensor:
    """As `InParts`: without slopes where nobody will ask for them, and outside of what `torch.compile` traces, which
    knows no derivative inside of a function."""
    return InParts.apply(x if torch.is_grad_enabled() else x.detach(), *rest)


class Linear(torch.autograd.Function):
    """A linear map, whose derivative is its transpose."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, map: Callable[[Tensor], Tensor], transpose: Callable[[Tensor], Tensor]
    ) -> Tensor:
        ctx.maps = map, transpose
        return map(x)

    @staticmethod
    def backward(ctx: FunctionCtx, by: Tensor) -> tuple[Tensor, None, None]:
        map, transpose = ctx.maps
        return Linear.apply(by, transpose, map), None, None


class Extreme(torch.autograd.Function):
    """The maximum or minimum of each pixel and its neighbours at some offsets (rows, columns), `... h w`; what lies
    beyond the image is no neighbour. Of equal ones the first has the slope, the pixel itself before its neighbours.

    Max pooling does the same for rectangles, in several times the time and memory.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, of: Callable[..., Tensor], offsets: Sequence[tuple[int, int]]) -> Tensor:
        extreme = x.clone()
        for offset in offsets:
            of_pixel, of_neighbour = _pairs(x.shape, offset)
            of(extreme[of_pixel], x[of_neighbour], out=extreme[of_pixel])
        ctx.save_for_backward(x, extreme)
        ctx.offsets = offsets
        return extreme

    @staticmethod
    def backward(ctx: FunctionCtx, by: Tensor) -> tuple[Tensor, None, None]:
        x, extreme = (each.detach() for each in ctx.saved_tensors)  # which one it is does not move with x
        gradient, left = torch.zeros_like(by), by.clone()
        for offset in ((0, 0), *ctx.offsets):
            of_pixel, of_neighbour = _pairs(by.shape, offset)
            chosen = left[of_pixel] * (x[of_neighbour] == extreme[of_pixel]).to(by.dtype)  # of one type: vectorised
            gradient[of_neighbour].add_(chosen)
            left[of_pixel].sub_(chosen)
        return gradient, None, None


def _pairs(shape: Sequence[int], offset: tuple[int, int]) -> tuple[tuple, tuple]:
    """Where the pixels lie that have a neighbour at that offset, and where those neighbours."""
    pixel, neighbour = [], []
    for size, shift in zip(shape[-2:], offset, strict=True):
        pixel.append(slice(max(-shift, 0), max(size - max(shift, 0), 0)))
        neighbour.append(slice(max(shift, 0), max(size + min(shift, 0), 0)))
    return (..., *pixel), (..., *neighbour)


class Implicit(torch.autograd.Function):
    """`y` that an equation in `x` fixes: found by `solve(x)` without a derivative, which `slope(x, y)` gives."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x: Tensor, solve: Callable[[Tensor], Tensor], slope: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        y = solve(x)
        ctx.slope = slope
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    def backward(ctx: FunctionCtx, by: Tensor) -> tuple[Tensor, None, None]:
        return by * ctx.slope(*ctx.saved_tensors), None, None

"""Focal: cross-entropy that looks away from what is already right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from pipeline.losses.base import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


class Focal(Loss):
    """Focal loss in its softmax form (Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equation 4).

        L = sum_i v_t(i) * (1 - p_i,t(i))^gamma * -log p_i,t(i)  /  sum_i v_t(i),  v_c = alpha_c w_c

    over valid pixels i with true class t(i), softmax probability p, the option alpha and class weight w (each 1 if
    there is none).

    Absent class: adds no pixel and so nothing. Limits: gamma = 0 without alpha is `cross_entropy`.
    Where we differ: the paper sums one sigmoid per class and divides by the number of anchors assigned to an
    object; we take the softmax over exclusive classes and the weighted mean over valid pixels, so that gamma = 0 is
    exactly cross-entropy and alpha is no hidden learning rate.

    Use: where many easy pixels drown few hard ones. Wrong labels are hard pixels too, so it follows them; and as gamma
    also shrinks the gradient, it wants a learning rate of its own.
    Family: per pixel.
    """

    gamma: float = Field(default=2.0, ge=0.0, le=10.0)
    """How fast easy pixels lose their say: at p = 0.9 and gamma = 2 a pixel counts a hundredth of its cross-entropy."""
    alpha: list[Annotated[float, Field(gt=0.0, lt=float("inf"))]] | None = None
    """A weight above 0 for each class, in their order; null for equal ones. Only their ratios matter: [0.75, 0.25] is
    the paper's alpha = 0.25 for the second of two classes."""

    def refuses_classes(self, classes: int) -> str | None:
        if self.alpha is None or len(self.alpha) == classes:
            return None
        return f"'alpha' has {len(self.alpha)} numbers; give one for each class."

    def refuses_soft_targets(self) -> str | None:
        return "its factor (1 - p)^gamma is of the one true class" if self.gamma else None

    def formula(self, batch: Batch) -> Tensor:
        if self.alpha is not None:
            batch = batch.weighted_by(batch.logits.new_tensor(self.alpha))
        return batch.mean_over_pixels(batch.focal(self.gamma))

"""L1: mean absolute error between probabilities and one-hot target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.losses.base import Batch, Loss

if TYPE_CHECKING:
    from torch import Tensor


class L1(Loss):
    """Mean absolute error (Ghosh, Kumar, Sastry, "Robust Loss Functions under Label Noise", AAAI 2017, section 3).

        L = sum_i w_t(i) * (1/C) sum_c |p_i,c - g_i,c|  /  sum_i w_t(i)

    over valid pixels i with true class t(i), classes c of C, softmax probability p, one-hot truth g, class weight w.
    As probabilities sum to 1, a pixel costs 2 (1 - p_t) / C: bounded, so it tolerates wrong labels, but its gradient
    vanishes for pixels that are confidently wrong.

    Range 0 (perfect) to 2 / C. Absent class: its probability counts as error, in every pixel it is given to.

    Use: against wrong labels. It is slow to learn, and as it trades pixels one for one it may give up a rare class
    altogether; beside `cross_entropy` it is safer than alone.
    Family: per pixel.
    """

    def refuses_soft_targets(self) -> None:
        return None

    def formula(self, batch: Batch) -> Tensor:
        return batch.mean_over_pixels((batch.p - batch.g).abs().mean(dim=1))

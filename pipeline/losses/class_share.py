"""Class share: how far the share of each class in an image is from the true one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.losses.base import Batch, Loss
from pipeline.losses.base_math import ratio

if TYPE_CHECKING:
    from torch import Tensor


class ClassShare(Loss):
    """L1 distance between predicted and true shares of the classes (Liu et al., "Do we really need dice? The hidden
    region-size biases of segmentation losses", Medical Image Analysis 2024, the term beside cross-entropy in CE + L1).

        L = mean_images mean_c  (1/N) |sum_i p_i,c - sum_i g_i,c|

    over the images with a valid pixel, all classes c, and the N valid pixels i of an image, with softmax probability p
    and one-hot truth g. With class weights the mean over classes is weighted.

    Range 0 to 2 / C for C classes. It is 0 for any prediction whose classes are as large as they should be, wherever
    they lie.
    Absent class: stays in the mean; its true share is 0, and all that is given to it is charged.
    Limits: of two classes one lacks what the other has too much, so there class weights change nothing. In an image of
    one pixel it is `l1`.
    Where we differ: the mean over classes is that of the authors' code, in which the binary form is one sigmoid; in
    that form the value is the same. Their code adds a tiny constant to both sides of each share. It has a form with the
    KL divergence besides, and raises the weight of the term in steps, which is a ramp in `compound`.

    Use: as a term beside `cross_entropy`, never alone: `{kind: compound, terms: {cross_entropy: 1.0, class_share:
    1.0}}`. For classes of unequal size that cross-entropy finds too large or too small; it controls what `dice` does as
    a side effect. It costs next to nothing.
    Family: overlap.
    """

    def formula(self, batch: Batch) -> Tensor:
        _, fp, fn = batch.overlap_of_images  # sum p - sum g is FP - FN, which keeps its digits where both are small
        pixels = batch.class_pixels_of_images.sum(dim=1, keepdim=True)
        error = batch.mean_over_classes(ratio((fp - fn).abs(), pixels))
        return ratio(error.sum(), (pixels > 0).sum())

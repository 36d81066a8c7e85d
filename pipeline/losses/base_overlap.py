"""What losses by overlap share: the counts of each class, what is counted together, and what an absent class costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from pipeline.losses.base import Batch, Overlap
from pipeline.losses.base_classes import LossPerClass
from pipeline.losses.base_math import ratio
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import Tensor

FOUND = 0.01  # share of the pixels that an absent class is charged as if it had, all of them found


class Counts(NamedTuple):
    """What `OverlapLoss.of_each_class` is made of: sums over the valid pixels of a batch, `c` each, or of each of its
    images, `b c` each."""

    tp: Tensor
    fp: Tensor
    fn: Tensor
    tn: Tensor
    """sum_i (1 - p) (1 - g): probability rightly withheld from the class."""
    pixels: Tensor
    """Pixels where the class is true."""
    others: Tensor
    """Pixels where another class is."""


class OverlapLoss(LossPerClass):
    """A loss of each class from its soft counts.

    You must write `of_each_class`. Class weights weigh the mean over classes; where the foreground is alone in it, a
    false positive, which lies in the background, costs w_0 / w_1 times as much.
    """

    over: Literal["batch", "image", "image_and_class"] = "batch"
    """What is counted together (Wang et al., "Revisiting Evaluation Metrics for Semantic Segmentation", NeurIPS 2023):
    `batch` counts each class over all images, as mIoU-D does, `image` is the mean over images of the mean over the
    classes in each, as mIoU-I, and `image_and_class` the mean over classes of the mean over the images with each, as
    mIoU-C. By image, a small object has as much say as a large one."""
    absent: Literal["left_out", "charged"] | None = None
    """What a class costs without a true pixel in the batch, or in an image of it where `over` says so: nothing, or what
    it would if a hundredth of the pixels were of it and found, so that 0 for no false positive rises smoothly with
    them. null: `charged` where the foreground is alone in the mean, as nothing else would be paid for what is given to
    it, and `left_out` otherwise."""

    def of_each_class(self, n: Counts) -> Tensor:
        """The loss of each class, in the shape of the counts."""
        raise NotImplementedError

    def squared(self) -> bool:
        """Whether false positives and false negatives are sums of squared errors."""
        return False

    def counted(self, n: Counts) -> Tensor:
        """`... c` of 0 and 1: the classes that have a share in the mean, as far as their counts say."""
        return (n.pixels > 0).to(n.tp.dtype)

    def formula(self, batch: Batch) -> Tensor:
        n = self.counts(batch)
        return self.mean(self.of_each_class(n), self.without_background(self.counted(n)), batch)

    def overlap(self, batch: Batch) -> Overlap:
        """Soft true positives, false positives and false negatives, `c` or `b c` each."""
        if self.squared():
            from pipeline.losses.base_counts import soft_overlap  # only now, since it needs torch to be imported

            return soft_overlap(batch, per_image=self.over != "batch", squared=True)
        return batch.overlap if self.over == "batch" else batch.overlap_of_images

    def counts(self, batch: Batch) -> Counts:
        """The counts of a batch or of its images, with what an absent class is charged and class weights ask for."""
        tp, fp, fn = self.overlap(batch)
        pixels = batch.class_pixels if self.over == "batch" else batch.class_pixels_of_images
        others = pixels @ (1 - torch.eye(pixels.shape[-1], dtype=pixels.dtype, device=pixels.device))
        tn = others - fp
        alone = self.foreground_alone(pixels.shape[-1])
        if alone and batch.class_weights is not None:
            price = ratio(*batch.class_weights)
            fp, tn = price * fp, price * tn
        if self.absent == "charged" or (self.absent is None and alone):
            found = FOUND * others * (pixels == 0)
            tp, pixels = tp + found, pixels + found
        return Counts(tp, fp, fn, tn, pixels, others)

    def mean(self, values: Tensor, counted: Tensor, batch: Batch) -> Tensor:
        """Of the loss of each class, over what `over` says, among the classes and images that are `counted`."""
        if self.over == "image_and_class":
            images = counted.sum(dim=0)
            values, counted = ratio((values * counted).sum(dim=0), images), images.clamp(max=1)
        return self.mean_over_images(batch.mean_over_classes(values, among=counted), counted)

    def mean_over_images(self, values: Tensor, counted: Tensor) -> Tensor:
        """Of one value, or of one for each image that has a class which is `counted`."""
        return values if counted.dim() == 1 else ratio(values.sum(), counted.amax(dim=-1).sum())

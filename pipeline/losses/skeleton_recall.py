"""Skeleton recall: probability that is missing along the centre lines of what must stay connected."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pydantic import Field

from pipeline.losses.base import Batch
from pipeline.losses.base_classes import LossPerClass
from pipeline.losses.base_math import ratio
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.labels import IGNORE
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class SkeletonRecall(LossPerClass):
    """Skeleton recall loss (Kirchhoff et al., "Skeleton Recall Loss for Connectivity Conserving and Resource Efficient
    Segmentation of Thin Tubular Structures", ECCV 2024, the soft recall on the tubed skeleton).

        L = mean_c  1 - sum_i S_i,c p_i,c / sum_i S_i,c

    over classes c and all valid pixels i of the batch, with softmax probability p. S is the tubed skeleton of a class:
    the pixels of the class that lie within `radius` dilations of its skeleton, each by a cross of 3 x 3 pixels, 0 or 1.
    The skeleton is that of scikit-image (Zhang, Suen 1984), taken of each class in each image. Only the truth has one,
    so nothing is derived through it. With class weights the mean over classes is weighted.

    Range 0 (perfect) to 1.
    Absent class: left out of the mean, as in `dice`, also the foreground of two classes; a loss of recall does not see
    what is wrongly given to a class. With two classes the loss is that of the foreground, so there class weights change
    nothing.
    Limits: for lines one pixel wide it is the mean over classes of the mean over their pixels of 1 - p. Predicting a
    class everywhere costs it nothing.
    Where we differ: the paper gives the recall a minus and no 1. Its code takes one skeleton of all foreground classes
    together and gives each class the part that lies in it, so of two classes side by side only one may have a share;
    we take each class by itself. It leaves out the background with any number of classes, which is `background: false`,
    and adds 1e-5 to both sides of the ratio; every class in our mean has a skeleton.

    Use: as a term beside `dice` and `cross_entropy`, each with weight 1 as in the authors' code, for vessels, roads,
    cracks and nerves; never alone, as it charges no false alarm. Its aim is that of `cl_dice`, at a fraction of the
    price: a skeleton of each class in each image, found by one core of the CPU, for which a GPU waits.
    Family: boundary and shape.
    """

    radius: int = Field(default=2, ge=0, le=20)
    """Dilations of the skeleton, in pixels to each side: 0 is the bare skeleton, which asks for the exact centre line.
    The default is the authors'."""

    def formula(self, batch: Batch) -> Tensor:
        asked = self.without_background(batch.present)[batch.true_class] > 0
        tubes = _tubed_skeletons(batch.target.where(asked, IGNORE).cpu().numpy(), self.radius)
        inside = replace(batch, target=batch.target.where(torch.from_numpy(tubes).to(asked.device), IGNORE))
        balanced = inside.weighted_by(ratio(inside.present, inside.class_pixels))  # each tube weighs 1 in all
        return balanced.mean_over_pixels(inside.wrong)


def _tubed_skeletons(target: np.ndarray, radius: int) -> np.ndarray:
    """`b h w` bool: the pixels of the tubed skeleton of their own class, from class indices of the same shape."""
    import numpy as np  # only now, so that the options of every loss can be read at once
    from scipy.ndimage import binary_dilation, find_objects

    try:
        from skimage.morphology import diamond, skeletonize
    except ImportError:
        raise UserError("SkeletonRecall needs scikit-image: `pip install scikit-image`.") from None

    tubes = np.zeros(target.shape, bool)
    for tube, mask in zip(tubes, target, strict=True):
        for index, box in enumerate(find_objects(mask + 1, max_label=IGNORE)):
            if box:
                inside = mask[box] == index
                tube[box] |= inside & binary_dilation(skeletonize(inside), diamond(radius))
    return tubes

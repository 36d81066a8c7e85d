"""Blob Dice: Dice of each connected component by itself, so that small objects count as much as large ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.losses.base import Batch
from pipeline.losses.base_classes import LossPerClass
from pipeline.losses.base_math import fraction, ratio
from pipeline.plumbing.labels import IGNORE
from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class BlobDice(LossPerClass):
    """Blob loss with Dice (Kofler et al., "blob loss: instance imbalance aware loss functions for semantic
    segmentation", IPMI 2023, the blob term).

        L = mean_c mean_images mean_n  1 - 2 TP_n / (2 TP_n + FN_n + FP)
        TP_n = sum_(i in n) p_i,c,  FN_n = sum_(i in n) (1 - p_i,c),  FP = sum_(i not in c) p_i,c

    over classes c, the images that hold c, and the components n of c in the image, with softmax probability p: the Dice
    of component n over the pixels of the image that are in no other component of its class. Components are those of the
    truth, of pixels that touch by a side or a corner; void pixels are in none and join none. With class weights the
    mean over classes is weighted; where the foreground is alone in it, a false positive costs w_0 / w_1 times as much.

    Range 0 (perfect) to 1.
    Absent class: left out of the mean, and likewise the images without it, also for the foreground of two classes:
    without a component there is no Dice of one, and what is wrongly given to the class is the matter of the term beside
    this. With two classes the loss is that of the foreground, as in the paper.
    Limits: where each class is one component in each image, it is `dice` (plain) with `over: image_and_class` and
    `absent: left_out`. For hard predictions each term is 1 - Dice of a component.
    Where we differ: the paper has one foreground class, of which we take the mean over classes. Every false positive is
    charged to every component of its image, as in the paper; CC-metrics (Jaus et al., AAAI 2025) charge it to the
    nearest one. The paper lets labels be given; we label the mask, as they do where there are none.

    Use: as a term beside `dice` or `cross_entropy`, in the paper with weight 1 beside a global Dice of weight 2:
    `{kind: compound, terms: {dice: 2.0, blob_dice: 1.0}}`. For many objects of unequal size, such as lesions or cells,
    each of which must be found. Components are found by one core of the CPU, for which a GPU waits.
    Family: overlap.
    """

    def formula(self, batch: Batch) -> Tensor:
        among = self.without_background(batch.present)
        asked = batch.target.where(among[batch.true_class] > 0, IGNORE)
        found = _components(asked.cpu().numpy(), len(among))
        numbers, groups = (torch.from_numpy(each).to(asked.device) for each in found)
        # p of the true class: a sum of its own keeps the digits that size - FN loses.
        right = (-batch.cross_entropy).exp()
        tp, fn = (_sums(values, numbers, len(groups)) for values in (right, batch.wrong))
        fp = batch.overlap_of_images.fp
        if batch.class_weights is not None and self.foreground_alone(fp.shape[1]):
            fp = fp * ratio(*batch.class_weights)
        loss = fraction(fn + fp.flatten()[groups], 2 * tp)
        blobs = torch.bincount(groups, minlength=fp.numel()).to(loss.dtype).view_as(fp)
        of_images = ratio(_sums(loss, groups, fp.numel()).view_as(fp), blobs)
        of_classes = ratio(of_images.sum(dim=0), (blobs > 0).sum(dim=0))
        return batch.mean_over_classes(of_classes, among)


def _sums(values: Tensor, groups: Tensor, number: int) -> Tensor:
    """Sum of `values` over each group, `number`; those of no group, -1, are left out. In float64, since it adds one by
    one."""
    sums = values.new_zeros(number + 1, dtype=torch.float64)
    places = groups.where(groups >= 0, number).flatten()
    return sums.index_add(0, places, values.flatten().double())[:number].to(values.dtype)


def _components(target: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Components of the classes in each image of class indices `b h w`, numbered from 0.

    Returns:
        `b h w` int64, the component of each pixel, -1 where it is void; and of each component image * classes + class.
    """
    import numpy as np  # only now, so that the options of every loss can be read at once
    from scipy.ndimage import find_objects, label

    numbers, groups = np.full(target.shape, -1, np.int64), []
    for image, (number, mask) in enumerate(zip(numbers, target, strict=True)):
        for index, box in enumerate(find_objects(mask + 1, max_label=IGNORE)):
            if box:
                labels, found = label(mask[box] == index, np.ones((3, 3)))
                number[box] = np.where(labels, labels - 1 + len(groups), number[box])
                groups += [image * classes + index] * found
    return numbers, np.array(groups, np.int64)

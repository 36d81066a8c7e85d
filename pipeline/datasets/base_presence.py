"""Which classes a mask holds before and after resizing, and what can be done where one is lost."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from pipeline.datasets.base import LARGEST_SIDE, Dataset
from pipeline.plumbing.errors import UserError, listed
from pipeline.plumbing.labels import IGNORE

TRIED = 20  # masks by which a size is found
Samples = Mapping[str, Sequence[Any]]  # by split, as everywhere


class Held(NamedTuple):
    """The class indices, and IGNORE where there is void, in the mask of a sample before it was resized and after."""

    before: frozenset[int] = frozenset()
    after: frozenset[int] = frozenset()


Presence = Mapping[str, Sequence[Held]]  # by split, one for each sample


def resized(pixels: np.ndarray, size: tuple[int, int], method: Image.Resampling) -> np.ndarray:
    """`pixels` at height and width `size`; Pillow's bilinear averages over all pixels when it makes smaller."""
    return pixels if pixels.shape[:2] == size else np.asarray(Image.fromarray(pixels).resize(size[::-1], method))


def refuse_absent_classes(dataset: Dataset, samples: Samples, held: Presence) -> None:
    """Raise UserError, with cause and remedy, for each class that no train mask holds once it is resized."""
    present = frozenset().union(*(each.after for each in held["train"]))
    absent = [index for index in range(len(dataset.classes)) if index not in present]
    if absent:
        told = (
            f"of class {dataset.classes[at]}, so it cannot be learned: {_cause(dataset, samples, held, at)}"
            for at in absent
        )
        raise UserError("\n".join(f"no pixel of the train split is {each}" for each in told))


def lost_classes(dataset: Dataset, held: Presence) -> str:
    """How many images lose each class when they are resized, in one line; empty: none does."""
    before, lost, gone = Counter(), Counter(), []
    for split, masks in held.items():
        had, lack = (Counter(chain.from_iterable(each)) for each in _before_and_lost(masks))
        gone += [f"{dataset.classes[index]} in {split}" for index in sorted(lack) if lack[index] == had[index]]
        before += had
        lost += lack
    if not lost:
        return ""
    said = listed(f"{dataset.classes[index]} ({lost[index]} of {before[index]})" for index in sorted(lost))
    height, width = dataset.size
    none = f" None is left of {listed(gone)}." if gone else ""
    remedy = "A larger `image_size` or tiles keep them."
    return f"Resized to {height} x {width}, images lose every pixel of {said}.{none} {remedy}"


def size_that_keeps(dataset: Dataset, samples: Iterable[Any], index: int) -> int | list[int] | None:
    """The smallest `image_size` from which on samples keep a class that their masks hold; found by trying.

    None: the largest that is allowed loses it in one of them.
    """
    masks = [(dataset.load(sample)[1] == index).view(np.uint8) for sample in samples]
    longest, found = max(dataset.size), None
    for side in reversed(_sides(longest)):
        size = tuple(round(each * side / longest) for each in dataset.size)
        if not all(_keeps(mask, size) for mask in masks):
            break
        found = side if isinstance(dataset.image_size, int) else list(size)
    return found


def _keeps(mask: np.ndarray, size: tuple[int, int]) -> bool:
    """Whether a pixel other than 0 is left at a size. No side is made longer, which would take none away."""
    height, width = (min(new, old) for new, old in zip(size, mask.shape, strict=True))
    return bool(resized(mask, (height, width), Image.Resampling.NEAREST).any())


def _sides(side: int) -> list[int]:
    """Sides of images to try, each a tenth larger than the one before."""
    sides = [side]
    while sides[-1] < LARGEST_SIDE:
        sides.append(min(math.ceil(sides[-1] * 1.1), LARGEST_SIDE))
    return sides


def _before_and_lost(masks: Sequence[Held]) -> tuple[list[Set[int]], list[Set[int]]]:
    return [each.before - {IGNORE} for each in masks], [each.before - each.after - {IGNORE} for each in masks]


def _cause(dataset: Dataset, samples: Samples, held: Presence, index: int) -> str:
    """Why no train mask holds a class, and what to do."""
    train = zip(samples["train"], held["train"], strict=True)
    if holders := [sample for sample, each in train if index in each.before]:
        size = size_that_keeps(dataset, holders[:TRIED], index)
        which = "all of them" if len(holders) <= TRIED else f"the {TRIED} that were tried"
        remedy = (
            f"set {size} or more, where {which} keep it" if size else f"cut them into tiles, {LARGEST_SIDE} is no help"
        )
        was = f"`image_size: {dataset.image_size}`"
        return f"{len(holders)} train images hold it and lose it when they are resized to {was}; {remedy}."
    if others := sum(index in each.before for split in ("val", "test") for each in held[split]):
        return f"{others} of the val and test images hold it; split so that train has some of it."
    return "no mask holds it; check the values in the masks, or remove the class."

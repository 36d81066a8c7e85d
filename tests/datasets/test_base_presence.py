from typing import Any

import numpy as np
import pytest

from pipeline.datasets.base import Dataset
from pipeline.datasets.base_presence import Held, lost_classes, refuse_absent_classes, size_that_keeps
from pipeline.plumbing.errors import UserError
from pipeline.plumbing.labels import IGNORE

NONE = frozenset()


class Strips(Dataset):
    """Masks of 40 x 400 pixels; a sample is the column and the width of a strip of class 1."""

    classes: list[str] = ["ground", "strip", "rare"]
    image_size: int | list[int] = 16

    def load(self, sample: Any) -> tuple[np.ndarray, np.ndarray]:
        mask = np.zeros((40, 400), np.uint8)
        mask[:, sample[0] : sample[0] + sample[1]] = 1
        return np.dstack([mask] * 3), mask


def held(before: set[int], after: set[int]) -> Held:
    return Held(frozenset(before), frozenset(after))


@pytest.mark.parametrize("width", [4, 10, 20])
def test_the_size_found_keeps_every_strip_and_so_do_larger_ones(width):
    """By hand: at 400 / width columns every strip of that width is met; a tenth below, some strip of 400 is missed."""
    samples = [(at, width) for at in range(0, 400 - width, 7)]
    found = size_that_keeps(Strips(), samples, 1)
    assert 400 / width / 1.1 < found <= 400 / width * 1.1


def test_a_size_of_two_sides_keeps_their_proportion():
    height, width = size_that_keeps(Strips(image_size=[16, 32]), [(at, 4) for at in range(0, 390, 7)], 1)
    assert width == 2 * height
    assert 90 < width <= 110


def test_a_strip_that_the_largest_size_misses_has_no_size(monkeypatch):
    def thin(self, sample):
        mask = np.zeros((1, 20_000), np.uint8)
        mask[0, 1] = 1
        return mask, mask

    monkeypatch.setattr(Strips, "load", thin)
    assert size_that_keeps(Strips(), ["a"], 1) is None
    samples = {"train": ["a"], "val": [], "test": []}
    with pytest.raises(
        UserError, match="when they are resized to `image_size: 16`; cut them into tiles, 4096 is no help"
    ):
        refuse_absent_classes(Strips(), samples, {"train": [held({0, 1, 2}, {0, 2})], "val": [], "test": []})


def test_each_absent_class_has_its_cause():
    samples = {"train": [(0, 2)], "val": ["v"], "test": ["t", "u"]}
    both = held({0, 2}, {0})
    masks = {"train": [held({0, 1}, {0})], "val": [both], "test": [both, held({0}, {0})]}
    with pytest.raises(UserError) as error:
        refuse_absent_classes(Strips(), samples, masks)
    strip, rare = str(error.value).split("\n")
    assert strip.startswith("no pixel of the train split is of class strip, so it cannot be learned: 1 train images")
    assert rare.endswith(
        "rare, so it cannot be learned: 2 of the val and test images hold it; split so that train has some of it."
    )


def test_a_class_that_no_mask_holds_is_a_matter_of_its_values():
    masks = {"train": [held({0, 1}, {0, 1})], "val": [], "test": []}
    with pytest.raises(
        UserError, match="rare, so it cannot be learned: no mask holds it; check the values in the masks"
    ):
        refuse_absent_classes(Strips(), {"train": [(0, 9)], "val": [], "test": []}, masks)


def test_what_is_lost_is_counted_over_all_splits_and_void_is_no_class():
    masks = {
        "train": [held({0, 1, IGNORE}, {0, 1}), held({0, 1}, {0})],
        "val": [held({0, 2}, {0})],
        "test": [held({0, 2}, {0, 2})],
    }
    assert lost_classes(Strips(image_size=[16, 32]), masks) == (
        "Resized to 16 x 32, images lose every pixel of strip (1 of 2), rare (1 of 2). None is left of rare in val. "
        "A larger `image_size` or tiles keep them."
    )


def test_nothing_is_said_where_nothing_is_lost():
    masks = {"train": [held({0, 1, IGNORE}, {0, 1})], "val": [Held()], "test": [held({0}, {0})]}
    assert lost_classes(Strips(), masks) == ""

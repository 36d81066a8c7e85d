from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.datasets.base_splits import divided, partition, split_in_three, split_off
from pipeline.plumbing.errors import UserError

SPLITS = ("train", "val", "test")


@given(st.lists(st.integers(0, 4), min_size=3, max_size=60), st.floats(0.05, 0.9), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_a_split_is_a_partition_however_small_the_strata(strata, share, seed):
    rest, part = split_off(strata, share, seed)
    assert sorted(rest + part) == list(range(len(strata)))
    assert rest
    assert part


def test_a_split_keeps_the_proportions_of_strata():
    strata = ["common"] * 80 + ["rare"] * 20
    splits = split_in_three(strata, 0.2, 0.4, seed=3)
    rare = {split: sum(strata[i] == "rare" for i in splits[split]) for split in SPLITS}
    assert {split: len(splits[split]) for split in SPLITS} == {"train": 40, "val": 20, "test": 40}
    assert rare == {"train": 8, "val": 4, "test": 8}


def test_a_split_depends_on_the_seed_alone():
    assert split_off("aabbccddee" * 3, 0.3, 1) == split_off("aabbccddee" * 3, 0.3, 1)
    assert split_off("aabbccddee" * 3, 0.3, 1) != split_off("aabbccddee" * 3, 0.3, 2)


def test_a_single_sample_cannot_be_split():
    with pytest.raises(UserError, match="1 samples cannot be split"):
        split_off(["a"], 0.5, 0)


@given(st.lists(st.sampled_from("abc"), min_size=20, max_size=60), st.integers(3, 20))
@settings(max_examples=60, deadline=None)
def test_parts_are_a_partition_of_equal_sizes_however_small_the_strata(strata, folds):
    parts = partition([None] * len(strata), strata, folds)
    assert sorted(index for part in parts for index in part) == list(range(len(strata)))
    assert len(parts) == folds
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_each_part_has_its_share_of_each_stratum():
    """By hand: 10 of 50 samples are rare, so 2 of 10 are in each of 5 parts."""
    strata = ["common"] * 40 + ["rare"] * 10
    counts = [Counter(strata[i] for i in part) for part in partition([None] * 50, strata, 5)]
    assert counts == [{"common": 8, "rare": 2}] * 5


def test_parts_are_random():
    """Neighbours in a list are alike."""
    parts = partition([None] * 40, [None] * 40, 4)
    assert all(part[-1] - part[0] > 15 for part in parts)


@given(st.lists(st.sampled_from(["u", "v", "w", "x", "y", None]), min_size=30, max_size=80), st.integers(3, 5))
@settings(max_examples=60, deadline=None)
def test_no_group_is_in_two_parts(groups, folds):
    """A sample without a group stands for itself, wherever it goes."""
    groups = ["u", "v", "w", "x", "y", *groups]
    parts = partition(groups, [None] * len(groups), folds)
    assert sorted(index for part in parts for index in part) == list(range(len(groups)))
    homes = [{groups[i] for i in part} - {None} for part in parts]
    assert sum(map(len, homes)) == len(set.union(*homes)) == 5
    assert all(parts)


def test_groups_of_unequal_size_make_parts_as_equal_as_they_can_be():
    """By hand: 6, then 3 + 2, then 4 + 1."""
    groups = list("aaaaaabbbccdddde")
    assert sorted(len(part) for part in partition(groups, [None] * 16, 3)) == [5, 5, 6]


@pytest.mark.parametrize(
    ("groups", "sentence"),
    [
        ([None] * 4, "folds: 5 parts cannot be made of 4 samples. Lower `folds`."),
        (
            list("aabbb"),
            "folds: 5 parts cannot be made of 2 groups that stay together (group a, group b). Lower `folds`.",
        ),
    ],
)
def test_more_parts_than_there_are_units_are_refused(groups, sentence):
    with pytest.raises(UserError) as error:
        partition(groups, [None] * len(groups), 5)
    assert str(error.value) == sentence


@pytest.mark.parametrize("folds", [3, 7, 20])
def test_over_the_folds_each_sample_is_tested_once_and_validated_once(folds):
    parts = partition([None] * 61, [None] * 61, folds)
    splits = [divided(parts, fold) for fold in range(folds)]
    for split in ("val", "test"):
        assert sorted(index for each in splits for index in each[split]) == list(range(61))
    for each in splits:
        assert sorted(each["train"] + each["val"] + each["test"]) == list(range(61))


def test_the_part_after_the_tested_one_validates():
    """Cyclically."""
    parts = [[0, 3], [1], [2, 4]]
    assert divided(parts, 0) == {"train": [2, 4], "val": [1], "test": [0, 3]}
    assert divided(parts, 2) == {"train": [1], "val": [0, 3], "test": [2, 4]}


def test_two_parts_are_drawn_alike():
    """Each entry of params.yaml divides the samples anew."""
    np.testing.assert_equal(partition([None] * 30, list("ab") * 15, 4), partition([None] * 30, list("ab") * 15, 4))

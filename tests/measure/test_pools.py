"""Folds of one dataset under one name, and everything else left as it is."""

import pytest

from pipeline.measure.pools import Pool, find_pools, pooled, pooled_cell, pooled_meta, which_fold
from pipeline.plumbing.cells import Cell


def folds_of(digest: str, names: list[str]) -> dict[str, dict]:
    return {name: {"fold_of": digest, "fold": fold} for fold, name in enumerate(names)}


@pytest.mark.parametrize(
    ("entries", "name"),
    [
        (["digits_fold_0", "digits_fold_1"], "digits"),
        (["digits_fold0", "digits_fold1", "digits_fold2"], "digits"),
        (["digits_0", "digits_1"], "digits"),
        (["digits1", "digits2"], "digits"),
        (["first", "second"], "first"),
        (["fold_0", "fold_1"], "fold_0"),
    ],
)
def test_a_pool_is_named_by_what_its_entries_begin_with(entries, name):
    """Or by the first of them where they begin with nothing that would name a dataset."""
    assert find_pools(folds_of("x", entries)) == [Pool(name, {entry: fold for fold, entry in enumerate(entries)})]


def test_an_entry_alone_keeps_its_name():
    """Whether it is no fold at all, or the only one of its dataset."""
    (plain, alone) = find_pools({"digits": {}} | {"streets_fold_3": {"fold_of": "x", "fold": 3}})
    assert (plain, alone) == (Pool("digits", {"digits": 0}), Pool("streets_fold_3", {"streets_fold_3": 3}))


def test_folds_of_different_datasets_are_kept_apart():
    metas = folds_of("x", ["digits_0", "digits_1"]) | folds_of("y", ["streets_0", "streets_1"])
    assert [(pool.name, list(pool.entries)) for pool in find_pools(metas)] == [
        ("digits", ["digits_0", "digits_1"]),
        ("streets", ["streets_0", "streets_1"]),
    ]


def test_no_two_datasets_of_the_report_have_one_name():
    """Otherwise an entry beside its own folds, or two sizes of one dataset, would be taken for one."""
    beside = {"digits": {}} | folds_of("x", ["digits_fold_0", "digits_fold_1"])
    assert [pool.name for pool in find_pools(beside)] == ["digits", "digits_fold_0"]
    twice = folds_of("x", ["digits_a0", "digits_a1"]) | folds_of("y", ["digits_b0", "digits_c1"])
    assert [pool.name for pool in find_pools(twice)] == ["digits_a", "digits"]
    alike = folds_of("x", ["digits_0", "digits_1"]) | folds_of("y", ["digits_2", "digits_3"])
    assert [pool.name for pool in find_pools(alike)] == ["digits_0", "digits_2"]


def test_a_cell_of_a_pool_says_its_fold_beside_its_seed():
    pools = [Pool("digits", {"digits_0": 0, "digits_1": 1}), Pool("streets", {"streets": 0})]
    cells = [Cell(name, "m", "dice", "none", 7) for name in ("digits_1", "streets")]
    named = [pooled_cell(cell, pools) for cell in cells]
    assert named == [("digits", "m", "dice", "none", "fold 1 seed 7"), cells[1]]
    assert pooled(dict(zip(cells, "ab", strict=True)), pools) == dict(zip(named, "ab", strict=True))
    assert [which_fold(cell.seed) for cell in named] == ["fold 1", ""]


def test_the_meta_of_a_pool_has_mean_frequencies_and_summed_counts():
    """The same number of train images in each fold, so a mean weighs them equally."""
    metas = {
        "a": {"kind": "k", "pixel_frequency": [0.75, 0.25], "image_frequency": [1.0, 0.5], "digest": "1"},
        "b": {"kind": "k", "pixel_frequency": [0.25, 0.75], "image_frequency": [1.0, 1.0], "digest": "2"},
    }
    for name, tested in (("a", 5), ("b", 6)):
        metas[name]["counts"] = {"train": 20, "val": 4, "test": tested}
    assert pooled_meta(Pool("ab", {"a": 0, "b": 1}), metas) == {
        "kind": "k",
        "pixel_frequency": [0.5, 0.5],
        "image_frequency": [1.0, 0.75],
        "counts": {"train": 40, "val": 8, "test": 11},
        "digest": "1, 2",
        "folds": 2,
    }


def test_the_meta_of_an_entry_alone_is_its_own():
    metas = {"a": {"pixel_frequency": [1.0], "counts": {"test": 3}}}
    assert pooled_meta(Pool("a", {"a": 0}), metas) == metas["a"]

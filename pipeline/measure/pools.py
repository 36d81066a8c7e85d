"""Cross-validation: the folds of a dataset, each an entry of params.yaml, are reported as one dataset.

Each fold has test images of its own, so all images are judged. A fold counts as one value, the mean over its seeds,
which share its images. Folds share most of their training images and so are more alike than independent repeats:
`Units.overlap` says by how much their spread must be widened.
"""

import itertools
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from pipeline.plumbing.cells import Cell

T = TypeVar("T")
FREQUENCIES = ("pixel_frequency", "image_frequency")


class Pool(NamedTuple):
    """One dataset of the report."""

    name: str
    entries: dict[str, int]
    """Keys of axes.dataset, each with the number of its fold; a single one that is no fold has 0."""

    @property
    def first(self) -> str:
        """The entry of which is shown what cannot be pooled."""
        return next(iter(self.entries))


def find_pools(metas: Mapping[str, Mapping[str, Any]]) -> list[Pool]:
    """The datasets of the report, given the meta.json of each entry; two folds or more of one dataset make a pool.

    It is named by what the names of its entries begin with, or by the first of them where that is another's name.
    """
    together: dict[str, dict[str, int]] = {}
    for name, meta in metas.items():
        together.setdefault(meta.get("fold_of", name), {})[name] = meta.get("fold", 0)
    names = [_common(list(entries)) for entries in together.values()]
    return [
        Pool(
            name if names.count(name) == 1 and (name in entries or name not in metas) else next(iter(entries)), entries
        )
        for name, entries in zip(names, together.values(), strict=True)
    ]


def _common(entries: list[str]) -> str:
    if len(entries) == 1:
        return entries[0]
    same = itertools.takewhile(lambda letters: len(set(letters)) == 1, zip(*entries, strict=False))
    beginning = "".join(letters[0] for letters in same)
    return beginning.rstrip("_").removesuffix("fold").rstrip("_") or entries[0]


def pooled_cell(cell: Cell, pools: list[Pool]) -> Cell:
    """The cell as the report names it: of a pool, its seed says the fold too, as `fold 2 seed 0`."""
    pool = next(each for each in pools if cell.dataset in each.entries)
    if len(pool.entries) == 1:
        return cell
    return cell._replace(dataset=pool.name, seed=f"fold {pool.entries[cell.dataset]} seed {cell.seed}")


def which_fold(seed: int | str) -> str:
    """What is before the seed in a name that `pooled_cell` gave it: `fold 2`; nothing of a cell without a fold."""
    return str(seed).rpartition(" seed ")[0]


def pooled(of_cells: Mapping[Cell, T], pools: list[Pool]) -> dict[Cell, T]:
    """What is known of cells, by their names in the report."""
    return {pooled_cell(cell, pools): each for cell, each in of_cells.items()}


def pooled_meta(pool: Pool, metas: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """meta.json of a pool: of its first fold, and where numbers differ between folds their mean or their sum."""
    folds = [metas[entry] for entry in pool.entries]
    if len(folds) == 1:
        return dict(folds[0])
    means = {
        key: [sum(each) / len(folds) for each in zip(*(fold[key] for fold in folds), strict=True)]
        for key in FREQUENCIES
    }
    counts = {split: sum(fold["counts"][split] for fold in folds) for split in folds[0]["counts"]}
    digests = ", ".join(fold["digest"] for fold in folds)
    return {**folds[0], **means, "counts": counts, "digest": digests, "folds": len(folds)}

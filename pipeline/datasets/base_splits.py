"""How samples are divided: in shares, drawn at random, or in the parts of a cross-validation."""

from collections import Counter
from collections.abc import Hashable, Sequence

from pipeline.plumbing.errors import UserError


def split_off(strata: Sequence[Hashable], share: float, seed: int) -> tuple[list[int], list[int]]:
    """Split indices 0..n-1 at random into (rest, part), so that `share` of each stratum goes to the part.

    Two indices are enough: a stratum of a single one, and the smallest strata where one side has fewer indices than
    there are strata, join the largest one. Both results are sorted and never empty.
    """
    from sklearn.model_selection import train_test_split

    n = len(strata)
    if n < 2:
        raise UserError(f"{n} samples cannot be split in two. Add samples, or make the other splits smaller.")
    count = min(max(round(n * share), 1), n - 1)
    sizes = Counter(strata).most_common()
    kept = {stratum for stratum, size in sizes[: min(count, n - count)] if size > 1}
    rest, part = train_test_split(range(n), test_size=count, random_state=seed, stratify=_merged(strata, kept))
    return sorted(rest), sorted(part)


def split_in_three(strata: Sequence[Hashable], val_share: float, test_share: float, seed: int) -> dict[str, list[int]]:
    """Indices 0..n-1 for train, val and test, in the same proportions in each stratum as far as its size allows."""
    rest, test = split_off(strata, test_share, seed)
    train, val = split_off([strata[i] for i in rest], val_share / (1 - test_share), seed)
    return {"train": [rest[i] for i in train], "val": [rest[i] for i in val], "test": test}


def partition(groups: Sequence[str | None], strata: Sequence[Hashable], folds: int) -> list[list[int]]:
    """Indices 0..n-1 in `folds` parts, each sorted and never empty.

    Where some samples share a group, each group stays in one part, and the parts are as equal in size as the groups
    allow (scikit-learn's GroupKFold). Else the parts are drawn at random, of equal size but for one sample, with their
    share of each stratum (StratifiedKFold); a stratum of fewer than `folds` samples joins the largest one.
    """
    from sklearn.model_selection import GroupKFold, StratifiedKFold

    units = [f"sample {at}" if group is None else f"group {group}" for at, group in enumerate(groups)]
    together = len(set(units)) < len(units)
    if folds > len(set(units)):
        whose = f"groups that stay together ({', '.join(sorted(set(units)))})" if together else "samples"
        raise UserError(f"folds: {folds} parts cannot be made of {len(set(units))} {whose}. Lower `folds`.")
    if together:
        parts = GroupKFold(folds).split(units, groups=units)
    else:
        kept = {stratum for stratum, size in Counter(strata).items() if size >= folds}
        parts = StratifiedKFold(folds, shuffle=True, random_state=0).split(units, _merged(strata, kept))
    return [sorted(part.tolist()) for _, part in parts]


def divided(parts: Sequence[Sequence[int]], fold: int) -> dict[str, list[int]]:
    """Indices for train, val and test: part `fold` is the test split, the next one, cyclically, val, the rest train."""
    val = (fold + 1) % len(parts)
    train = [index for at, part in enumerate(parts) if at not in (fold, val) for index in part]
    return {"train": sorted(train), "val": list(parts[val]), "test": list(parts[fold])}


def _merged(strata: Sequence[Hashable], kept: set[Hashable]) -> list[str]:
    """The strata as text; those that are not `kept` join the largest one."""
    largest = Counter(strata).most_common(1)[0][0]
    return [str(stratum if stratum in kept else largest) for stratum in strata]

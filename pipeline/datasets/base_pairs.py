"""How images, masks and the lines of split lists find each other: by their names."""

import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from pipeline.datasets.base_files import Pair
from pipeline.datasets.base_listing import SUFFIXES
from pipeline.plumbing.errors import UserError, listed
from pipeline.plumbing.messages import printable


def by_name(paths: Sequence[str], directory: Path) -> dict[str, list[str]]:
    """Paths of the files of each name: the path inside the directory, without suffix, in one Unicode form.

    macOS writes an é as two characters (NFD), other systems as one (NFC); both are the same name.
    """
    names: dict[str, list[str]] = {}
    for path in paths:
        names.setdefault(_composed(_name(path, directory)), []).append(path)
    return names


def pair_up(
    images: Mapping[str, list[str]], masks: Mapping[str, list[str]], directory: Path
) -> tuple[dict[str, Pair], list[str]]:
    """Each image of `directory` with its mask, and what is wrong with those that have none or several.

    Both come from `by_name`. Pairs are sorted by the name of the image as its file system writes it.
    """
    faults = [f"{name}: image without mask" for name in sorted(set(images) - set(masks))]
    faults += [f"{name}: mask without image" for name in sorted(set(masks) - set(images))]
    named = [*images.items(), *masks.items()]
    faults += [f"{name}: several files of this name: {listed(paths)}" for name, paths in named if len(paths) > 1]
    if faults:
        return {}, faults
    pairs = {name: Pair(_name(path, directory), Path(path), Path(masks[name][0])) for name, (path,) in images.items()}
    return dict(sorted(pairs.items(), key=lambda item: item[1].name)), []


def read_lists(lists: Mapping[str, str], images: Mapping[str, list[str]]) -> tuple[dict[str, list[str]], list[str]]:
    """The names in each split list as names of `images`, which `by_name` made, and what is wrong with them."""
    splits, faults = {}, []
    for split, path in lists.items():
        given = [_composed(line.strip()) for line in lines_of(path) if line.strip()]
        names = {line: _meant(line, images) for line in given}
        faults += [f"{path}: {line}: no such image" for line, name in names.items() if name not in images]
        splits[split] = [names[line] for line in given]
    mentions = Counter(name for names in splits.values() for name in names)
    for name in sorted(name for name, times in mentions.items() if times > 1):
        places = [lists[split] for split in splits for _ in range(splits[split].count(name))]
        faults.append(f"{name}: named more than once: in {listed(places)}")
    return splits, faults


def lines_of(path: str) -> list[str]:
    """The lines of a split list. Raises UserError for one that is not UTF-8."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:  # as in UTF-16
        raise UserError(f"{printable(path)}: is no text in UTF-8, as split lists must be. Save it in that encoding.")
    return text.splitlines()


def _name(path: str, directory: Path) -> str:
    return Path(path).relative_to(directory).with_suffix("").as_posix()


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _meant(line: str, images: Mapping[str, list[str]]) -> str:
    """The name that a line stands for: `00.png` is the file of this name, where there is one, before `00.png.png`."""
    short = _without_suffix(line)
    is_file = any(_composed(f"/{Path(path).as_posix()}").endswith(f"/{line}") for path in images.get(short, ()))
    return line if line in images and not is_file else short


def _without_suffix(name: str) -> str:
    return str(PurePosixPath(name).with_suffix("")) if PurePosixPath(name).suffix.lower() in SUFFIXES else name

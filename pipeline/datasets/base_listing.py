"""Which files below a directory are images, and which are not used and why."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.plumbing.errors import UserError, listed
from pipeline.plumbing.messages import printable

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
HIDDEN, OTHER, BROKEN, AGAIN = "hidden", "other suffixes", "broken links or no files", "folders seen before"


class Listing(NamedTuple):
    """The image files of a directory, and what else lies there."""

    directory: Path
    files: list[Path]
    unused: dict[str, list[Path]]  # why: what, seen from the directory

    def not_used(self) -> str:
        """`images: hidden (2: .a, .b), other suffixes (1: notes.txt)`; empty: everything is used."""
        groups = [(why, len(paths), listed(map(printable, sorted(paths)), 4)) for why, paths in self.unused.items()]
        said = ", ".join(f"{why} ({count}: {names})" for why, count, names in sorted(groups))
        return f"{printable(self.directory)}: {said}" if said else ""


def list_images(directory: Path) -> Listing:
    """All image files in a directory and its subdirectories, sorted; looks at names alone.

    Nothing whose path below the directory has a part that begins with a dot is used. Links are followed, but each
    folder is taken once: where it lies itself, before where a link leads to it, and never a folder that holds
    `directory`. Raises UserError for a directory that is missing, cannot be read or holds no image, and for names that
    are not UTF-8.
    """
    shown = printable(directory)
    if not directory.is_dir():
        raise UserError(f"{shown}: no such directory, seen from {printable(Path.cwd())}.")
    files, unused = [], {}
    for path, why in _walk(directory):
        if why:
            unused.setdefault(why, []).append(path.relative_to(directory))
        else:
            files.append(path)
    listing = Listing(directory, sorted(files, key=lambda path: path.parts), unused)
    if not files:
        there = f"What lies there is not used: {listing.not_used()}." if unused else "It is empty."
        raise UserError(f"{shown}: holds no image, {', '.join(sorted(SUFFIXES))}, nor do its subfolders. {there}")
    if odd := [path for path in listing.files if not is_utf8(path)]:
        raise UserError(
            f"{shown}: names of {len(odd)} files are not UTF-8, which tables and reports are written in: "
            f"{listed(map(printable, odd), 3)}. Rename them: `convmv -f latin1 -t utf8 -r --notest {shown}`."
        )
    return listing


def is_utf8(name: object) -> bool:
    """Whether a name of the file system can be written into a text file; Python reads any other byte as a surrogate."""
    try:
        str(name).encode()
    except UnicodeEncodeError:
        return False
    return True


def _walk(directory: Path) -> Iterator[tuple[Path, str]]:
    """Every file below a directory, and everything that is not used with the reason."""
    # A link to one of the parents would come back to `directory`.
    seen = {_identity(folder.stat()) for folder in directory.resolve().parents}
    folders, links = [directory], []
    while folders or links:
        folder = folders.pop() if folders else links.pop()
        identity, entries = _contents(folder)
        if identity in seen:
            yield folder, AGAIN
            continue
        seen.add(identity)
        for entry in entries:
            path, (is_folder, is_file) = folder / entry.name, _leads_to(entry)
            if entry.name.startswith("."):
                yield path, HIDDEN
            elif is_folder:
                (links if entry.is_symlink() else folders).append(path)
                links.sort(reverse=True)
            elif is_file:
                yield path, "" if path.suffix.lower() in SUFFIXES else OTHER
            else:
                yield path, BROKEN


def _contents(folder: Path) -> tuple[tuple[int, int], list[os.DirEntry[str]]]:
    """What a folder is, by whatever path, and what is in it."""
    try:
        with os.scandir(folder) as entries:
            return _identity(folder.stat()), list(entries)
    except OSError as error:
        raise UserError(f"{printable(folder)}: cannot be read ({error.strerror}).") from None


def _identity(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_dev, stat.st_ino


def _leads_to(entry: os.DirEntry[str]) -> tuple[bool, bool]:
    """Whether an entry is, or links to, a folder or a file."""
    try:
        return entry.is_dir(), entry.is_file()
    except OSError:  # a link to itself
        return False, False

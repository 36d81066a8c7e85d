"""Which files below a directory are images, and which are not used and why."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pipeline.plumbing.errors import UserError, listed

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
        return f"{self.directory}: {said}" if said else ""


def list_images(directory: Path) -> Listing:
    """All image files in a directory and its subdirectories, sorted; looks at names alone.

    Nothing whose path below the directory has a part that begins with a dot is used. Links are followed, but each
    folder is taken once: where it lies itself, before where a link leads to it, and never a folder that holds
    `directory`. Raises UserError for a directory that is missing, cannot be read or holds no image, and for names that
    are not UTF-8.
    """
    if not directory.is_dir():
        raise UserError(f"{directory}: no such directory, seen from {Path.cwd()}.")
    files, unused = [], {}
    for path, why in _walk(directory):
        if why:
            unused.setdefault(why, []).append(path.relative_to(directory))
        else:
            files.append(path)
    listing = Listing(directory, sorted(files), unused)
    if not files:
        there = f"What lies there is not used: {listing.not_used()}." if unused else "It is empty."
        raise UserError(f"{directory}: holds no image, {', '.join(sorted(SUFFIXES))}, nor do its subfolders. {there}")
    if odd := [path for path in listing.files if not _is_utf8(path)]:
        raise UserError(
            f"{directory}: names of {len(odd)} files are not UTF-8, which tables and reports are written in: "
            f"{listed(map(printable, odd), 3)}. Rename them: `convmv -f latin1 -t utf8 -r --notest {directory}`."
        )
    return listing


def printable(text: object) -> str:
    """A text, such as a path, for a message: a byte that is not UTF-8 as `\\xe9`, a control character as `\\x1b`."""
    decoded = str(text).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in decoded)


def _walk(directory: Path) -> Iterator[tuple[Path, str]]:
    """Every file below a directory, and everything that is not used with the reason."""
    own = directory.resolve()
    seen = {_identity(folder) for folder in own.parents}  # a link to one of them would come back to `directory`
    folders, links = [directory], []
    while folders or links:
        folder = folders.pop() if folders else links.pop()
        if _identity(folder) in seen:
            yield folder, AGAIN
            continue
        seen.add(_identity(folder))
        for entry in _entries(folder):
            path = folder / entry.name
            if entry.name.startswith("."):
                yield path, HIDDEN
            elif entry.is_dir():
                (links if entry.is_symlink() else folders).append(path)
                links.sort(reverse=True)
            elif not entry.is_file():
                yield path, BROKEN
            else:
                yield path, "" if path.suffix.lower() in SUFFIXES else OTHER


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise UserError(f"{printable(folder)}: cannot be read ({error.strerror}).") from None


def _identity(folder: Path) -> tuple[int, int]:
    """Of a folder, by whatever path."""
    stat = folder.stat()
    return stat.st_dev, stat.st_ino


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True

"""Removing files and directories: how much room they take, and how they go."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path


def sizes(paths: Iterable[Path]) -> list[int]:
    """Bytes of each file or directory; a file that has several names counts at the first."""
    seen: set[tuple[int, int]] = set()
    found = []
    for path in paths:
        files = [each.lstat() for each in (path, *path.rglob("*")) if each.is_symlink() or each.is_file()]
        found.append(sum(file.st_size for file in files if (file.st_dev, file.st_ino) not in seen))
        seen |= {(file.st_dev, file.st_ino) for file in files}
    return found


def in_words(size: int) -> str:
    """`1.4 MB` for 1_400_000."""
    scaled = float(size)
    for unit in ("bytes", "KB", "MB"):
        if scaled < 1000:
            return f"{scaled:.0f} {unit}" if unit == "bytes" else f"{scaled:.1f} {unit}"
        scaled /= 1000
    return f"{scaled:.1f} GB"


def remove(path: Path) -> None:
    """A directory gets another name first, so that it is never there in part."""
    if path.is_symlink() or not path.is_dir():
        return path.unlink()
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    path.rename(aside)
    shutil.rmtree(aside)

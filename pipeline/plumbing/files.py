"""Files that are either whole or absent: written under a temporary name, then renamed."""

import csv
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.plumbing.errors import UserError, disk_fault
from pipeline.plumbing.spreadsheets import harmless, original

CACHE = Path(".cache")  # what only saves time: nothing in it is a result, all of it may be deleted


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` to write to; it takes the name `path` only if the block succeeds.

    Works for a file and for a directory (create it in the block). An older `path` is replaced. A disk that is full or
    read-only, and a file that is too large for it, raise OSError with `path`, whatever the library that wrote has
    raised.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield part
        if path.is_dir() and part.exists():
            shutil.rmtree(path)
        os.replace(part, path)
    except Exception as error:
        fault = disk_fault(error)
        if fault and not isinstance(error, UserError):  # which has said it better
            raise OSError(fault, os.strerror(fault), str(path)) from error
        raise
    finally:
        with suppress(OSError):  # of a disk that is read-only; the first error is the one to be told
            if part.is_dir():
                shutil.rmtree(part)
            else:
                part.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Raise OSError with `path` now, and not after hours of work, if nothing can be written there."""
    above = next(each for each in path.absolute().parents if each.is_dir())
    if not os.access(above, os.W_OK):
        number = errno.EROFS if os.statvfs(above).f_flag & os.ST_RDONLY else errno.EACCES
        raise OSError(number, os.strerror(number), str(path))


def write_text(path: Path, text: str) -> None:
    with whole(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Indented, with sorted keys: equal content gives equal bytes, and git shows readable differences."""
    write_text(path, json.dumps(content, indent=2, sort_keys=True) + "\n")


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> None:
    """Rows of numbers and texts; `read_csv` gives the texts as they were, spreadsheets see no formula in them."""
    safe = [{key: harmless(value) for key, value in row.items()} for row in rows]
    # Before 3.13, Python quotes no carriage return, at which readers then end the row.
    returns = any("\r" in value for row in safe for value in row.values() if isinstance(value, str))
    quoting = csv.QUOTE_NONNUMERIC if returns else csv.QUOTE_MINIMAL
    with whole(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(columns), lineterminator="\n", quoting=quoting)
        writer.writeheader()
        writer.writerows(safe)


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a file by `write_csv`."""
    with path.open(newline="", encoding="utf-8") as file:
        return [{key: original(value) for key, value in row.items()} for row in csv.DictReader(file)]


def read_json(path: Path) -> Any:
    """The content of a file that an earlier stage wrote; its absence names the command that makes it."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: missing. An earlier stage writes it: run `dvc repro` or `make benchmark`.") from None


def digest(content: Any) -> str:
    """MD5 of a JSON-serialisable value. 32 characters: MLflow refuses a dataset digest above 36."""
    return hashlib.md5(json.dumps(content, sort_keys=True).encode(), usedforsecurity=False).hexdigest()


def file_digest(path: Path, algorithm: str = "md5") -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()

"""The received beginning of a file, beside the place of the whole one; a later attempt continues it."""

import errno
import os
import shutil
import stat
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, StringConstraints
from tqdm import tqdm

from pipeline.plumbing.archive import LARGEST
from pipeline.plumbing.files import write_json
from pipeline.plumbing.removal import remove

LEFT_FREE = 2**26  # bytes of the disk that a file of unknown size never takes


class Refused(Exception):
    """This address does not give the file."""


class Broken(Refused):
    """This attempt failed, and a further one may succeed."""


class _Note(BaseModel):
    """What stands beside a part. One without a validator, or with one that is no header of HTTP, is no note."""

    validator: Annotated[str, StringConstraints(pattern="^[!-~][ -~]*$")]


class Part:
    """The bytes and, in a note beside them, the validator of the version they belong to."""

    def __init__(self, final: Path) -> None:
        self.path = final.with_name(f"{final.name}.part")
        self.note = final.with_name(f"{final.name}.part.json")

    def received(self) -> tuple[int, str]:
        """Bytes and their validator. A part without validator counts as 0: it could be of any version.

        So does what no attempt can have left: a note cut short or damaged, and a part that is a link.
        """
        try:
            validator = _Note.model_validate_json(self.note.read_bytes()).validator
            state = self.path.lstat()
        except (OSError, ValueError):
            return 0, ""
        ours = stat.S_ISREG(state.st_mode) and state.st_nlink == 1
        return (state.st_size, validator) if ours else (0, "")

    def start_over(self, validator: str | None) -> None:
        self.discard()  # before the new note: old bytes must never stand beside a new validator
        self.path.touch(exist_ok=False)
        write_json(self.note, {"validator": validator})

    def append(self, chunks: Iterable[bytes], name: str, total: int | None) -> None:
        """Write what comes, as far as `total` bytes or, where nobody knows how many come, as far as LARGEST.

        Raises Refused or Broken for more and for less, and OSError where the disk has no room.
        """
        bar = partial(tqdm, desc=name, unit="B", unit_scale=True, unit_divisor=1024, disable=None)  # None: no terminal
        with open(self.path, "ab", opener=_open_no_link) as file, bar(total=total, initial=file.tell()) as progress:
            before = size = file.tell()
            self._check_room(total - size if total else 0)
            for chunk in chunks:
                size += len(chunk)
                if size > (total or LARGEST):
                    self.discard()
                    reason = f"sends more than {total} bytes" if total else f"gives no size and sends {too_much()}"
                    raise (Broken if before else Refused)(reason)  # what was continued may be of another version
                if not total:
                    self._check_room(LEFT_FREE)
                progress.update(file.write(chunk))
        if total not in (None, size):
            raise Broken(f"ended after {size} of {total} bytes")

    def _check_room(self, needed: int) -> None:
        free = shutil.disk_usage(self.path.parent).free
        if needed > free:
            raise OSError(errno.ENOSPC, f"{needed} bytes are needed on the disk and {free} are free")

    def discard(self) -> None:
        for path in (self.path, self.note):
            if os.path.lexists(path):
                remove(path)


def too_much() -> str:
    return f"more than {LARGEST} bytes; state its `size` if it is that large"


def _open_no_link(path: str, flags: int) -> int:
    """Open a file here, never one that a link in its place leads to."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o666)

"""The one exception for mistakes a user can mend, what its messages are made of, and how a stage ends on it.

Exception
└── UserError      bad params, missing files, a broken download: one clear sentence, exit code 1
"""

import errno
import gc
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from pipeline.plumbing.messages import printable
from pipeline.plumbing.spelling import nearest

T = TypeVar("T")
AGAIN = "then run the same again: what was finished is kept."
CURES = {
    errno.ENOSPC: f"the disk is full. Make room, as `make clean` does, {AGAIN}",
    errno.EROFS: "this file system is read-only. Mount it for writing, or work in a copy elsewhere.",
    errno.EFBIG: f"larger than a file may be here. Raise the limit, as `ulimit -f unlimited` does, {AGAIN}",
    errno.EACCES: f"permission denied. Give yourself the right to read and write there, {AGAIN}",
}
OUT_OF_MEMORY = f"out of memory. Run fewer cells at a time (`-j 1`) or make fit.batch_size smaller, {AGAIN}"


class UserError(Exception):
    """A mistake outside the code. Its message names the file and key, what is allowed, and what to do."""


class Mistakes:
    """Gathers mistakes that have nothing to do with each other, so that one round of corrections is enough."""

    def __init__(self) -> None:
        self._sentences: list[str] = []

    def note(self, *sentences: str) -> None:
        """Keep each of them once."""
        self._sentences = list(dict.fromkeys([*self._sentences, *sentences]))

    def attempt(self, read: Callable[..., T], *arguments: Any) -> T | None:
        """What `read` returns; where it raises a UserError its sentences are noted, and None is returned."""
        try:
            return read(*arguments)
        except UserError as error:
            return self.note(*str(error).splitlines())

    def raise_noted(self) -> None:
        """Raises a UserError with a line per mistake if there was any."""
        if self._sentences:
            raise UserError(listed(self._sentences, separator="\n"))


def disk_fault(error: BaseException | None) -> int | None:
    """ENOSPC, EROFS or EFBIG if an error, or one that it came from, says that a disk or a quota is used up, that the
    disk is read-only or that a file would be too large; else None.

    Libraries that write for themselves pass on the words of the system; numpy says how much of an array it wrote.
    """
    words = {os.strerror(number): number for number in (errno.ENOSPC, errno.EROFS, errno.EFBIG)}
    words |= {os.strerror(errno.EDQUOT): errno.ENOSPC, " requested and ": errno.ENOSPC}
    while error is not None:
        for said, number in words.items():
            if said in str(error):
                return number
        error = error.__context__
    return None


def did_you_mean(word: str, known: Iterable[str], shown: Iterable[str] | None = None) -> str:
    """`Did you mean 'dice'? Known: dice, focal.`: the tail of a message about an unknown name.

    The nearest is sought among all that is `known`; where that is too much to print, `shown` is printed.
    """
    known = sorted(known)
    if not known:
        return "There are none."
    near = nearest(word, known)
    hint = f"Did you mean '{near}'? " if near else ""
    return f"{hint}Known: {', '.join(known if shown is None else sorted(shown))}."


def listed(items: Iterable[Any], most: int = 50, separator: str = ", ") -> str:
    """`a, b, c, and 7 more`: names for a message, as many as a person reads."""
    items = list(items)
    rest = [f"and {len(items) - most} more"] if len(items) > most else []
    return separator.join([*map(str, items[:most]), *rest])


def run_stage(stage: Callable[[], None]) -> None:
    """Run a stage's `main`; a UserError becomes one line on stderr and exit code 1, without a traceback.

    So does what a disk refuses, which `pipeline.plumbing.files.whole` names, and a lack of memory.
    """
    if sys.stdout:
        sys.stdout.reconfigure(errors="replace")  # a terminal of ASCII gets a `?` for what it cannot show
    try:
        stage()
    except UserError as error:
        print("error:", printable(str(error), but="\n"), file=sys.stderr)  # names of files stand in it
        sys.exit(1)
    except OSError as error:
        if error.errno not in CURES:
            raise
        print(f"error: {error.filename or os.getcwd()}: {CURES[error.errno]}", file=sys.stderr)
        sys.exit(1)
    except (MemoryError, RuntimeError) as error:
        if not _memory_is_full(error):
            raise
        print(f"error: {OUT_OF_MEMORY}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    finally:
        gc.freeze()  # or Python looks through all that libraries have made before it ends, which takes 2 s with torch


def _memory_is_full(error: Exception) -> bool:
    """PyTorch has an error of its own for a GPU, and none for the CPU."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )

"""Processes that end with the one that started them, however it ended."""

import contextlib
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def die_with_parent(parent: int | None = None) -> None:
    """Let the kernel kill this process when the thread that started it ends; on Linux only, elsewhere do nothing.

    Call it in the new process. `parent` is the number of the process that started it, which may have died before this
    call: give it where it is known. Without it the process ends if its parent is one that has only taken it over.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if _taken_over() if parent is None else os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _taken_over() -> bool:
    """Whether the parent is of another session: who starts a process is of the same one, unless it begins its own."""
    own, parent = os.getsid(0), os.getppid()
    with contextlib.suppress(OSError):  # it has ended just now, or may not be asked
        return own != os.getpid() and os.getsid(parent) != own
    return False


def runs(process: int) -> bool:
    """Whether there is a process of that number on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        pass
    return True

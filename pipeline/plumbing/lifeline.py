"""Processes that end with the one that started them, however it ended."""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # of linux/prctl.h


def die_with_parent(parent: int | None = None) -> None:
    """Let the kernel kill this process when the thread that started it ends; on Linux only, elsewhere do nothing.

    Call it in the new process. `parent` is the process that must still be there, by default whatever the parent is now:
    give it where it is known, since it may have died before this call.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def runs(process: int) -> bool:
    """Whether there is a process of that number on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        pass
    return True

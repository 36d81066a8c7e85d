"""What the processes on a machine share: its cores, its GPUs, and things to be done by one at a time."""

import fcntl
import os
import shlex
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.files import CACHE

LONGEST_FOLDER = 70  # bytes of a path; the address of a socket in it has at most 107
IS_ONE_GPU = """
import ctypes, sys
cuda, number = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
sys.exit(cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(number)) != 0 or number.value != 1)
"""


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@cache
def is_gpu(name: str) -> bool:
    """Whether CUDA finds one GPU by this name, in any form that CUDA_VISIBLE_DEVICES takes.

    The driver is asked, by a process of its own: what it sees is settled once for a process.
    """
    command, seen = [sys.executable, "-IS", "-c", IS_ONE_GPU], {"CUDA_VISIBLE_DEVICES": name}
    return not subprocess.run(command, env={**os.environ, **seen}, stderr=subprocess.DEVNULL).returncode


def folder_of_sockets() -> str:
    """The folder for temporary files, or `/tmp` where its name is too long for the address of a socket in it."""
    folder = tempfile.gettempdir()
    return folder if len(os.fsencode(folder)) <= LONGEST_FOLDER else "/tmp"


@contextmanager
def one_at_a_time(name: str) -> Iterator[None]:
    """Wait until no other process or thread in this directory is in a block of that name."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def only_one(name: str) -> Iterator[None]:
    """Raise UserError, which names the other, while another process in this directory is in a block of that name.

    One that was killed is in no block. Where files cannot be locked, as on some network file systems, none is refused.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("a+", encoding="utf-8") as file:
        file.seek(0)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = file.read() or "another process is at work here"  # which has not said yet who it is
            raise UserError(f"{other}. Wait for it to end, or end it.") from None
        except OSError:
            pass
        file.truncate(0)
        command = f"{shlex.join(sys.orig_argv)}, on {socket.gethostname()}"
        print(f"process {os.getpid()} is at work here: {command}", end="", file=file, flush=True)
        yield

"""Processes that end before the one that started them, whatever happens to it."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.messages import without_secrets

PATIENCE = 15.0  # seconds that processes have to end by themselves


def dvc_command(*arguments: str) -> list[str]:
    """`dvc ARGUMENTS` as a process that ends with this one; it waits for DVC's lock as long as it takes."""
    return [sys.executable, "-m", "pipeline.running.dvc", str(os.getpid()), "--wait-for-lock", *arguments]


def environment() -> dict[str, str]:
    """That of this process, with the `python` that stages are to be run by."""
    return {**os.environ, "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])}


def start(command: list[str], environment: Mapping[str, str], output: IO[str] | int | None = None) -> subprocess.Popen:
    """Start a group of processes; what they print goes to `output`, by default where this process prints to.

    Ctrl-C does not reach a group of its own: this process decides in which order the others end.
    """
    return subprocess.Popen(
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT if output else None,
        start_new_session=True,
    )


def end(process: subprocess.Popen) -> None:
    """End a group as Ctrl-C would, so that DVC lets go of what it has locked; kill what then still runs."""
    _signal(process, signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.wait(PATIENCE)
    _signal(process, signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def dvc(*arguments: str) -> None:
    """Run a command of DVC. Raises UserError if it fails, after DVC has printed why."""
    dvc_at_once(arguments)


def dvc_at_once(*commands: Sequence[str]) -> None:
    """Run commands of DVC side by side, all to their end. Raises UserError if one fails, after DVC has printed why."""
    processes = [start(dvc_command(*command), environment()) for command in commands]
    try:
        codes = [process.wait() for process in processes]
    except BaseException:
        for process in processes:
            end(process)
        raise
    for command, code in zip(commands, codes, strict=True):
        if code:
            raise UserError(f"`dvc {' '.join(command)}` failed; its reason stands above.")


def dvc_says(*arguments: str) -> str:
    """What a command of DVC prints. Raises UserError with DVC's reason if it fails."""
    found = subprocess.run(dvc_command(*arguments), env=environment(), capture_output=True, text=True)
    if found.returncode:
        raise UserError(f"`dvc {' '.join(arguments)}` failed: {without_secrets(found.stderr.strip())}")
    return found.stdout

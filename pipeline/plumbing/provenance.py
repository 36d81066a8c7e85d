"""Where a result comes from: time, machine, versions, commit."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from pipeline.plumbing.fingerprints import libraries
from pipeline.plumbing.lazy import torch
from pipeline.plumbing.libraries import versions

if TYPE_CHECKING:
    from torch import device as Device


def provenance(device: Device, training: dict[str, Any]) -> dict[str, Any]:
    """Where a training comes from and what it cost: what it recorded itself, and where it ran."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        **training,
        "ended": time.time(),
        "peak_memory": _peak_memory(device),
        "device": f"{device.type}: {name}",
        "threads": torch.get_num_threads(),
        **_environment(),
    }


def provenance_without_training() -> dict[str, Any]:
    """The same of what trained nothing, which is on no device."""
    now, empty = time.time(), {"validated": [], "resumed_at": [], "seconds": 0.0}
    computed = dict.fromkeys(("seconds_per_iteration", "loss_share", "peak_memory", "device", "threads"))
    return {"started": now, "ended": now, **empty, **computed, **_environment()}


def _peak_memory(device: Device) -> int:
    """Bytes: what tensors took on a GPU; on a CPU the whole process with its libraries."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _environment() -> dict[str, Any]:
    computing = versions(libraries(["pipeline.train"]))
    return {"python": platform.python_version(), "versions": computing, "git_commit": _git_commit()}


def _git_commit() -> str:
    """The commit that is checked out, marked if code or params differ from it; empty outside a repository.

    Results are tracked too and change while the pipeline runs, so they do not count.
    """
    what = ("pipeline", "dvc.yaml", "params.yaml", "requirements.lock")
    try:
        commit, changes = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--untracked-files=no", "--", *what)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"{commit}-dirty" if changes else commit


def _git(*command: str) -> str:
    return subprocess.run(["git", *command], capture_output=True, text=True, check=True).stdout.strip()

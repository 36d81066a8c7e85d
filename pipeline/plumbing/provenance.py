"""Where a result comes from: time, machine, versions, commit."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import time
from typing import TYPE_CHECKING, Any

from pipeline.plumbing.lazy import torch

if TYPE_CHECKING:
    from torch import device as Device

PACKAGES = ("torch", "segmentation-models-pytorch", "timm", "albumentations", "numpy")


def versions() -> dict[str, str]:
    """Versions of the packages that can change a number, without the mark of the build, such as +cpu."""
    return {package: importlib.metadata.version(package).partition("+")[0] for package in PACKAGES}


def provenance(device: Device, images: int, started: float, times: list[float]) -> dict[str, Any]:
    """Where a training comes from and what it cost: it saw `images`, and was validated at the `times`."""
    seconds = time.time() - started
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "started": started,
        "validated": times,
        "seconds": seconds,
        "images_per_second": images / seconds,
        "device": f"{device.type}: {name}",
        "threads": torch.get_num_threads(),
        **_environment(),
    }


def provenance_without_training(started: float) -> dict[str, Any]:
    """The same of what trained nothing, which is on no device."""
    computed = dict.fromkeys(("images_per_second", "device", "threads"))
    return {"started": started, "validated": [], "seconds": 0.0, **computed, **_environment()}


def _environment() -> dict[str, Any]:
    return {"python": platform.python_version(), "versions": versions(), "git_commit": _git_commit()}


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

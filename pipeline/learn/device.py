"""Where to compute. Environment variables, not parameters: they must not change what a result depends on."""

import os

import torch

from pipeline.plumbing.errors import UserError


def chosen_device() -> torch.device:
    """`BENCHMARK_DEVICE` (cpu, cuda, cuda:1), by default the first GPU where there is one."""
    name = os.environ.get("BENCHMARK_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as reason:
        first_line = str(reason).splitlines()[0]
        raise UserError(f"BENCHMARK_DEVICE={name}: not usable here ({first_line}). Use cpu or cuda.") from None
    return device


def loader_workers(device: torch.device, distances: bool = False) -> int:
    """`BENCHMARK_WORKERS`, by default none on the CPU, where they would compete with training.

    One if `distances` are computed too, which takes longer than augmentation. For a GPU as many as the threads of this
    process, which `pipeline.run` divides between cells, at most 8.
    """
    name = os.environ.get("BENCHMARK_WORKERS")
    if name is None:
        return int(distances) if device.type == "cpu" else min(8, torch.get_num_threads())
    if not name.isdecimal():
        raise UserError(f"BENCHMARK_WORKERS={name}: must be a number of processes, 0 or more.")
    return int(name)

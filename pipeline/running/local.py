"""Stages on this machine: several at once, each in a slot with its share of the cores or of a GPU."""

import os
import queue
import runpy
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipeline.plumbing.errors import UserError
from pipeline.plumbing.machine import cores, is_gpu
from pipeline.running.process import environment
from pipeline.running.stage import Place, Result, run

PER_GPU = 3  # cells that share a GPU, unless the user says otherwise: more would fill its memory


def slots(jobs: int | None = None, gpus: str | None = None, per_gpu: int | None = None) -> list[dict[str, str]]:
    """What each slot adds to the environment of its stages. Raises UserError if the options make no sense.

    `gpus` are names as CUDA_VISIBLE_DEVICES takes them, with commas between. Without any option there are as many slots
    as cores, or a few on the GPU if there is one.
    """
    if gpus is not None:
        return _gpu_slots(gpus, PER_GPU if per_gpu is None else per_gpu)
    if per_gpu is not None:
        raise UserError("--per-gpu: needs --gpus, as in `--gpus 0,1 --per-gpu 3`.")
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs {jobs}: must be 1 or more.")
    on_gpu = Path("/dev/nvidia0").exists() and os.environ.get("BENCHMARK_DEVICE") != "cpu"
    jobs = jobs or (PER_GPU if on_gpu else cores())
    return [_threads(jobs)] * jobs


def _gpu_slots(gpus: str, per_gpu: int) -> list[dict[str, str]]:
    names = [name.strip() for name in gpus.split(",")]
    if not all(names) or len(set(names)) < len(names):
        raise UserError(f"--gpus {gpus}: must name different GPUs with commas between, as in `--gpus 0,1`.")
    if per_gpu < 1:
        raise UserError(f"--per-gpu {per_gpu}: must be 1 or more.")
    if (device := os.environ.get("BENCHMARK_DEVICE") or "cuda") != "cuda":
        raise UserError(f"--gpus {gpus}: BENCHMARK_DEVICE={device} says otherwise; unset one of the two.")
    _check_gpus(gpus, names)
    # A stage that then finds no GPU is to fail, not to compute on the CPU.
    common = {"BENCHMARK_DEVICE": "cuda", **_threads(len(names) * per_gpu)}
    # In turn, so that a few cells spread over all GPUs.
    return [{"CUDA_VISIBLE_DEVICES": name, **common} for _ in range(per_gpu) for name in names]


def _check_gpus(gpus: str, names: list[str]) -> None:
    """Raise UserError unless torch could compute on each of them. To import torch would take seconds."""
    built = runpy.run_path(str(Path(find_spec("torch").origin).with_name("version.py")))
    missing = [name for name in names if not built["hip"] and not is_gpu(name)]  # only CUDA is asked
    if missing:
        raise UserError(
            f"--gpus {gpus}: CUDA finds no GPU {missing[0]} here. `nvidia-smi -L` lists what there is; without --gpus "
            "cells are trained on a GPU if there is one, else on the CPU."
        )
    if not (built["hip"] or built["cuda"]):
        raise UserError(
            f"--gpus {gpus}: torch {built['__version__']} is built for the CPU alone. Install a build for CUDA, or "
            "leave --gpus out."
        )


def _threads(slots: int) -> dict[str, str]:
    return {"OMP_NUM_THREADS": str(max(1, cores() // slots))}


class Local:
    """A crew: it runs stages, and tells how they go on. This one has a thread for each slot."""

    def __init__(self, places: list[dict[str, str]], common: dict[str, str], pull: bool) -> None:
        """`common` is the environment that all slots share."""
        self.pull = pull
        self._free: queue.SimpleQueue[dict[str, str]] = queue.SimpleQueue()
        for place in places:
            self._free.put(common | place)
        self._told: queue.SimpleQueue[tuple[str, dict[str, Any]]] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._pool = ThreadPoolExecutor(len(places))

    def submit(self, stage: str) -> Future[Result]:
        return self._pool.submit(self._run, stage)

    def told(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What stages have told since the last call."""
        while not self._told.empty():
            yield self._told.get()

    def close(self, at_once: bool) -> None:
        """Wait for what runs, or end it `at_once`, and start nothing more."""
        if at_once:
            self._ending.set()
        self._pool.shutdown(cancel_futures=at_once)

    def _run(self, stage: str) -> Result:
        slot = self._free.get()
        try:
            return run(stage, Place(slot, partial(self._tell, stage), self._ending.is_set), self.pull)
        finally:
            self._free.put(slot)

    def _tell(self, stage: str, line: dict[str, Any]) -> None:
        self._told.put((stage, line))


@contextmanager
def local_crew(places: list[dict[str, str]], pull: bool, extra: dict[str, str]) -> Iterator[Local]:
    """A crew on this machine; `extra` is added to the environment of its stages."""
    crew = Local(places, environment() | extra, pull)
    try:
        yield crew
    except BaseException:
        crew.close(at_once=True)
        raise
    crew.close(at_once=False)

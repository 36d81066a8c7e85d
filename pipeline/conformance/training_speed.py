"""`make bench-train`: how many images a second the training loop takes, beside a bare step and beside what a user would
write, and how many cells an hour that makes; `--write` puts it into docs/performance.md.

Reads params.yaml by its plan and the arrays in data/prepared, so run `dvc repro prepare` first. `BENCHMARK_DEVICE`
chooses the device, `BENCHMARK_WORKERS` the loader processes.
"""

import argparse
import functools
import platform
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pipeline.conformance.peer import version
from pipeline.conformance.sections import write_section
from pipeline.conformance.speed import hardware
from pipeline.conformance.training import (
    FIRST,
    Laps,
    Training,
    bare_steps,
    clock,
    example,
    has_example,
    loop_over_one_batch,
    only_batches,
    task_of,
    wall_clock,
    whole_loop,
)
from pipeline.conformance.training_together import Throughput, together
from pipeline.conformance.turns import Ratio, by_turns, digits, ratio
from pipeline.learn.device import chosen_device
from pipeline.learn.training import Task
from pipeline.plumbing.errors import UserError, run_stage
from pipeline.plumbing.machine import cores
from pipeline.plumbing.plan import read_plan

PAGE = Path("docs/performance.md")
SECONDS = (
    1.0  # of a run, nearly, after its first iterations: the shorter, the nearer it is to those it is compared with
)
SECONDS_TOGETHER = 10.0  # the same of trainings at once
TARGET = 0.95
TARGET_EXAMPLE = 3.0  # on a GPU


class Speed(NamedTuple):
    """One process on one device."""

    rounds: int
    batch_size: int
    threads: int
    bare: float
    """Images a second of bare steps; `one_batch` and `whole` are shares of it."""
    one_batch: Ratio
    whole: Ratio
    making: float
    """Milliseconds an image that making batches takes by itself."""
    example: Ratio | None
    """How many times as fast the whole loop is; None where Lightning is not installed."""


def main() -> None:
    options, device = arguments(), chosen_device()
    speeds, throughputs = {}, {}
    for pair in options.pairs or pairs():
        dataset, _, model = pair.partition("-")
        for threads in options.threads or ([1] if device.type == "cpu" else [torch.get_num_threads()]):
            torch.set_num_threads(threads)
            iterations = iterations_for(dataset, model, device, SECONDS)
            speeds[pair, threads] = measure(task_of(dataset, model, iterations), device)
            print(f"{pair}: {_cells(speeds[pair, threads], device)}", flush=True)
        processes = options.processes or default_processes(device)
        iterations = iterations_for(dataset, model, device, SECONDS_TOGETHER)
        throughputs[pair] = together(dataset, model, iterations, processes, device)
        print(f"{pair}: {_cells_together(throughputs[pair])}", flush=True)
    if options.write:
        write_section(PAGE, f"bench-train {device.type}", page(speeds, throughputs, device))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split(";")[0])
    parser.add_argument("pairs", nargs="*", metavar="DATASET-MODEL", help="keys of params.yaml; by default all pairs")
    parser.add_argument("--threads", nargs="+", type=int, metavar="N", help="of the process; on a CPU 1 by default")
    parser.add_argument("--processes", type=int, metavar="N", help="at once; by default one per core, or 3 on a GPU")
    parser.add_argument("--write", action="store_true", help=f"write the tables into {PAGE}")
    found = parser.parse_args()
    if unknown := sorted(set(found.pairs) - set(pairs())):
        raise UserError(f"{unknown[0]}: no DATASET-MODEL of params.yaml, which has {', '.join(pairs())}.")
    return found


def pairs() -> list[str]:
    axes = read_plan("report")["axes"]
    return [f"{dataset}-{model}" for dataset in axes["dataset"] for model in axes["model"]]


def default_processes(device: torch.device) -> int:
    return 3 if device.type == "cuda" else cores()


# --- one process ---


def measure(task: Task, device: torch.device) -> Speed:
    """Speeds by turns."""
    trainings = [bare_steps, loop_over_one_batch, whole_loop, only_batches, *([example] if has_example() else [])]

    def seconds(training: Training) -> float:
        laps = Laps(task.fit.iterations, clock(device))
        training(task, device, laps)
        return laps.seconds_per_iteration / task.fit.batch_size

    times = by_turns([functools.partial(seconds, training) for training in trainings])
    bare, one_batch, whole, making, *peer = times
    return Speed(
        times.shape[1],
        task.fit.batch_size,
        torch.get_num_threads(),
        bare=1 / float(np.median(bare)),
        one_batch=ratio(bare, one_batch),
        whole=ratio(bare, whole),
        making=1000 * float(np.median(making)),
        example=ratio(peer[0], whole) if peer else None,
    )


def iterations_for(dataset: str, model: str, device: torch.device, seconds: float) -> int:
    """As many as take so many seconds, but two at least, and before them those in which memory is allocated."""
    trial = task_of(dataset, model, FIRST + 2)
    laps = Laps(trial.fit.iterations, wall_clock(device))
    bare_steps(trial, device, laps)
    return FIRST + max(round(seconds / laps.seconds_per_iteration), 2)


# --- the tables ---

HEAD = """\
Made by `make bench-train` on {made}. Images a second of one process: medians of {rounds} runs by turns, and of ratios
the quartiles in brackets. {clock}

- bare: forward, cross-entropy, backward and optimizer on one batch that lies on the device, over and over;
- one batch: the loop of this project over a batch that is ready, as a share of bare;
- whole: the loop as `train` runs it, which makes every batch, as a share of bare. Target: {target:g};
- making: what it takes to read and augment an image and to put it into its batch, without training;
- example: how many times as fast the whole loop is as what a user would write from the examples of
  segmentation_models_pytorch, with the Trainer of Lightning (`pipeline/conformance/training_example.txt`). Network,
  loss, augmentation, batch size, precision, threads and loader processes are the same; it reads PNG files of the
  prepared size. Target on a GPU: {target_example:g}.

| data | network | batch | threads | bare | one batch | whole | making | example | target |
|---|---|---|---|---|---|---|---|---|---|
"""
HEAD_TOGETHER = """
Trainings at once, each in a process of its own, as `pipeline.run` starts them, with the threads that it gives to each.
A cell has the iterations and validations of its `fit`; starting its process is not in it.

| data | network | processes | threads of each | images a second | a cell: steps | validations | cells an hour |
|---|---|---|---|---|---|---|---|
"""
CLOCKS = {
    "cpu": "With one thread it is processor time, with more it is wall time.",
    "cuda": "It is wall time, until the device has done all that was queued.",
}


def page(speeds: dict[tuple[str, int], Speed], throughputs: dict[str, Throughput], device: torch.device) -> str:
    """Two tables, and above each what it was made with."""
    libraries = ("torch", "segmentation_models_pytorch", *(["lightning"] if has_example() else []))
    versions = ", ".join(f"{library} {version(library)}" for library in libraries)
    head = HEAD.format(
        made=f"{hardware(device)}, Python {platform.python_version()}, with {versions}",
        rounds=" or ".join(sorted({str(each.rounds) for each in speeds.values()})),
        clock=CLOCKS[device.type],
        target=TARGET,
        target_example=TARGET_EXAMPLE,
    )
    rows = [_row(pair, _cells(speed, device)) for (pair, _), speed in speeds.items()]
    return head + "".join(
        [*rows, HEAD_TOGETHER, *(_row(pair, _cells_together(each)) for pair, each in throughputs.items())]
    )


def _row(pair: str, cells: str) -> str:
    return f"| {pair.replace('-', ' | ')} | {cells} |\n"


def _cells(speed: Speed, device: torch.device) -> str:
    slow = speed.whole.median < TARGET
    if device.type == "cuda" and speed.example:
        slow |= speed.example.median < TARGET_EXAMPLE
    columns = [
        str(speed.batch_size),
        str(speed.threads),
        digits(speed.bare),
        str(speed.one_batch),
        str(speed.whole),
    ]
    columns += [f"{speed.making:.2g} ms", str(speed.example) if speed.example else "not installed"]
    return " | ".join([*columns, "missed" if slow else "met"])


def _cells_together(each: Throughput) -> str:
    seconds = [f"{each.seconds_of_steps:.3g} s", f"{each.seconds_of_validations:.3g} s"]
    columns = [str(each.processes), str(each.threads), digits(each.images_per_second), *seconds]
    return " | ".join([*columns, digits(each.cells_per_hour)])


if __name__ == "__main__":
    run_stage(main)

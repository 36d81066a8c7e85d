"""`make bench-evaluate`: how fast `evaluate` is beside bare inference with the same model, for a trained cell of each
dataset and network in models/; `--write` puts it into docs/performance.md. `BENCHMARK_DEVICE` chooses the device.
"""

import argparse
import functools
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from pipeline.conformance.peer import version
from pipeline.conformance.sections import write_section
from pipeline.conformance.speed import hardware
from pipeline.conformance.training import clock
from pipeline.conformance.turns import Ratio, by_turns, digits, ratio
from pipeline.evaluate import Judgeable, find
from pipeline.learn import model as unet
from pipeline.learn.device import chosen_device
from pipeline.learn.judging import Judge, JudgedSplit
from pipeline.learn.predict import on_device, predict
from pipeline.learn.samples import open_split
from pipeline.plumbing.errors import UserError, run_stage
from pipeline.plumbing.plan import MODELS, PREPARED, read_plan

PAGE = Path("docs/performance.md")
TARGET = 0.9


class Speed(NamedTuple):
    """Of judging one cell; images are those of the validation split and of the test split."""

    rounds: int
    images: int
    batch_size: int
    bare: float
    """Images a second of bare inference; the others are shares of it."""
    prediction: Ratio
    first: Ratio
    later: Ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split(";")[0])
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE}")
    options, settings, device = parser.parse_args(), read_plan("evaluate"), chosen_device()
    if device.type == "cpu":
        torch.set_num_threads(1)
    speeds = {}
    for pair, cell in one_of_each(find()).items():
        speeds[pair] = measure(cell, settings, device)
        print(f"{pair}: {_cells(speeds[pair])}", flush=True)
    if options.write:
        write_section(PAGE, f"bench-evaluate {device.type}", page(speeds, device))


def one_of_each(found: list[Judgeable]) -> dict[str, Judgeable]:
    """The first cell of each dataset and network. Raises UserError where none is trained."""
    cells = {f"{each.cell.dataset} | {each.cell.model}": each for each in reversed(found)}
    if not cells:
        raise UserError(f"{MODELS}: holds no trained cell. `dvc repro train` makes them.")
    return dict(sorted(cells.items()))


def measure(cell: Judgeable, settings: dict[str, Any], device: torch.device) -> Speed:
    """Speeds by turns."""
    prepared, batch_size = PREPARED / cell.cell.dataset, settings["batch_size"]
    model = unet.load(MODELS / cell.weights / "model", cell.facts["mean"], cell.facts["std"]).to(device)
    known = JudgedSplit(prepared, settings["size"])
    splits = [open_split(prepared, split)[0] for split in ("val", "test")]

    def judge(split: JudgedSplit) -> None:
        Judge(model, split, settings, device)(cell.strategy)

    judge(known)
    runs = [
        lambda: infer(model, splits, batch_size, device),
        lambda: predict_all(model, splits, batch_size, device),
        lambda: judge(JudgedSplit(prepared, settings["size"])),
        lambda: judge(known),
    ]
    times = by_turns([functools.partial(_seconds, run, device) for run in runs])
    bare, images = times[0], sum(map(len, splits))
    shares = (ratio(bare, each) for each in times[1:])
    return Speed(times.shape[1], images, batch_size, images / float(np.median(bare)), *shares)


def infer(model: nn.Module, splits: list[np.ndarray], batch_size: int, device: torch.device) -> None:
    """Forward passes and argmax over batches of a size that lie on the device: what the hardware can do."""
    batch = on_device(splits[-1][:batch_size], device).permute(0, 3, 1, 2)
    with torch.inference_mode():
        for images in splits:
            for start in range(0, len(images), batch_size):
                model(batch[: len(images) - start]).argmax(dim=1)


def predict_all(model: nn.Module, splits: list[np.ndarray], batch_size: int, device: torch.device) -> None:
    """The same of the images themselves, as `evaluate` predicts them."""
    for images in splits:
        for _ in predict(model, images, batch_size, device):
            pass


def _seconds(run: Callable[[], None], device: torch.device) -> float:
    now = clock(device)
    started = now()
    run()
    return now() - started


# --- the table ---

HEAD = """\
Made by `make bench-evaluate` on {made}. Images a second, those of the validation split and of the test split together:
medians of {rounds} runs by turns, and of ratios the quartiles in brackets. On a CPU it is the processor time of all
threads.

- bare: forward passes and argmax over one batch that lies on the device;
- prediction: the same of the images themselves, as `evaluate` predicts them, as a share of bare. Target: {target:g};
- first cell, later cell: all that `evaluate` does for a cell, as a share of bare: it fits a temperature, and counts
  pixels, probabilities, surfaces, skeletons and objects of each image and class. Skeletons of the true masks are found
  with the first cell of a dataset and kept for the others.

| data | network | images | batch | bare | prediction | first cell | later cell | target |
|---|---|---|---|---|---|---|---|---|
"""


def page(speeds: dict[str, Speed], device: torch.device) -> str:
    """One table, and above it what it was made with."""
    head = HEAD.format(
        made=f"{hardware(device)}, Python {platform.python_version()}, with torch {version('torch')}",
        rounds=" or ".join(sorted({str(each.rounds) for each in speeds.values()})),
        target=TARGET,
    )
    return head + "".join(f"| {pair} | {_cells(speed)} |\n" for pair, speed in speeds.items())


def _cells(speed: Speed) -> str:
    verdict = "missed" if speed.prediction.median < TARGET else "met"
    counts = (str(speed.images), str(speed.batch_size), digits(speed.bare))
    return " | ".join([*counts, *map(str, (speed.prediction, speed.first, speed.later)), verdict])


if __name__ == "__main__":
    run_stage(main)

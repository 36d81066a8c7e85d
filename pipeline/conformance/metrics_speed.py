"""`make bench-metrics`: writes docs/metrics_speed.md, how many images a second are counted here and by torchmetrics,
after both have given the same numbers. `BENCHMARK_DEVICE` chooses the device.
"""

import functools
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pipeline.conformance.metrics import CONTESTS, Batch, Contest, Numbers, make_batches
from pipeline.conformance.peer import version
from pipeline.conformance.speed import hardware
from pipeline.learn.device import chosen_device
from pipeline.measure.counts.calibration import BINS
from pipeline.plumbing.errors import run_stage
from pipeline.plumbing.files import write_text

PAGE = Path("docs/metrics_speed.md")
SHAPES = ((32, 5, 64, 64), (8, 11, 180, 240), (16, 2, 256, 256), (4, 19, 512, 512))
ROUNDS = 9
TARGET = 5.0


class Speed(NamedTuple):
    """Images a second of both, and how many times as many are ours: medians over runs by turns."""

    ours: float
    theirs: float
    ratio: float
    least: float
    most: float


def main() -> None:
    torch.set_num_threads(1)  # of no matter to a GPU
    device, speeds = chosen_device(), {}
    for shape in SHAPES:
        for contest in CONTESTS:
            speeds[shape, contest.name] = speed = measure(contest, make_batches(shape, device), shape[1])
            print(f"{shape} {contest.name}: {_cells(speed)}", flush=True)
    write_text(PAGE, page(speeds, device))


# --- the contest ---


def measure(contest: Contest, batches: list[Batch], classes: int, rounds: int = ROUNDS) -> Speed:
    """Speeds by turns, after the numbers have been found equal. Raises AssertionError where they are not."""
    device = batches[0].logits.device
    ours, theirs = functools.partial(contest.ours, classes=classes), contest.theirs(classes, device)
    cut = [Batch(*(part[..., : contest.compared, :] for part in each)) for each in batches]
    mine, other = ours(cut), theirs(cut)
    assert mine.keys() == other.keys()
    for name, value in mine.items():
        np.testing.assert_allclose(value, other[name], rtol=contest.tolerance, err_msg=f"{contest.name}: {name}")
    times = np.array([[_seconds(each, batches, device) for each in (ours, theirs)] for _ in range(rounds)])
    images, ratios = sum(len(each.target) for each in batches), times[:, 1] / times[:, 0]
    speeds = (images / statistics.median(each) for each in times.T.tolist())
    return Speed(*speeds, float(np.median(ratios)), float(ratios.min()), float(ratios.max()))


def _seconds(run: Callable[[list[Batch]], Numbers], batches: list[Batch], device: torch.device) -> float:
    """On a CPU of the processor; numbers are back on it in the end, so a GPU is done too."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    started = clock()
    run(batches)
    return clock() - started


# --- the page ---

HEAD = """\
# How fast metrics are counted

Made by `make bench-metrics` on {made}.

Images a second, from what lies on the device (predicted classes, or logits, and true masks) to numbers: the median of
{rounds} runs by turns, and of the ratio the range in brackets; on a CPU it is processor time. Before, the numbers of
both are found equal, to a relative {single:g}; the calibration errors to {loose:g} and on {rows} rows of the images,
for torchmetrics sums in single precision, and two million pixels put it off by 4 %. It is spared its checks of the
arguments and is made once, so that its metrics share what they count.

- scores of the whole: IoU, F1, precision, recall, specificity and accuracy of each class and Matthews' correlation;
- counts of each image: TP, FP, FN, TN of each class as well, which every interval of the report rests on;
- calibration: the expected calibration error of the top label and of each class against the rest, in {bins} bins. Ours
  yields the bins of each image, the log-loss and the Brier score in the same time;
- all: what an evaluation asks for, the last two.

Target: {target:g} times as fast.

"""


def page(speeds: dict[tuple[tuple[int, ...], str], Speed], device: torch.device) -> str:
    """One table, and above it what it was made with."""
    made = f"{hardware(device)}, Python {platform.python_version()}, with " + ", ".join(
        f"{library} {version(library)}" for library in ("torch", "torchmetrics")
    )
    loose, single = max(each.tolerance for each in CONTESTS), min(each.tolerance for each in CONTESTS)
    head = HEAD.format(
        made=made, rounds=ROUNDS, single=single, loose=loose, bins=BINS, target=TARGET, rows=CONTESTS[-1].compared
    )
    titles = f"| images, classes, height, width | numbers | ours | torchmetrics | ratio | target |\n|{'---|' * 6}\n"
    rows = [f"| {shape} | {name} | {_cells(speed)} |\n" for (shape, name), speed in speeds.items()]
    return head + titles + "".join(rows)


def _cells(speed: Speed) -> str:
    verdict = "met" if speed.ratio >= TARGET else "missed"
    ratio = f"{speed.ratio:.1f} ({speed.least:.1f} to {speed.most:.1f})"
    ours, theirs = (f"{float(f'{each:.3g}'):,g}" for each in (speed.ours, speed.theirs))
    return f"{ours} | {theirs} | {ratio} | {verdict}"


if __name__ == "__main__":
    run_stage(main)

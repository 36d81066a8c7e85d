"""`make bench-losses`: writes docs/loss_speed.md, time and memory of every loss beside torch's cross-entropy and beside
the same loss of other libraries, and of ours with many classes. `BENCHMARK_DEVICE` chooses the device.

With `--large` it measures the latter alone and prints their table, without writing the page.
"""

import functools
import math
import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import NamedTuple

import torch

from pipeline.conformance.cost import Call, Cost, make_batch, measure
from pipeline.conformance.peer import IMPORTS, version
from pipeline.conformance.peers import PEERS
from pipeline.docs import family
from pipeline.learn.device import chosen_device
from pipeline.learn.torchvision_schemas import declare_missing_operators
from pipeline.losses.base import Facts, Loss
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import run_stage
from pipeline.plumbing.files import write_text

PAGE = Path("docs/loss_speed.md")
SHAPES = ((8, 12, 180, 240), (16, 2, 256, 256))
LARGE = (1, 150, 512, 512)
LARGE_ROUNDS = 3  # each takes seconds
LARGE_TIME, LARGE_MEMORY = 10.0, 16.0  # times cross-entropy, and times the logits
DEAR = {"cl_dice", "region_mutual_information", "ssim"}  # their docstrings say that they take more
NEEDED = {"compound": {"terms": {"cross_entropy": 1.0, "dice": 1.0}}}  # options without a default
LIMITS = {"lovasz_softmax": 8.0}  # it sorts the pixels of every class
OVERLAP_LIMIT = 2.0
OURS = "this project"


class Contender(NamedTuple):
    """A loss to be measured, ours or another's."""

    kind: str
    library: str
    name: str
    call: Callable[[Facts], Call]
    """The loss of logits and target, for those who know some facts."""
    classes: int | None = None
    """The number of classes that it is limited to, if it is."""


def main(large_alone: bool = False) -> None:
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler announces its every start
    torch.set_num_threads(1)  # of no matter to a GPU
    device = chosen_device()
    declare_missing_operators()
    everyone = contenders()
    large = measure_large([each for each in everyone if each.library == OURS], device)
    if large_alone:
        print(large_table(large))
        return
    costs: dict[Contender, list[Cost | None]] = {each: [] for each in everyone}
    for shape in SHAPES:
        batch = make_batch(shape, device)
        for each in everyone:
            fits = each.classes in (None, shape[1])
            costs[each].append(measure(each.call(batch.facts), batch) if fits else None)
            print(f"{shape} {each.kind}, {each.library}: {_cell(costs[each][-1])}", flush=True)
    write_text(PAGE, page(costs, device) + large_table(large))


def measure_large(ours: list[Contender], device: torch.device) -> dict[str, Cost]:
    """What each kind costs with many classes."""
    batch, costs = make_batch(LARGE, device), {}
    for each in ours:
        costs[each.kind] = measure(each.call(batch.facts), batch, LARGE_ROUNDS)
        print(f"{LARGE} {each.kind}: {_cell(costs[each.kind])}", flush=True)
    return costs


def contenders() -> list[Contender]:
    """Every loss of pipeline/losses with its defaults, and after it the same of the libraries that are installed."""
    found = []
    for kind in plugins.kinds("losses"):
        loss = plugins.build("losses", kind, NEEDED.get(kind, {}), kind)
        found.append(Contender(kind, OURS, f"`{kind}`", functools.partial(_informed, loss)))
        for peer in PEERS:
            if peer.kind == kind and _installed(peer.library):
                call = functools.partial(_uninformed, peer.load())
                limit = 2 if peer.classes == 2 else None
                found.append(Contender(kind, peer.library, f"`{peer.name}`", call, limit))
    return found


def _installed(library: str) -> bool:
    try:
        version(library)
    except PackageNotFoundError:
        return False
    return True


def _informed(loss: Loss, facts: Facts) -> Call:
    """A loss with what it asks for and nothing else."""
    learned = loss.learned_numbers()
    told = facts._replace(
        distances=facts.distances if loss.needs_distances() else None,
        learned=torch.zeros(learned, device=facts.train_pixels.device) if learned else None,
    )
    return lambda logits, target: loss(logits, target, None, told)


def _uninformed(loss: Call, _: Facts) -> Call:
    """A loss of another library knows logits and target alone."""
    return loss


# --- the page ---

HEAD = """\
# What the losses cost

Made by `make bench-losses` on {made}.

Time of a forward and a backward pass over that of torch's cross-entropy on the same logits, b c h w: the median of runs
by turns, and in brackets their range; on a CPU it is processor time. Peak is the memory that torch holds at most
besides logits and target, the gradient of the logits included. Our losses are given their distance maps, which the
loader workers make; those of MONAI make theirs here. Targets: losses by overlap at most {overlap:g} times
cross-entropy, Lovász at most {lovasz:g}, none slower than the fastest of the other libraries; up to 5 % is a draw.

"""


def page(costs: dict[Contender, list[Cost | None]], device: torch.device) -> str:
    """One table, and above it what it was made with."""
    versions = ", ".join(f"{library} {version(library)}" for library in IMPORTS if _installed(library))
    rows = [
        f"| {each.kind} | {each.library} | {each.name} | {' | '.join(_cell(cost) for cost in measured)} "
        f"| {_target(each, costs)} |\n"
        for each, measured in costs.items()
    ]
    head = HEAD.format(
        made=f"{hardware(device)}, Python {platform.python_version()}, with {versions}",
        overlap=OVERLAP_LIMIT,
        lovasz=LIMITS["lovasz_softmax"],
    )
    shapes = " | ".join(f"{shape} | peak" for shape in SHAPES)
    titles = f"| kind | of | called | {shapes} | target |\n|---|---|---|{'---|---|' * len(SHAPES)}---|\n"
    return head + titles + "".join(rows)


def _cell(cost: Cost | None) -> str:
    """Time and peak."""
    if cost is None:
        return "two classes only | "
    return f"{cost.ratio:.2f} ({cost.least:.2f} to {cost.most:.2f}) | {cost.mebibytes:.0f} MiB"


LARGE_HEAD = """
## Many classes

Ours at {shape}, with all classes present, squares of which are everywhere: the worst case for losses that take only the
classes of the batch. Peak is in units of the logits. Target: at most {time:g} times cross-entropy and {memory:g} times
the logits, but for those whose docstring says that they take more.

| kind | time | peak | target |
|---|---|---|---|
"""


def large_table(costs: dict[str, Cost]) -> str:
    """Time and memory of our losses with many classes."""
    logits = math.prod(LARGE) * 4 / 2**20
    rows = []
    for kind, cost in costs.items():
        peak = cost.mebibytes / logits
        missed = [f"above {LARGE_TIME:g} times cross-entropy"] if cost.ratio > LARGE_TIME else []
        missed += [f"above {LARGE_MEMORY:g} times the logits"] if peak > LARGE_MEMORY else []
        verdict = f"{'as it says' if kind in DEAR else 'missed'}: {', '.join(missed)}" if missed else "met"
        rows.append(f"| {kind} | {cost.ratio:.2f} ({cost.least:.2f} to {cost.most:.2f}) | {peak:.1f} | {verdict} |\n")
    return LARGE_HEAD.format(shape=LARGE, time=LARGE_TIME, memory=LARGE_MEMORY) + "".join(rows)


def _target(each: Contender, costs: dict[Contender, list[Cost | None]]) -> str:
    """Whether a loss of ours is as fast as it should be, at every shape; nothing for those of others."""
    if each.library != OURS:
        return ""
    limit = LIMITS.get(each.kind)
    if limit is None and family("losses", each.kind, plugins.find("losses", each.kind, each.kind).__doc__) == "overlap":
        limit = OVERLAP_LIMIT
    missed = []
    for place, shape in enumerate(SHAPES):
        ours = costs[each][place]
        rivals = [measured[place] for other, measured in costs.items() if other.kind == each.kind and other != each]
        fastest = min((rival.ratio for rival in rivals if rival), default=None)
        if limit and ours.ratio > limit:
            missed.append(f"above {limit:g} at {shape}")
        if fastest and ours.ratio > 1.05 * fastest:
            missed.append(f"another takes {fastest:.2f} at {shape}")
    judged = limit or any(other.kind == each.kind and other != each for other in costs)
    return "missed: " + "; ".join(missed) if missed else "met" if judged else "none"


def hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return f"one {torch.cuda.get_device_name(device)}"
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"the CPU ({names[0] if names else platform.processor()}, {torch.get_num_threads()} thread)"


if __name__ == "__main__":
    run_stage(functools.partial(main, "--large" in sys.argv[1:]))

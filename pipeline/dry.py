"""What `python -m pipeline.run --dry` says: the stages that would run, and what a few steps of each kind tell of them.

Nothing is trained to its end, and nothing is written but the plan, which `check` brings up to date.
"""

import time
from collections.abc import Callable
from functools import cache

import torch

from pipeline.learn.device import chosen_device
from pipeline.learn.search import rates
from pipeline.learn.settings import Fit, Tune, UNet
from pipeline.learn.training import Task
from pipeline.learn.trial import Trial, mask_bytes, trial
from pipeline.plumbing import plugins
from pipeline.plumbing.cells import Cell, combinations, repeats
from pipeline.plumbing.files import read_json
from pipeline.plumbing.plan import PREPARED, options_of, read_cell_plan, read_plan
from pipeline.running.estimate import Cost, described
from pipeline.strategies.base import Strategy

COPIES = 2  # of an output: in the workspace and in DVC's cache
KEPT_MASKS = 3  # copies of predicted masks: one more, that `evaluate` keeps


def estimate(stale: Callable[..., list[str]], places: int, threads: int) -> list[str]:
    """Lines for the user; so many stages run at once, each with so many threads. `stale` is that of `pipeline.run`."""
    began = time.monotonic()
    found = set(stale("download", "prepare", "tune", "train", "repeat"))
    command = time.monotonic() - began  # every stage is a command of DVC, which takes about as long
    stages = would_run(found)
    if not stages:
        return ["No search and no cell would run."]
    torch.set_num_threads(threads)
    ready = [stage for stage in stages if not found & _data(stage)]
    lines = described(stages, {stage: cost(stage, command) for stage in ready}, places)
    if len(ready) < len(stages):
        lines.append("Nothing can be said of the time before `dvc repro prepare` has run.")
    return lines


def would_run(found: set[str]) -> list[str]:
    """The stages of searches and cells that are stale, or that come after one that is."""
    report = read_plan("report")
    cells = {
        "train": combinations(report["axes"]),
        "repeat": repeats(report["axes"], report["control"], report["noise_floor"]),
    }
    stages = list(dict.fromkeys(f"tune@{cell.search}" for cell in cells["train"]))
    stages += [f"{group}@{cell.name}" for group, each in cells.items() for cell in each]
    return [stage for stage in stages if found & {stage, _tune(stage), *_data(stage)}]


def cost(stage: str, command: float) -> Cost:
    """What a stage would take; `command` are the seconds of a command of DVC."""
    group, _, name = stage.partition("@")
    dataset, model, loss = _search(stage)
    fit = Fit.model_validate(read_plan("train", "dataset", dataset)["fit"])
    if group == "tune":
        search = read_plan("tune", loss)["search"]
        if not search:
            return Cost(command, 0, 0)
        settings = Tune.model_validate(search)
        fit = fit.model_copy(update={"iterations": settings.iterations or fit.iterations})
        found = trial_of(dataset, model, loss)
        return Cost(command + len(rates(settings, fit.lr)) * found.seconds(fit), 0, found.state)
    masks = KEPT_MASKS * mask_bytes(PREPARED / dataset)
    if "weights_of" in read_cell_plan(Cell.parse(name))["strategy"]:
        return Cost(command, masks, 0)
    found = trial_of(dataset, model, loss)
    return Cost(command + found.seconds(fit), COPIES * found.weights + masks, found.state)


@cache
def trial_of(dataset: str, model: str, loss: str) -> Trial:
    """A trial without a strategy: most take no time worth mentioning."""
    task = Task(
        prepared=PREPARED / dataset,
        meta=read_json(PREPARED / dataset / "meta.json"),
        model=UNet.model_validate(read_plan("train", "model", model)),
        fit=Fit.model_validate(read_plan("train", "dataset", dataset)["fit"]),
        loss=plugins.restore("losses", options_of(read_plan("train", "loss", loss)), f"loss {loss}"),
        strategy=Strategy(),
        seed=0,
    )
    return trial(task, chosen_device())


def _search(stage: str) -> tuple[str, str, str]:
    """Dataset, model and loss of a stage."""
    return tuple(stage.partition("@")[2].split("-")[:3])


def _data(stage: str) -> set[str]:
    """The stages that make its data."""
    return {f"{group}@{_search(stage)[0]}" for group in ("download", "prepare")}


def _tune(stage: str) -> str:
    return f"tune@{'-'.join(_search(stage))}"

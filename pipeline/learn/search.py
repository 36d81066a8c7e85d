"""The search for a learning rate: short trainings at several rates, judged on the validation split."""

from typing import Any

import numpy as np
import torch

from pipeline.learn.checkpoint import Checkpoint
from pipeline.learn.device import chosen_device
from pipeline.learn.fit import Listener
from pipeline.learn.settings import Fit, Tune, UNet
from pipeline.learn.training import Task, run_training
from pipeline.plumbing import plugins
from pipeline.plumbing.cached import read_cached, write_cached
from pipeline.plumbing.checkpoints import checkpoint_directory, forget
from pipeline.plumbing.files import CACHE, digest, read_json
from pipeline.plumbing.fingerprints import as_planned
from pipeline.plumbing.plan import PREPARED, options_of, read_plan
from pipeline.plumbing.provenance import provenance
from pipeline.strategies.base import Strategy


def run_trials(dataset: str, model: str, loss: str) -> list[dict[str, Any]]:
    """Every trial of a search, by rising rate.

    No trial is stopped early, and nothing that decides looks at a loss value: the budget is equal for every loss. A
    trial that was made before, with all it depends on unchanged, is taken from the cache.
    """
    search, device = read_plan("tune", loss), chosen_device()
    settings = Tune.model_validate(search["search"])
    plans = {"dataset": read_plan("train", "dataset", dataset), "model": read_plan("train", "model", model)}
    plans["loss"], meta = read_plan("train", "loss", loss), read_json(PREPARED / dataset / "meta.json")
    common = plans["dataset"]["fit"] | {"iterations": settings.iterations or plans["dataset"]["fit"]["iterations"]}
    trials = []
    for rate in rates(settings, common["lr"]):
        task = Task(
            prepared=PREPARED / dataset,
            meta=meta,
            model=UNet.model_validate(plans["model"]),
            fit=Fit.model_validate(common | {"lr": rate}),
            loss=plugins.restore("losses", options_of(plans["loss"]), f"loss {loss}"),
            strategy=Strategy(),
            seed=settings.seed,
        )
        depends = [plans, search, task.fit.model_dump(), meta["digest"], device.type]
        kept, name = CACHE / "tune" / f"{digest(depends)}.json", f"{dataset}-{model}-{loss}-lr_{rate:g}"
        trial = read_cached(kept)
        if trial is None:
            with as_planned(plans, search):
                trial = run_trial(task, device, Checkpoint(checkpoint_directory(name, depends)))
            write_cached(kept, trial)
            forget([name])
        trials.append(trial)
    return trials


def rates(settings: Tune, untuned: float) -> list[float]:
    """Even steps of the logarithm, to three digits, and the rate of the block `fit`, in order."""
    steps = np.geomspace(settings.lowest, settings.highest, settings.rates)
    return sorted({*(float(f"{step:.3g}") for step in steps), untuned})


def run_trial(task: Task, device: torch.device, checkpoint: Checkpoint) -> dict[str, Any]:
    """Train once at the rate of the task; only scores are kept."""
    _, _, outcome = run_training(task, device, Listener(), checkpoint)
    chosen = outcome.chosen
    return {
        "lr": task.fit.lr,
        "val_miou": chosen and chosen.val_miou,
        "iteration": chosen and chosen.iteration,
        "diverged_at": outcome.diverged_at,
        "history": [
            {"iteration": each.iteration, "train_loss": each.train_loss, "val_miou": each.val_miou}
            for each in outcome.history
        ],
        "provenance": provenance(device, outcome.record()),
    }

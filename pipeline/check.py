"""Validate params.yaml and write the plan, before anything is downloaded or trained: the stage `check`.

Resolves every option and fingerprints the code that each axis value reaches, so that a stage runs again exactly when
something it depends on has changed its meaning. Imports no torch and takes about a second.
"""

import argparse
from pathlib import Path
from typing import Any

from pipeline.crosschecks import PARAMS, check_together
from pipeline.datasets.base import Dataset
from pipeline.learn.settings import Fit, Tune, UNet
from pipeline.losses.base import Loss
from pipeline.plumbing import plugins
from pipeline.plumbing.cells import Cell, combinations, repeats
from pipeline.plumbing.dvcfile import check_dvcfile, check_place
from pipeline.plumbing.errors import Mistakes, UserError, run_stage
from pipeline.plumbing.files import whole, write_json
from pipeline.plumbing.fingerprints import code_and_versions, code_digests
from pipeline.plumbing.messages import brief
from pipeline.plumbing.params import Params, gather_params
from pipeline.plumbing.plan import PLAN
from pipeline.strategies.base import Strategy

DVCFILE = Path("dvc.yaml")
PLUGIN_FOLDERS = {"dataset": "datasets", "loss": "losses", "strategy": "strategies"}
NOT_OPTIONS = {"dataset": "fit", "loss": "tune"}  # keys of an entry that are about its training


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    plan = make_plan()
    with whole(PLAN) as part:
        for place, content in plan.items():
            write_json(part / f"{place}.json", content)
    print(f"params.yaml is valid: {plan['report']['cells']} cells.")


def make_plan() -> dict[str, Any]:
    """The content of every file of the plan by its place below `data/plan`. Raises UserError on any mistake."""
    check_place(PARAMS, DVCFILE)
    mistakes = Mistakes()
    params = gather_params(PARAMS, mistakes)
    taken = mistakes.attempt(check_dvcfile, DVCFILE)
    built = {axis: _build(params, axis, mistakes) for axis in PLUGIN_FOLDERS}
    models = {name: mistakes.attempt(_model_of, params, name) for name in params.axes["model"]}
    fits = {name: mistakes.attempt(_fit_of, params, name) for name in params.axes["dataset"]}
    tunes = {name: mistakes.attempt(_tune_of, params, name) for name in params.axes["loss"]}
    mistakes.raise_noted()
    check_together(params, built, fits, taken)
    strategies = _strategy_plans(built["strategy"])
    return {
        **_dataset_plans(built["dataset"]),
        **{f"train/dataset/{name}": {"fit": fit.model_dump()} for name, fit in fits.items()},
        **{f"train/model/{name}": model.model_dump() for name, model in models.items()},
        **{f"train/loss/{name}": _described(loss) for name, loss in built["loss"].items()},
        **strategies,
        **{f"tune/{name}": tune for name, tune in tunes.items()},
        "train/code": code_and_versions(["pipeline.train"]),
        "evaluate": {**params.eval.model_dump(), **code_and_versions(["pipeline.evaluate"])},
        "gradients": _gradients_plan(params, built["loss"], models, fits, strategies),
        "report": {
            **params.report.model_dump(),
            "axes": {axis: list(entries) for axis, entries in params.axes.items()},
            "cells": len(combinations(params.axes)) + len(_repeats(params)),
            **code_and_versions(["pipeline.report"]),
        },
        "publish": {"code": code_digests(["pipeline.publish", "pipeline.plumbing.tracking"])},
    }


def _repeats(params: Params) -> list[Cell]:
    return repeats(params.axes, params.report.control.model_dump(), params.report.noise_floor)


def _build(params: Params, axis: str, mistakes: Mistakes) -> dict[str, Any]:
    """The plug-ins of one axis by name, from what in their entries is an option of the plug-in."""
    return {
        name: mistakes.attempt(
            plugins.build, PLUGIN_FOLDERS[axis], name, _options(block, axis), f"{PARAMS}: axes.{axis}.{name}"
        )
        for name, block in params.axes[axis].items()
    }


def _options(block: Any, axis: str) -> Any:
    return (
        {key: value for key, value in block.items() if key != NOT_OPTIONS.get(axis)}
        if isinstance(block, dict)
        else block
    )


def _model_of(params: Params, name: str) -> UNet:
    return UNet.read(params.axes["model"][name], f"{PARAMS}: axes.model.{name}")


def _fit_of(params: Params, dataset: str) -> Fit | None:
    """The block `fit` with what the dataset's entry overrides; None if there is no such block, which is noted."""
    if params.fit is None:
        return None
    override = _own(params, "dataset", dataset, "fit")
    override = {} if override is None else override
    if not isinstance(override, dict):
        raise UserError(f"{PARAMS}: axes.dataset.{dataset}.fit: must be a mapping, not {brief(override)}.")
    Fit.read(params.fit, f"{PARAMS}: fit")
    return Fit.read({**params.fit, **override}, f"{PARAMS}: axes.dataset.{dataset}.fit")


def _tune_of(params: Params, loss: str) -> dict[str, Any]:
    """What the stage `tune` does for a loss: a search with all it depends on, or None."""
    settings = Tune.read(params.tune, f"{PARAMS}: tune")
    wanted = _own(params, "loss", loss, "tune", True)
    if not isinstance(wanted, bool):
        raise UserError(f"{PARAMS}: axes.loss.{loss}.tune: must be true or false, not {brief(wanted)}.")
    if not wanted or settings.rates == 1:
        return {"search": None}
    return {"search": settings.model_dump(), **code_and_versions(["pipeline.tune"])}


def _own(params: Params, axis: str, name: str, key: str, default: Any = None) -> Any:
    """What an entry says of its training; one that is no mapping is refused as a plug-in."""
    block = params.axes[axis][name]
    return block.get(key, default) if isinstance(block, dict) else default


def _gradients_plan(
    params: Params,
    losses: dict[str, Loss],
    models: dict[str, UNet],
    fits: dict[str, Fit],
    strategies: dict[str, Any],
) -> dict[str, Any]:
    """All that the comparison of gradients depends on but data and trained models."""
    cross_entropy = plugins.build("losses", "cross_entropy", {}, "the reference of gradients")
    control = params.report.control.strategy
    return {
        "losses": {name: _described(loss) for name, loss in losses.items()},
        "cross_entropy": _described(cross_entropy),
        "models": {name: model.model_dump() for name, model in models.items()},
        "fits": {name: fit.model_dump() for name, fit in fits.items()},
        "seed": int(next(iter(params.axes["seed"]))),
        **code_and_versions(["pipeline.gradients"]),
        "strategy": strategies[f"train/strategy/{control}"].get("weights_of", control),  # the one that has models
    }


def _described(plugin: plugins.Plugin) -> dict[str, Any]:
    return {**plugin.described(), **code_and_versions(plugin.modules())}


def _strategy_plans(strategies: dict[str, Strategy]) -> dict[str, Any]:
    """Of each strategy its description; one that acts on decisions alone takes over the trainings of the control."""
    controls = [name for name, strategy in strategies.items() if strategy.kind == "none"]
    plans = {}
    for name, strategy in strategies.items():
        plans[f"train/strategy/{name}"] = _described(strategy)
        if strategy.aspects == ("decisions",):
            if not controls:
                raise UserError(
                    f"{PARAMS}: axes.strategy.{name} trains nothing but judges the trainings without a strategy once "
                    "more, and there are none. Add the entry `none: {}`."
                )
            plans[f"train/strategy/{name}"]["weights_of"] = controls[0]
    return plans


def _dataset_plans(datasets: dict[str, Dataset]) -> dict[str, Any]:
    plans = {}
    for name, dataset in datasets.items():
        described = dataset.described()
        # The whole description is no dependency: a new image size must not download, a new mirror must not prepare.
        # Nor is a library one of `download`: what it fetches has a checksum.
        plans[f"dataset/{name}"] = described
        fetching, preparing = ([f"pipeline.{stage}", *dataset.modules()] for stage in ("download", "prepare"))
        plans[f"download/{name}"] = {"source": dataset.source(), "code": code_digests(fetching)}
        plans[f"prepare/{name}"] = {"dataset": described | {"archives": []}, **code_and_versions(preparing)}
    return plans


if __name__ == "__main__":
    run_stage(main)

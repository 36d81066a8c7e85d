"""Stage `check`: validates params.yaml and dvc.yaml and writes the plan, before anything is downloaded or trained.

Resolves every option and fingerprints the code that each axis value reaches, so that a stage runs again exactly when
something it depends on has changed its meaning. Imports no torch and takes about a second.
"""

import itertools
from pathlib import Path
from typing import Any

from pipeline.datasets.base import Dataset
from pipeline.learn.settings import Fit, Tune, UNet
from pipeline.losses.base import Loss
from pipeline.measure.metrics.table import METRICS
from pipeline.plumbing import plugins
from pipeline.plumbing.cells import Cell, combinations, repeats
from pipeline.plumbing.dvcfile import check_dvcfile
from pipeline.plumbing.errors import UserError, did_you_mean, listed, run_stage
from pipeline.plumbing.files import whole, write_json
from pipeline.plumbing.fingerprints import code_digest
from pipeline.plumbing.messages import brief
from pipeline.plumbing.params import Params, read_params
from pipeline.plumbing.plan import PLAN
from pipeline.plumbing.provenance import versions
from pipeline.strategies.base import Strategy

PARAMS, DVCFILE = Path("params.yaml"), Path("dvc.yaml")
PLUGIN_FOLDERS = {"dataset": "datasets", "loss": "losses", "strategy": "strategies"}
NOT_OPTIONS = {"dataset": "fit", "loss": "tune"}  # keys of an entry that are about its training


def main() -> None:
    plan = make_plan()
    with whole(PLAN) as part:
        for place, content in plan.items():
            write_json(part / f"{place}.json", content)
    print(f"params.yaml is valid: {plan['report']['cells']} cells.")


def make_plan() -> dict[str, Any]:
    """The content of every file of the plan by its place below `data/plan`. Raises UserError on any mistake."""
    check_dvcfile(DVCFILE)
    params = read_params(PARAMS)
    built = {axis: _build(params, axis) for axis in PLUGIN_FOLDERS}
    models = {name: UNet.read(block, f"{PARAMS}: axes.model.{name}") for name, block in params.axes["model"].items()}
    fits = {name: _fit_of(params, name) for name in built["dataset"]}
    tunes = {name: _tune_of(params, name) for name in built["loss"]}
    _check_class_weights(built["loss"], built["strategy"])
    _check_classes(built["loss"], built["dataset"])
    _check_folds(built["dataset"], fits)
    _check_phases(built["strategy"], fits)
    _check_report(params)
    _check_noise_floor(params, built["strategy"])
    strategies = _strategy_plans(built["strategy"])
    return {
        **_dataset_plans(built["dataset"]),
        **{f"train/dataset/{name}": {"fit": fit.model_dump()} for name, fit in fits.items()},
        **{f"train/model/{name}": model.model_dump() for name, model in models.items()},
        **{f"train/loss/{name}": _described(loss) for name, loss in built["loss"].items()},
        **strategies,
        **{f"tune/{name}": tune for name, tune in tunes.items()},
        "train/code": {"code": code_digest(["pipeline.train"]), "versions": versions()},
        "evaluate": {**params.eval.model_dump(), "code": code_digest(["pipeline.evaluate"]), "versions": versions()},
        "gradients": _gradients_plan(params, built["loss"], models, fits, strategies),
        "report": {
            **params.report.model_dump(),
            "axes": {axis: list(entries) for axis, entries in params.axes.items()},
            "cells": len(combinations(params.axes)) + len(_repeats(params)),
            "code": code_digest(["pipeline.report"]),
        },
        "publish": {"code": code_digest(["pipeline.publish", "pipeline.plumbing.tracking"])},
    }


def _repeats(params: Params) -> list[Cell]:
    return repeats(params.axes, params.report.control.model_dump(), params.report.noise_floor)


def _build(params: Params, axis: str) -> dict[str, Any]:
    """The plug-ins of one axis by name, from what in their entries is an option of the plug-in."""
    return {
        name: plugins.build(PLUGIN_FOLDERS[axis], name, _options(block, axis), f"{PARAMS}: axes.{axis}.{name}")
        for name, block in params.axes[axis].items()
    }


def _options(block: Any, axis: str) -> Any:
    return (
        {key: value for key, value in block.items() if key != NOT_OPTIONS.get(axis)}
        if isinstance(block, dict)
        else block
    )


def _fit_of(params: Params, dataset: str) -> Fit:
    """The block `fit` with what the dataset's entry overrides."""
    override = (params.axes["dataset"][dataset] or {}).get("fit", {})
    if not isinstance(override, dict):
        raise UserError(f"{PARAMS}: axes.dataset.{dataset}.fit: must be a mapping, not {brief(override)}.")
    Fit.read(params.fit, f"{PARAMS}: fit")
    return Fit.read({**params.fit, **override}, f"{PARAMS}: axes.dataset.{dataset}.fit")


def _tune_of(params: Params, loss: str) -> dict[str, Any]:
    """What the stage `tune` does for a loss: a search with all it depends on, or None."""
    settings = Tune.read(params.tune, f"{PARAMS}: tune")
    wanted = (params.axes["loss"][loss] or {}).get("tune", True)
    if not isinstance(wanted, bool):
        raise UserError(f"{PARAMS}: axes.loss.{loss}.tune: must be true or false, not {brief(wanted)}.")
    if not wanted or settings.rates == 1:
        return {"search": None}
    return {"search": settings.model_dump(), "code": code_digest(["pipeline.tune"]), "versions": versions()}


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
        "code": code_digest(["pipeline.gradients"]),
        "versions": versions(),
        "strategy": strategies[f"train/strategy/{control}"].get("weights_of", control),  # the one that has models
    }


def _described(plugin: plugins.Plugin) -> dict[str, Any]:
    return {**plugin.described(), "code": code_digest(plugin.modules())}


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
        code = {stage: code_digest([f"pipeline.{stage}", *dataset.modules()]) for stage in ("download", "prepare")}
        # The whole description is no dependency: a new image size must not download, a new mirror must not prepare.
        plans[f"dataset/{name}"] = described
        plans[f"download/{name}"] = {"source": dataset.source(), "code": code["download"]}
        plans[f"prepare/{name}"] = {"dataset": described | {"archives": []}, "code": code["prepare"]}
    return plans


def _check_class_weights(losses: dict[str, Loss], strategies: dict[str, Strategy]) -> None:
    """A strategy that makes weights never meets a loss that would ignore them."""
    for (name, loss), (treatment, strategy) in itertools.product(losses.items(), strategies.items()):
        reason = loss.refuses_class_weights()
        if "class weights" in strategy.aspects and reason:
            raise UserError(
                f"{PARAMS}: axes.loss.{name} cannot be crossed with axes.strategy.{treatment}, which weighs classes: "
                f"{reason.rstrip('.')}. Remove one of the two."
            )


def _check_classes(losses: dict[str, Loss], datasets: dict[str, Dataset]) -> None:
    """A loss with an option per class never meets a dataset with another number of classes."""
    for (name, loss), (data, dataset) in itertools.product(losses.items(), datasets.items()):
        if reason := loss.refuses_classes(len(dataset.classes)):
            raise UserError(
                f"{PARAMS}: axes.loss.{name} cannot be crossed with axes.dataset.{data}, which has "
                f"{len(dataset.classes)} classes: {reason}"
            )


def _check_folds(datasets: dict[str, Dataset], fits: dict[str, Fit]) -> None:
    """The folds of one dataset are different folds, judged and trained alike."""
    first: dict[str, str] = {}
    fold: dict[tuple[str, int], str] = {}
    for name, dataset in datasets.items():
        if dataset.fold_of is None:
            continue
        other = first.setdefault(dataset.fold_of, name)
        twice = fold.setdefault((dataset.fold_of, dataset.fold), name)
        if twice != name:
            raise UserError(
                f"{PARAMS}: axes.dataset.{name} and .{twice} are both fold {dataset.fold}. Number them 0, 1, 2, ..."
            )
        for key, differs in {
            "spacing": dataset.spacing != datasets[other].spacing,
            "unit": dataset.unit != datasets[other].unit,
            "fit": fits[name] != fits[other],
        }.items():
            if differs:
                raise UserError(
                    f"{PARAMS}: axes.dataset.{name}.{key}: must be that of .{other}, another fold of the same dataset."
                )


def _check_phases(strategies: dict[str, Strategy], fits: dict[str, Fit]) -> None:
    """Every phase of a strategy has an iteration at least."""
    for (name, strategy), (data, fit) in itertools.product(strategies.items(), fits.items()):
        if not all(iterations for iterations, _ in strategy.stretches(fit.iterations)):
            raise UserError(
                f"{PARAMS}: axes.strategy.{name}: one of its phases has none of the {fit.iterations} iterations of "
                f"{data}; change 'last', or train for longer."
            )


def _check_report(params: Params) -> None:
    for axis, name in params.report.control.model_dump().items():
        if name not in params.axes[axis]:
            known = did_you_mean(name, params.axes[axis])
            raise UserError(f"{PARAMS}: report.control.{axis}: no entry '{name}' in axes.{axis}. {known}")
    if params.report.primary_metric not in METRICS:
        known = did_you_mean(params.report.primary_metric, METRICS)
        raise UserError(f"{PARAMS}: report.primary_metric: no metric '{params.report.primary_metric}'. {known}")


def _check_noise_floor(params: Params, strategies: dict[str, Strategy]) -> None:
    """The control can be trained once more, with seeds of its own."""
    seeds, where = params.report.noise_floor, f"{PARAMS}: report.noise_floor"
    if twice := sorted({seed for seed in seeds if seeds.count(seed) > 1 or str(seed) in params.axes["seed"]}):
        raise UserError(f"{where}: seeds must differ from each other and from axes.seed; given twice: {listed(twice)}.")
    control = params.report.control.strategy
    if seeds and strategies[control].aspects == ("decisions",):
        raise UserError(f"{where}: the control has strategy '{control}', which trains nothing to repeat. Set [].")


if __name__ == "__main__":
    run_stage(main)

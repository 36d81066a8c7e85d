"""What in params.yaml must go together, once every entry by itself is right."""

import itertools
from pathlib import Path
from typing import Any

from pipeline.datasets.base import Dataset
from pipeline.learn.settings import Fit
from pipeline.losses.base import Loss
from pipeline.measure.metrics.table import METRICS
from pipeline.plumbing.errors import Mistakes, UserError, did_you_mean, listed
from pipeline.plumbing.params import Params
from pipeline.strategies.base import Strategy

PARAMS = Path("params.yaml")
LONGEST_NAME = 200


def check_together(params: Params, built: dict[str, dict[str, Any]], fits: dict[str, Fit], taken: set[str]) -> None:
    """Check all; `built` has the plug-ins by axis and name, `taken` the keys that dvc.yaml takes. Raises UserError."""
    mistakes = Mistakes()
    mistakes.attempt(_check_names, params)
    mistakes.attempt(_check_class_weights, built["loss"], built["strategy"])
    mistakes.attempt(_check_classes, built["loss"], built["dataset"])
    mistakes.attempt(_check_folds, built["dataset"], fits)
    mistakes.attempt(_check_phases, built["strategy"], fits)
    mistakes.attempt(_check_report, params)
    mistakes.attempt(_check_left_out, params, taken)
    mistakes.raise_noted()
    _check_noise_floor(params, built["strategy"])  # which asks what the control is


def _check_names(params: Params) -> None:
    """Names of cells are names of files, to which a few characters are added while they are written."""
    longest = "-".join(max(names, key=len) for names in params.axes.values())
    if len(longest) > LONGEST_NAME:
        raise UserError(
            f"{PARAMS}: axes: {longest}: {len(longest)} characters, and the name of a cell may have {LONGEST_NAME}; "
            "give shorter names."
        )


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
    mistakes = Mistakes()
    for axis, name in params.report.control.model_dump().items():
        if name not in params.axes[axis]:
            known = did_you_mean(name, params.axes[axis])
            mistakes.note(f"{PARAMS}: report.control.{axis}: no entry '{name}' in axes.{axis}. {known}")
    if params.report.primary_metric not in METRICS:
        known = did_you_mean(params.report.primary_metric, METRICS)
        mistakes.note(f"{PARAMS}: report.primary_metric: no metric '{params.report.primary_metric}'. {known}")
    mistakes.raise_noted()


def _check_left_out(params: Params, taken: set[str]) -> None:
    """Of the keys that dvc.yaml takes from params.yaml none is left to its default, which DVC does not know."""
    needed = [key for key in params.left_out if key in taken]
    if not needed:
        return
    control = ", ".join(f"{key}: {name}" for key, name in params.report.control.model_dump().items())
    lines = {f"control: {{{control}}}": "report.control.", "noise_floor: []": "report.noise_floor"}
    wanted = [line for line, start in lines.items() if any(key.startswith(start) for key in needed)]
    raise UserError(
        f"{PARAMS}: dvc.yaml takes {listed(needed)} from here, and DVC knows no defaults: write "
        f"{' and '.join(f'`{line}`' for line in wanted)} under `report:`."
    )


def _check_noise_floor(params: Params, strategies: dict[str, Strategy]) -> None:
    """The control can be trained once more, with seeds of its own."""
    seeds, where = params.report.noise_floor, f"{PARAMS}: report.noise_floor"
    if twice := sorted({seed for seed in seeds if seeds.count(seed) > 1 or str(seed) in params.axes["seed"]}):
        raise UserError(f"{where}: seeds must differ from each other and from axes.seed; given twice: {listed(twice)}.")
    control = params.report.control.strategy
    if seeds and strategies[control].aspects == ("decisions",):
        raise UserError(f"{where}: the control has strategy '{control}', which trains nothing to repeat. Set [].")

"""Makes the story of the report from the plan and the files of all cells."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.measure import evidence
from pipeline.measure.pools import Pool, find_pools, pooled, pooled_cell, pooled_meta, which_fold
from pipeline.measure.statistics.estimates import Rules, Units
from pipeline.measure.story import Story
from pipeline.measure.tables.calibration import reliability_table, temperature_table
from pipeline.measure.tables.decisions import decision_table
from pipeline.measure.tables.dial import dial_table, find_dials
from pipeline.measure.tables.factorial import factorial
from pipeline.measure.tables.gallery import gallery_table, shown_images
from pipeline.measure.tables.gradients import read_gradients
from pipeline.measure.tables.measured import Measured, Weights, mean_over_seeds, measure, unmeasured
from pipeline.measure.tables.ranking import rankings
from pipeline.measure.tables.rates import rate_table, trial_table, tuning_table
from pipeline.measure.tables.scores import (
    cell_table,
    class_table,
    difference_table,
    leaderboard,
    noise_table,
    scores_of,
)
from pipeline.measure.tables.seen import seen_table
from pipeline.plumbing.cells import Cell, combinations, repeats
from pipeline.plumbing.plan import GRADIENTS, PREPARED
from pipeline.plumbing.prepared import read_test_groups

FEWEST_GROUPS = 5  # groups of images from which their spread can be told


def tell(plan: dict[str, Any]) -> Story:
    """Everything that the tables and the page show; `plan` is the plan of the report."""
    axes, primary, control = plan["axes"], plan["primary_metric"], plan["control"]
    rules = Rules(plan["confidence"], plan["interval"], plan["rope"])
    entries = {name: evidence.read_meta(name) for name in axes["dataset"]}
    pools = find_pools(entries)
    metas = {pool.name: pooled_meta(pool, entries) for pool in pools}
    weights = {name: image_weights_of(name, plan) for name in entries}
    units = {pool.name: units_of(pool, entries, weights) for pool in pools}

    facts = evidence.read_facts(combinations(axes))
    again = evidence.read_facts(repeats(axes, control, plan["noise_floor"]))
    by_entry = measure_all(facts, weights, primary)
    measured, repeated = (pooled(each, pools) for each in (by_entry, measure_all(again, weights, primary)))
    judged = per_fold(measured)
    scores = scores_of(judged, units, primary)
    board = leaderboard(judged, units, primary, rules)
    noise = noise_table(per_fold(repeated), scores, control, primary, rules)
    effects = factorial(scores, control, noise, primary, rules)
    frequencies = {name: meta["pixel_frequency"] for name, meta in metas.items()}
    classes = class_table(judged, {name: meta["classes"] for name, meta in metas.items()}, frequencies, units, rules)
    dials, trained = find_dials(metas), evidence.trained(facts)
    firsts = {pool.first: pool.name for pool in pools}  # what is shown of one fold alone
    searches = {
        (firsts[names[0]], *names[1:]): each for names, each in evidence.searches(axes).items() if names[0] in firsts
    }
    rates = rate_table(searches)
    chosen = pd.concat([gallery_table(by_entry, name, plan["gallery"]) for name in firsts])
    return Story(
        primary=primary,
        rules=rules,
        control=control,
        datasets=metas,
        units=units,
        evaluations=evaluations(measured),
        fits={pooled_cell(cell, pools).dataset: each["plan"]["dataset"]["fit"] for cell, each in trained.items()},
        cells=cell_table(measured),
        repeats=cell_table(repeated),
        leaderboard=board,
        noise=noise,
        differences=difference_table(scores, control, noise, primary, rules),
        classes=classes,
        ranking=rankings(scores, board, primary, rules),
        reliability=reliability_table(measured),
        temperatures=temperature_table(measured, rules),
        curves=evidence.learning_curves(facts, pools),
        gradients=read_gradients(GRADIENTS, {**axes, "dataset": list(firsts)}).renamed(firsts),
        factorial=effects,
        reused=evidence.reused_strategies(facts),
        dials=dials,
        dial=dial_table(dials, board, classes, effects.effects, primary),
        seen=seen_table(pooled(facts, pools), metas),
        decisions=decision_table(decisions(measured), metas, rules),
        rates=rates,
        trials=trial_table(searches),
        tuning=tuning_table(
            scores, {cell.loss: each["plan"]["loss"] for cell, each in trained.items()}, rates, primary, rules
        ),
        chosen=chosen,
        gallery=shown_images(chosen, by_entry, {name: entries[name]["classes"] for name in firsts}, firsts),
        origins=evidence.origins(facts),
    )


def image_weights_of(entry: str, plan: dict[str, Any]) -> Weights:
    """The resamples of the test images of an entry: of whole groups, where there are enough to tell their spread."""
    _, group = np.unique(read_test_groups(PREPARED / entry), return_inverse=True)
    groups = group if group.max() + 1 >= FEWEST_GROUPS else np.arange(len(group))
    return Weights.of(entry, groups, plan["resamples"], plan["interval"])


def units_of(pool: Pool, entries: Mapping[str, Mapping[str, Any]], weights: Mapping[str, Weights]) -> Units:
    """How many units of resampling a dataset of the report has, and how much its folds share."""
    counts = entries[pool.first]["counts"]
    overlap = counts["test"] / counts["train"] if len(pool.entries) > 1 else 0.0
    return Units(sum(weights[entry].units for entry in pool.entries), overlap)


def measure_all(facts: evidence.Facts, weights: Mapping[str, Weights], primary: str) -> dict[Cell, Measured]:
    """Every cell as far as it is known, one at a time."""
    return {cell: _measured(cell, known, weights[cell.dataset], primary) for cell, known in facts.items()}


def per_fold(measured: Mapping[Cell, Measured]) -> dict[Cell, Measured]:
    """Cells as they are counted: the seeds of one fold are one value, since they share its images; others stay."""
    together: dict[Cell, list[Measured]] = {}
    for cell, each in measured.items():
        together.setdefault(cell._replace(seed=which_fold(cell.seed) or cell.seed), []).append(each)
    return {cell: each[0] if len(each) == 1 else mean_over_seeds(each) for cell, each in together.items()}


def evaluations(measured: Mapping[Cell, Measured]) -> dict[str, dict[str, Any]]:
    """How the cells of each dataset were scored: size and tolerance; of a dataset without a finished cell nothing."""
    return {cell.dataset: dict(each.evaluation) for cell, each in measured.items() if each.evaluation}


def decisions(measured: Mapping[Cell, Measured]) -> dict[Cell, dict[str, Any]]:
    """What `evaluate` fitted on the validation split for each finished cell with a decision: offsets, val_miou_before
    and val_miou."""
    return {cell: each.evaluation["decision"] for cell, each in measured.items() if "decision" in each.evaluation}


def _measured(cell: Cell, known: Mapping[str, Any] | None, weights: Weights, primary: str) -> Measured:
    state = evidence.state_of(cell, known)
    if state != "finished":
        return unmeasured(state, weights, primary)
    return measure(evidence.counts_of(cell, known), weights, primary)

"""Stories for the tests of the report, made of synthetic counts by the functions that the report itself uses."""

import itertools

import numpy as np
import pandas as pd
import pytest

from pipeline.measure.counts import objects, skeletons, surfaces
from pipeline.measure.counts.calibration import BINS
from pipeline.measure.counts.store import Counts
from pipeline.measure.statistics.estimates import Rules, Units
from pipeline.measure.story import Shown, Story
from pipeline.measure.tables.calibration import reliability_table, temperature_table
from pipeline.measure.tables.decisions import decision_table
from pipeline.measure.tables.dial import dial_table, find_dials
from pipeline.measure.tables.factorial import factorial
from pipeline.measure.tables.gallery import COLUMNS as GALLERY
from pipeline.measure.tables.gradients import COLUMNS, END, START, GradientTables
from pipeline.measure.tables.measured import Measured, Weights, measure, unmeasured
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
from pipeline.plumbing.labels import IGNORE

CLASSES = {
    "digits": ["background", "zero", "one", "two", "three"],
    "streets": [
        "sky & cloud",
        "building",
        "pole",
        "road",
        "pavement",
        "tree <tall>",
        "sign",
        "fence",
        "car",
        "$walker$",
    ],
}
FREQUENCIES = {
    "digits": [0.9, 0.06, 0.025, 0.011, 0.004],
    "streets": [0.17, 0.25, 0.01, 0.3, 0.06, 0.12, 0.012, 0.013, 0.06, 0.005],
}
CLASSES["digits_rare"] = CLASSES["digits"]  # the same digits with the last one ten times as rare
FREQUENCIES["digits_rare"] = [0.9036, 0.06, 0.025, 0.011, 0.0004]
DECIDING = ("post_hoc_logit_adjustment", "class_thresholds")
FIT = {"iterations": 1200, "batch_size": 16, "optimizer": "adamw", "lr": 0.003, "schedule": "cosine"}
ORIGIN = {
    "seconds": 61.5,
    "device": "cpu: x86_64",
    "threads": 2,
    "python": "3.12.1",
    "versions": {"torch": "2.13.0", "numpy": "2.4.6"},
    "git_commit": "0123abc",
}


@pytest.fixture(scope="session")
def tell():
    """`tell(axes, unfinished)`: a story; `unfinished` gives the states of the cells that did not finish."""
    return make_story


@pytest.fixture(scope="session")
def story() -> Story:
    """Two datasets, three losses under three strategies, three seeds; one cell diverged and one is missing."""
    return make_story(
        axes_of(3, 3, 3),
        {
            Cell("digits", "unet_tiny", "dice", "class_weights", 1): "diverged at iteration 480",
            Cell("streets", "unet_tiny", "focal", "oversample", 2): "missing",
        },
    )


@pytest.fixture(scope="session")
def one_seed() -> Story:
    """One loss, one strategy and one seed, finished."""
    return make_story(axes_of(1, 1, 1))


@pytest.fixture(scope="session")
def nothing_finished() -> Story:
    """What the report shows before any cell is trained."""
    axes = axes_of(2, 2, 2)
    return make_story(axes, dict.fromkeys(combinations(axes), "missing"))


@pytest.fixture(scope="session")
def sizes():
    """`sizes(losses, strategies, seeds)`: axes with that many entries."""
    return axes_of


def axes_of(losses: int, strategies: int, seeds: int) -> dict[str, list[str]]:
    some_losses = ["cross_entropy", "dice", "focal", *(f"focal_tversky_{i}" for i in range(9))]
    some_strategies = ["none", "class_weights", "oversample", *(f"rare_augment_{i}" for i in range(5))]
    return {
        "dataset": ["digits", "streets"],
        "model": ["unet_tiny"],
        "loss": some_losses[:losses],
        "strategy": some_strategies[:strategies],
        "seed": [str(seed) for seed in range(seeds)],
    }


SEARCHES = {
    ("digits", "unet_tiny", "dice"): {
        "lr": 1e-2,
        "untuned_lr": 1e-3,
        "flag": None,
        "trials": [{"lr": 1e-3, "val_miou": 0.4}, {"lr": 1e-2, "val_miou": 0.6}, {"lr": 1e-1, "val_miou": None}],
    },
    ("digits", "unet_tiny", "cross_entropy"): {"lr": 1e-3, "untuned_lr": 1e-3, "flag": None, "trials": []},
}


RULES = Rules(confidence=0.95, interval="t", rope=0.005)
CONTROL = {"loss": "cross_entropy", "strategy": "none"}
IMAGES, RESAMPLES = 12, 200
UNITS = Units(IMAGES)
WEIGHTS = Weights.of("synthetic", np.arange(IMAGES), RESAMPLES, "t")


def make_story(axes: dict[str, list[str]], unfinished: dict[Cell, str] | None = None) -> Story:
    rng = np.random.default_rng(0)
    measured = measure_all(combinations(axes), axes, rng, unfinished or {})
    again = repeats(axes, CONTROL, [100 + int(seed) for seed in axes["seed"]])
    repeated = measure_all(
        again, axes, rng, {} if len(unfinished or {}) < len(measured) else dict.fromkeys(again, "missing")
    )
    units, metas = dict.fromkeys(axes["dataset"], UNITS), {name: meta(name) for name in axes["dataset"]}
    scores, board = scores_of(measured, units, "miou"), leaderboard(measured, units, "miou", RULES)
    noise = noise_table(repeated, scores, CONTROL, "miou", RULES)
    effects = factorial(scores, CONTROL, noise, "miou", RULES)
    classes = class_table(measured, CLASSES, FREQUENCIES, units, RULES)
    dials = find_dials(metas)
    trained = [cell for cell in measured if measured[cell].state != "missing"]
    return Story(
        primary="miou",
        rules=RULES,
        control=CONTROL,
        datasets=metas,
        units=units,
        evaluations={cell.dataset: {"size": "prepared", "tolerance": 2.0} for cell in trained},
        fits={cell.dataset: {**FIT, "checkpoint": "best_validation_miou"} for cell in trained},
        cells=cell_table(measured),
        repeats=cell_table(repeated),
        leaderboard=board,
        noise=noise,
        differences=difference_table(scores, CONTROL, noise, "miou", RULES),
        classes=classes,
        ranking=rankings(scores, board, "miou", RULES),
        reliability=reliability_table(measured),
        temperatures=temperature_table(measured, RULES),
        curves=synthetic_curves(trained, axes, rng),
        gradients=synthetic_gradients(axes if trained else {**axes, "dataset": []}, measured),
        factorial=effects,
        reused={name: "none" for name in axes["strategy"] if name in DECIDING},
        dials=dials,
        dial=dial_table(dials, board, classes, effects.effects, "miou"),
        seen=seen_table({cell: recorded(cell, measured[cell].state) for cell in measured}, metas),
        decisions=decision_table(synthetic_decisions(trained, rng), metas, RULES),
        rates=rate_table(SEARCHES),
        trials=trial_table(SEARCHES),
        tuning=tuning_table(scores, {}, rate_table(SEARCHES), "miou", RULES),
        chosen=pd.DataFrame(columns=GALLERY),
        gallery=[shown(name, number, trained, rng) for name in axes["dataset"] for number in range(2)]
        if trained
        else [],
        origins=[ORIGIN for _ in trained],
    )


def measure_all(
    cells: list[Cell], axes: dict[str, list[str]], rng: np.random.Generator, unfinished: dict[Cell, str]
) -> dict[Cell, Measured]:
    """Each cell measured from counts of its own, unless it did not finish."""
    return {
        cell: unmeasured(unfinished[cell], WEIGHTS, "miou")
        if cell in unfinished
        else measure(synthetic_counts(cell, axes, rng), WEIGHTS, "miou")
        for cell in cells
    }


def quality(cell: Cell, axes: dict[str, list[str]]) -> float:
    """Later losses and strategies are a little better."""
    return 0.80 + 0.015 * axes["loss"].index(cell.loss) + 0.01 * axes["strategy"].index(cell.strategy)


def synthetic_counts(cell: Cell, axes: dict[str, list[str]], rng: np.random.Generator) -> Counts:
    """Of 12 images, worse for rare classes; seeds differ more than images."""
    frequency = np.array(FREQUENCIES[cell.dataset])
    support = rng.multinomial(4096, frequency / frequency.sum(), size=IMAGES)
    recall = np.clip(quality(cell, axes) + 0.06 * np.log10(frequency) + rng.normal(0, 0.004), 0.05, 0.99)
    tp = rng.binomial(support, recall)
    fp = rng.binomial(support, 0.9 * (1 - recall))
    region = {"tp": tp, "fp": fp, "fn": support - tp, "tn": 4096 - support - fp}
    return Counts(
        classes=region | synthetic_shapes(recall, rng),
        images={"pixels": np.full(IMAGES, 4096)}
        | {name: rng.uniform(500, 900, IMAGES) for name in ("nll", "brier", "nll_scaled", "brier_scaled")},
        bins=synthetic_bins(len(frequency), rng),
        evaluation={"temperature": rng.uniform(1.1, 1.6), "size": "prepared", "tolerance": 2.0},
        cost={
            "seconds": 40 + 10 * axes["loss"].index(cell.loss) + rng.uniform(0, 2),
            "seconds_per_iteration": 0.2,
            "images_per_second": 80.0,
            "peak_memory": 1.5e9,
            "loss_share": 0.1,
        },
    )


def synthetic_shapes(recall: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Surfaces, skeletons and objects of which about `recall` (`c`) agree."""
    shape = (IMAGES, len(recall))
    whole = rng.integers(20, 60, shape)
    part = rng.binomial(whole, recall)
    names = [*surfaces.COLUMNS, *skeletons.COLUMNS, *objects.COLUMNS]
    return {name: part if any(word in name for word in PARTS) else whole for name in names}


PARTS = ("intersection", "near", "hit", "matched", "distance", "hd95")


def synthetic_bins(classes: int, rng: np.random.Generator) -> np.ndarray:
    """Overconfident; with temperature less so."""
    pixels = rng.integers(1, 200, (2, IMAGES, 1 + classes, BINS)).astype(float)
    confidence = pixels * (np.arange(BINS) + 0.5) / BINS
    return np.stack([pixels, confidence, confidence * np.array([0.8, 0.95])[:, None, None, None]], axis=-1)


def synthetic_curves(cells: list[Cell], axes: dict[str, list[str]], rng: np.random.Generator) -> pd.DataFrame:
    rows = []
    for cell, step in itertools.product(cells, range(1, 6)):
        scale = {"cross_entropy": 1.2, "dice": 0.6}.get(cell.loss, 0.08)
        loss = scale * (0.15 + np.exp(-step)) * rng.uniform(0.9, 1.1)
        miou = quality(cell, axes) * (1 - np.exp(-0.8 * step)) - rng.uniform(0.1, 0.14)
        rows.append({**cell._asdict(), "iteration": 240 * step, "lr": 0.003, "train_loss": loss, "val_miou": miou})
    return pd.DataFrame(rows, columns=[*Cell._fields, "iteration", "lr", "train_loss", "val_miou"])


def synthetic_gradients(axes: dict[str, list[str]], judged: dict[Cell, Measured]) -> GradientTables:
    """Each loss pulls half as hard as the one before and more at rare classes."""
    rows = {"norms": [], "classes": [], "cosines": []}
    for dataset, model, loss in itertools.product(axes["dataset"], axes["model"], axes["loss"]):
        place, number = {"dataset": dataset, "model": model, "loss": loss}, axes["loss"].index(loss)
        state = judged[Cell(dataset, model, loss, axes["strategy"][0], int(axes["seed"][0]))].state
        for at in (START, END) if state == "finished" else (START,):
            norm, cosine = 0.5**number / (1 if at == START else 1 + 2 * number), 1 - number / 10
            norms = {"weights_norm": norm, "weights_relative": norm, "logits_norm": norm, "logits_relative": norm}
            rows["norms"].append({**place, "at": at, "state": "", **norms, "cosine": cosine})
            frequency = np.array(FREQUENCIES[dataset]) / sum(FREQUENCIES[dataset])
            pull = frequency ** (0.5**number) / (frequency ** (0.5**number)).sum()
            for name, pixels, share in zip(CLASSES[dataset], frequency, pull, strict=True):
                shares = {"class_name": name, "pixel_share": pixels, "gradient_share": share}
                rows["classes"].append({**place, "at": at, **shares})
        if state != "finished":
            rows["norms"].append({**place, "at": END, "state": state})
        for other in axes["loss"]:
            alike = 1 - abs(number - axes["loss"].index(other)) / 6
            rows["cosines"].append({**place, "other": other, "cosine": alike})
    return GradientTables(*(pd.DataFrame(rows[name], columns=COLUMNS._asdict()[name]) for name in rows))


def recorded(cell: Cell, state: str) -> dict | None:
    """cell.json, as far as the report reads it of a cell for what training saw."""
    if state == "missing":
        return None
    pixels = np.array(FREQUENCIES[cell.dataset]) ** (0.5 if cell.strategy == "oversample" else 1)
    reused = cell.strategy in DECIDING
    return {
        "status": "reused" if reused else state.split()[0],
        "classes": CLASSES[cell.dataset],
        "seen_pixels": None if reused else np.rint(1e6 * pixels).tolist(),
    }


def synthetic_decisions(cells: list[Cell], rng: np.random.Generator) -> dict[Cell, dict]:
    """More for rare classes, a little different at each seed."""
    return {
        cell: {
            "offsets": (-np.log(FREQUENCIES[cell.dataset]) + rng.normal(0, 0.1)).tolist(),
            "val_miou_before": 0.6 + rng.normal(0, 0.01),
            "val_miou": 0.65 + rng.normal(0, 0.01),
        }
        for cell in cells
        if cell.strategy in DECIDING
    }


def meta(dataset: str) -> dict:
    return {
        "kind": dataset.removesuffix("_rare"),
        "image_size": [48, 64],
        "image_frequency": [min(1.0, 20 * share) for share in FREQUENCIES[dataset]],
        "classes": CLASSES[dataset],
        "pixel_frequency": FREQUENCIES[dataset],
        "counts": {"train": 200, "val": 60, "test": 12},
        "digest": f"digest-of-{dataset}",
        "spacing": [1.0, 1.0],
        "unit": "px",
        "license": "CC BY 4.0",
        "citation": "Someone & Other (2020). A data set.",
    }


def shown(dataset: str, number: int, cells: list[Cell], rng: np.random.Generator) -> Shown:
    """Discs of every class on the first one, and a void border; each experiment misses some more of them."""
    classes = CLASSES[dataset]
    y, x = np.mgrid[:48, :64]
    truth = np.zeros((48, 64), np.uint8)
    centres = rng.uniform((8, 8), (40, 56), size=(len(classes), 2))
    discs = [(y - row) ** 2 + (x - column) ** 2 < 50 for row, column in centres]
    for index, disc in enumerate(discs[1:], start=1):
        truth[disc] = index
    experiments = {cell.experiment: cell for cell in reversed(cells) if cell.dataset == dataset}
    predictions = {}
    for cell in reversed(experiments.values()):
        moved = np.roll(truth, rng.integers(-3, 4, size=2), axis=(0, 1))
        predictions[cell] = np.where(rng.random(truth.shape) < 0.02, rng.integers(len(classes)), moved).astype(np.uint8)
    image = np.stack([(60 + 18 * truth + c * 20 + rng.integers(0, 30, truth.shape)) % 256 for c in range(3)], axis=-1)
    truth[:2] = truth[:, -2:] = IGNORE
    return Shown(dataset, f"test_{number:03d}.png", image.astype(np.uint8), truth, classes, predictions)

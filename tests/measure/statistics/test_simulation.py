"""The statistics on simulated benchmarks whose truth is known: coverage, false claims, findings.

`make proof` runs all of it in minutes and prints the rows of the tables in docs/statistics.md; the other tests are a
sample in seconds. An interval of 95 % must hold the truth in 93 to 97 of 100 benchmarks.
"""

import itertools
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

from pipeline.measure.statistics.estimates import Resampled, Rules, Units, difference, holm, summarise
from pipeline.measure.statistics.uncertainty import uncertainty
from pipeline.measure.statistics.verdicts import verdict
from tests.measure.statistics.simulation import (
    BY_BOTH,
    BY_IMAGES,
    BY_NOISE,
    BY_SEEDS,
    Effects,
    percent,
    resampled,
    simulate,
    truth,
)

RULES = Rules(confidence=0.95, interval="t", rope=0.005)
EFFECTS = {"seeds": BY_SEEDS, "both": BY_BOTH, "images": BY_IMAGES, "seed x image": BY_NOISE}
DESIGNS = [(3, 60), (5, 60), (5, 300), (10, 60)]
METRICS = ("miou", "miou_image")
BETTER = 0.1  # on the scale of logits
INTERVALS = ("t", "percentile", "bca")
OTHERS = ("percentile", "bca", "satterthwaite")
ROWS = 9


class Setting(NamedTuple):
    """Where the variance comes from, and how much is trained and tested."""

    source: str
    seeds: int
    groups: np.ndarray
    metric: str

    def run(self, advantages: np.ndarray, benchmarks: int, draws: int, seed: int = 1) -> Iterator[list[Resampled]]:
        random = np.random.default_rng(seed)
        for _ in range(benchmarks):
            made = simulate(EFFECTS[self.source], advantages, self.seeds, self.groups, random)
            yield resampled(self.metric, made, draws, random)


@cache
def known(metric: str, effects: Effects, advantage: float) -> float:
    return truth(metric, effects, advantage)


def coverage(setting: Setting, benchmarks: int, draws: int) -> dict[str, np.ndarray]:
    """Share of the intervals that hold the truth, of a mean and of a difference, by kind of interval; with
    `satterthwaite`, what the degrees of freedom that were not chosen would give."""
    hits = {name: np.zeros(2) for name in ("t", *OTHERS)}
    low, high = (known(setting.metric, EFFECTS[setting.source], each) for each in (0.0, BETTER))
    units = Units(len(np.unique(setting.groups)))
    for control, better in setting.run(np.array([0.0, BETTER]), benchmarks, draws):
        paired = Resampled(*(one - other for one, other in zip(better, control, strict=True)))
        for place, (scores, true) in enumerate([(control, low), (paired, high - low)]):
            for interval in INTERVALS:
                found = summarise(scores, RULES._replace(interval=interval), units)
                hits[interval][place] += found.low <= true <= found.high
            hits["satterthwaite"][place] += abs(scores.values.mean() - true) <= _satterthwaite(scores, units)
    return {name: each / benchmarks for name, each in hits.items()}


def _satterthwaite(scores: Resampled, units: Units) -> float:
    """Half the width of the interval."""
    found = uncertainty(scores.values, scores.draws, *units)
    both = found.seeds + found.images
    df = both**2 / (found.seeds**2 / found.df_seeds + found.images**2 / found.df_images)
    return float(stats.t.ppf(0.975, df) * np.sqrt(both))


def claims(
    setting: Setting, advantage: float, rope: float, benchmarks: int, draws: int, unequal: int = 1
) -> np.ndarray:
    """Verdicts `benchmarks rows` on experiments beside the control, the first `unequal` of which have the advantage."""
    rules, units = RULES._replace(rope=rope), Units(len(np.unique(setting.groups)))
    verdicts = []
    for control, *others in setting.run(np.r_[0, [advantage] * unequal, [0] * (ROWS - unequal)], benchmarks, draws):
        rows = [difference(each, control, rules, units) for each in others]
        corrected = [holm(np.array([getattr(row, name) for row in rows])) for name in ("p", "p_equivalent")]
        verdicts.append(
            [verdict(row.mean, *p, np.nan, rules.confidence) for row, *p in zip(rows, *corrected, strict=True)]
        )
    return np.array(verdicts)


def unequal_groups(groups: int, images: int) -> np.ndarray:
    """A group number per image; the largest group is some five times the smallest."""
    return np.searchsorted(np.cumsum(np.linspace(1, 5, groups)) / np.linspace(1, 5, groups).sum(), _middles(images))


def _middles(images: int) -> np.ndarray:
    return (np.arange(images) + 0.5) / images


@pytest.mark.parametrize("source", ["seeds", "images"])
def test_a_sample_of_the_intervals_of_t_holds_the_truth(source):
    """150 benchmarks: 95 % within four standard errors."""
    found = coverage(Setting(source, 5, np.arange(60), "miou"), 150, 200)["t"]
    assert (found > 0.95 - 4 * np.sqrt(0.95 * 0.05 / 150)).all()


def test_a_planted_difference_is_found_and_equal_losses_are_not_told_apart():
    found = claims(Setting("both", 5, np.arange(60), "miou"), 0.8, 0.005, 30, 200)
    assert (found[:, 0] == "better").mean() > 0.8
    assert np.isin(found[:, 1:], ["better", "worse"]).any(axis=1).mean() < 0.2


@pytest.mark.slow
def test_intervals_hold_the_truth_in_93_to_97_of_100_benchmarks():
    """Give or take two standard errors of a setting. Three seeds get more where seeds and images matter alike: a margin
    that holds wherever 3 seeds make up the variance is wider than needed where they do not."""
    print("\n| variance by | seeds | images | of | t | t, mIoU per image | percentile | BCa | Satterthwaite |")
    print("|---|---|---|---|---|---|---|---|---|")
    benchmarks, of_t = 1000, {}
    for source, (seeds, images) in itertools.product(EFFECTS, DESIGNS):
        of_dataset, of_images = (
            coverage(Setting(source, seeds, np.arange(images), metric), benchmarks, 400) for metric in METRICS
        )
        columns = [of_dataset["t"], of_images["t"], *(of_dataset[name] for name in OTHERS)]
        for place, of in enumerate(("mean", "difference")):
            row = " | ".join(percent(each[place], benchmarks) for each in columns)
            print(f"| {source} | {seeds} | {images} | {of} | {row} |", flush=True)
        of_t.setdefault(seeds, []).extend(columns[:2])
    allowance = 2 * np.sqrt(0.97 * 0.03 / benchmarks)
    for seeds, found in of_t.items():
        print(f"t with {seeds} seeds: mean {np.mean(found):.4f}, {np.min(found)} to {np.max(found)}")
        assert np.min(found) >= 0.93 - allowance
        assert np.max(found) <= (0.97 if seeds > 3 else 0.98) + allowance
        assert 0.94 < np.mean(found) < 0.97


@pytest.mark.slow
def test_equal_losses_are_told_apart_in_at_most_5_of_100_benchmarks():
    """After Holm's correction, any false claim among 9 rows; and a difference as large as the rope is not equivalent."""
    print()
    for source, (seeds, images) in [("seeds", (3, 60)), ("both", (5, 60)), ("images", (5, 300)), ("images", (3, 60))]:
        setting = Setting(source, seeds, np.arange(images), "miou")
        false = np.isin(claims(setting, 0.0, 0.005, 2000, 300), ["better", "worse"]).any(axis=1).mean()
        rope = known("miou", EFFECTS[source], 0.8) - known("miou", EFFECTS[source], 0.0)
        alike = (claims(setting, 0.8, rope, 500, 300, unequal=ROWS) == "equivalent").any(axis=1).mean()
        print(f"| {source} | {seeds} | {images} | {percent(false, 2000)} | {percent(alike, 500)} |", flush=True)
        assert false <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 2000)
        assert alike <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 500)


@pytest.mark.slow
def test_planted_differences_and_equivalences_are_found():
    print()
    for seeds, images in [(3, 60), (5, 60), (5, 300), (10, 300)]:
        setting, row = Setting("both", seeds, np.arange(images), "miou"), []
        for advantage in (0.1, 0.2, 0.4, 0.8):
            found = claims(setting, advantage, 0.005, 200, 300)[:, 0]
            gain = known("miou", BY_BOTH, advantage) - known("miou", BY_BOTH, 0.0)
            row.append(f"{gain:.3f}: {percent((found == 'better').mean(), 200)}")
            assert "worse" not in found
        equal = (claims(setting, 0.0, 0.05, 200, 300) == "equivalent").mean()
        print(f"| {seeds} | {images} | {' | '.join(row)} | {percent(equal, 200)} |", flush=True)
    assert (found == "better").mean() > 0.95
    assert equal > 0.8


@pytest.mark.slow
def test_images_of_a_group_must_be_drawn_together():
    print()
    for groups in (5, 10, 20, 40):
        together = Setting("images", 5, unequal_groups(groups, 200), "miou")
        random = np.random.default_rng(7)
        hits = np.zeros((2, 2))
        true = [known("miou", BY_IMAGES, each) for each in (0.0, BETTER)]
        for _ in range(1000):
            made = simulate(BY_IMAGES, np.array([0.0, BETTER]), 5, together.groups, random)
            for respected, drawn in enumerate([made._replace(groups=np.arange(200)), made]):
                control, better = resampled("miou", drawn, 300, random)
                units = Units(len(np.unique(drawn.groups)))
                found = [summarise(control, RULES, units), difference(better, control, RULES, units)]
                for place, aim in enumerate([true[0], true[1] - true[0]]):
                    hits[respected, place] += found[place].low <= aim <= found[place].high
        hits /= 1000
        print(f"| {groups} | {' | '.join(percent(each, 1000) for each in hits[::-1].ravel())} |", flush=True)
        if groups == 20:
            assert (hits[1] >= 0.92).all()
            assert (hits[0] < 0.85).all()

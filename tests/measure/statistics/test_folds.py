"""The statistics of cross-validation on two learners whose true scores are known; `make proof` runs it."""

import numpy as np
import pytest

from pipeline.measure.statistics.bootstrap import image_weights
from pipeline.measure.statistics.estimates import Resampled, Rules, Units, difference, summarise
from tests.measure.statistics import folds
from tests.measure.statistics.simulation import percent

RULES = Rules(confidence=0.95, interval="t", rope=0.005)


@pytest.mark.slow
def test_folds_need_the_correction_of_nadeau_and_bengio():
    """It is a rule of thumb, so that coverage differs with what is learnt. Several seeds of a fold share its training
    and test points: as repeats of their own they would promise more than there is."""
    random, points, runs = np.random.default_rng(8), 50, 3000
    overlaps = (0.0, 1 / (folds.FOLDS - 1))
    print()
    for score, seeds, apart in [(it, *how) for it in folds.SCORES for how in [(1, False), (3, False), (3, True)]]:
        first, second = folds.true_scores(score, points, random)
        truths, hits = {"mean": first, "difference": second - first}, {}
        for made in folds.fold_scores(score, points, seeds, random, runs):
            weights = np.stack([image_weights(np.arange(made.shape[-1]), 200, random) for _ in made[0]])
            one, two = (_pooled(each if apart else each.mean(axis=1, keepdims=True), weights) for each in made)
            for overlap in overlaps:
                units = Units(points, overlap)
                for name, found in [
                    ("mean", summarise(one, RULES, units)),
                    ("difference", difference(two, one, RULES, units)),
                ]:
                    hits.setdefault((name, overlap), []).append(found.low <= truths[name] <= found.high)
        for name in truths:
            shares = [np.mean(hits[name, overlap]) for overlap in overlaps]
            row = " | ".join(percent(each, runs) for each in shares)
            print(f"| {score} | {seeds} | {'apart' if apart else 'mean'} | {name} | {row} |", flush=True)
            assert shares[0] < shares[1]
            assert apart or shares[1] > 0.925


def _pooled(scores: np.ndarray, weights: np.ndarray) -> Resampled:
    """Scores `f s m` of points: a value per fold and seed, and the same under weights `f b m` of the points of a fold."""
    draws = np.einsum("fbm,fsm->bfs", weights, scores) / scores.shape[-1]
    return Resampled(scores.mean(axis=-1).ravel(), draws.reshape(len(draws), -1))

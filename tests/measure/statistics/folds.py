"""Cross-validation of two learners on data without end, to prove the statistics of folds on.

Ridge regressions of labelled points, with hardly any and with much regularisation, judged on the points of the fold
left out. Real learners, since what the correction stands for, training sets that share points, is hard to imitate by
random effects.
"""

from collections.abc import Callable

import numpy as np

FEATURES, FOLDS = 20, 5
RIDGES = np.array([0.1, 30.0])
DIRECTION = np.linspace(0, 0.5, FEATURES)
SEED = 0.05  # standard deviation of a weight over seeds, beside some 0.2 over training sets

SCORES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "squared error": lambda predicted, y: (predicted - y) ** 2,
    "accuracy": lambda predicted, y: (predicted > 0) == (y > 0),
}


def fold_scores(score: str, points: int, seeds: int, random: np.random.Generator, runs: int) -> np.ndarray:
    """Scores `runs 2 folds seeds m` of both learners on each of the m points of each fold."""
    x, y = _points(random, (runs, points))
    scores = []
    for fold in range(FOLDS):
        test = np.arange(points) % FOLDS == fold
        learned = _fit(x[:, ~test], y[:, ~test])
        of_seeds = [_judged(score, learned, x[:, test], y[:, test], random) for _ in range(seeds)]
        scores.append(np.stack(of_seeds, axis=2))
    return np.stack(scores, axis=2)


def true_scores(score: str, points: int, random: np.random.Generator, runs: int = 10_000) -> np.ndarray:
    """Of both learners, `2`, trained on as many points as the folds of `points` leave, and judged on new ones."""
    learned = _fit(*_points(random, (runs, points - points // FOLDS)))
    return _judged(score, learned, *_points(random, (runs, 200)), random).mean(axis=(0, 2))


def _judged(score: str, learned: np.ndarray, x: np.ndarray, y: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Scores `runs 2 m` of weights as one seed leaves them."""
    left = learned + SEED * random.normal(size=learned.shape)
    return np.moveaxis(SCORES[score](x @ left, y[..., None]), -1, 1)


def _points(random: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    x = random.normal(size=(*shape, FEATURES))
    return x, np.sign(x @ DIRECTION + random.normal(size=shape))


def _fit(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Weights `runs features 2`."""
    square, product = np.swapaxes(x, 1, 2) @ x, np.swapaxes(x, 1, 2) @ y[..., None]
    return np.concatenate([np.linalg.solve(square + ridge * np.eye(FEATURES), product) for ridge in RIDGES], axis=-1)

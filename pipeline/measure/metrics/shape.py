"""Shape metrics: whether thin structures stay connected. Columns: `pipeline/measure/counts/skeletons.py`."""

from collections.abc import Mapping

import numpy as np

from pipeline.measure.counts.region import ratio
from pipeline.measure.metrics.base import Score

COLUMNS = ("skeleton_predicted", "skeleton_predicted_hit", "skeleton_true", "skeleton_true_hit")


def cl_dice(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Shit et al., "clDice: a novel topology-preserving loss function for tubular structure segmentation", CVPR 2021.

    Where they divide 0 by 0, since nothing of the one skeleton is in the other mask or one of the two is missing, the
    class is there and not found: 0.
    """
    predicted, predicted_hit, true, true_hit = (columns[name].astype(float) for name in COLUMNS)
    hits = 2 * predicted_hit * true_hit
    score = np.where(hits > 0, ratio(hits, predicted_hit * true + true_hit * predicted), 0)
    return np.where(predicted + true > 0, score, np.nan)


SCORES = {
    "cl_dice": Score(
        "clDice",
        "harmonic mean of the share of the predicted skeleton in the true mask and of the true one in the predicted",
        cl_dice,
        COLUMNS,
        "no score where the class is neither predicted nor true; in one mask only, 0",
    )
}

"""What a training took, from its own record: the same for every resample of the test images."""

from collections.abc import Callable

import numpy as np

from pipeline.measure.metrics.base import Metric, Resample

STEPS = "all steps of the training, validation aside"
WHOLE = "the whole training"


def recorded(name: str) -> Callable[[Resample], np.ndarray]:
    """A number of `Counts.cost`, NaN where it is not known."""
    return lambda resample: np.full(len(resample.weights), resample.counts.cost[name], dtype=float)


def _entry(
    name: str, title: str, formula: str, averages: str, unit: str, high: float = np.inf, higher_is_better: bool = False
) -> tuple[str, Metric]:
    return name, Metric(
        title, "cost", formula, averages, "plays no part", recorded(name), 0.0, high, higher_is_better, unit
    )


METRICS = dict(
    [
        _entry("seconds_per_iteration", "time per iteration", "seconds of the steps / steps", STEPS, "seconds"),
        _entry(
            "images_per_second",
            "images per second",
            "images of the steps / seconds of the steps",
            STEPS,
            "images per second",
            higher_is_better=True,
        ),
        _entry("peak_memory", "peak memory", "most memory held at once", WHOLE, "bytes"),
        _entry(
            "loss_share",
            "loss share of a step",
            "seconds for the loss and its gradient with respect to the logits / seconds of the steps",
            STEPS,
            "",
            high=1.0,
        ),
        _entry("seconds", "total time", "seconds from start to end", WHOLE, "seconds"),
    ]
)

"""Probability metrics: whether the predicted probabilities can be believed, as they are and after temperature scaling.

The temperature is fitted on the validation split (Guo et al., "On calibration of modern neural networks", ICML 2017).
Columns and bins: `pipeline/measure/counts/calibration.py`.
"""

from collections.abc import Callable

import numpy as np

from pipeline.measure.counts.region import ratio
from pipeline.measure.metrics.base import Metric, Resample

FAMILY = "probability"
PIXELS = "all valid pixels of all images"
EVERY_CLASS = "counts like any other: it should have probabilities near 0"
SCALED = {"": "", "_scaled": " after temperature scaling"}  # the order of the first axis of `Counts.bins`


def per_pixel(column: str) -> Callable[[Resample], np.ndarray]:
    return lambda resample: ratio(resample.total_of_images(column), resample.total_of_images("pixels"))


def ece(scaled: int) -> Callable[[Resample], np.ndarray]:
    """Expected calibration error of the top label."""
    return lambda resample: _error(resample, scaled)[:, 0]


def classwise_ece(scaled: int) -> Callable[[Resample], np.ndarray]:
    """Kull et al., "Beyond temperature scaling", NeurIPS 2019."""
    return lambda resample: _error(resample, scaled)[:, 1:].mean(axis=1)


def _error(resample: Resample, scaled: int) -> np.ndarray:
    """`b 1+c`: of the top label and of each class, the mean over bins of |accuracy - mean probability|, weighted by
    their pixels. The bins of a class hold every pixel, by its probability of that class."""
    gap = np.abs(resample.gaps[:, scaled]).sum(axis=-1)
    return ratio(gap, resample.total_of_images("pixels")[:, None])


def _metrics(suffix: str, title: str, scaled: int) -> dict[str, Metric]:
    lower = {"family": FAMILY, "averages": PIXELS, "absent": EVERY_CLASS, "higher_is_better": False}
    return {
        f"nll{suffix}": Metric(
            title=f"negative log-likelihood{title}",
            formula=f"-log probability of the true class{title}",
            compute=per_pixel(f"nll{suffix}"),
            high=np.inf,
            unit="nats",
            **lower,
        ),
        f"brier{suffix}": Metric(
            title=f"Brier score{title}",
            formula=f"sum over classes of (probability - truth)^2{title}",
            compute=per_pixel(f"brier{suffix}"),
            high=2.0,
            **lower,
        ),
        f"ece{suffix}": Metric(
            title=f"expected calibration error{title}",
            formula=f"|accuracy - mean probability| of the predicted class in 15 bins, weighted by pixels{title}",
            compute=ece(scaled),
            **lower,
        ),
        f"classwise_ece{suffix}": Metric(
            title=f"class-wise calibration error{title}",
            formula=f"|frequency - mean probability| of a class in 15 bins, weighted by pixels{title}",
            compute=classwise_ece(scaled),
            **lower | {"averages": f"{PIXELS}, then the mean over classes"},
        ),
    }


METRICS = {
    key: metric
    for scaled, (suffix, title) in enumerate(SCALED.items())
    for key, metric in _metrics(suffix, title, scaled).items()
}

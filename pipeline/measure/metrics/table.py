"""Every metric of the report, one entry each, and every score of a class.

A class without a score (0 / 0) is left out of each mean, never counted as 0 or 1; how often that happens stands beside
the scores of each class. The averages are those of Wang et al., "Revisiting evaluation metrics for semantic
segmentation", NeurIPS 2023: mIoU-D (`miou`), mIoU-I (`miou_image`), mIoU-C (`miou_class`) and worst-case. Their code
leaves a class out of an image in which it is not true; here it has IoU 0 if it is predicted, or to invent it would be
free.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np

from pipeline.measure.metrics import boundary, cost, objects, probability, region, shape
from pipeline.measure.metrics.base import Metric, Resample, Score, mean_of_known

# In the order of the report, and what the members of each have in common.
FAMILIES = {
    "region": "how the predicted and the true pixels of a class overlap",
    "boundary": "how near the edges of the predicted and the true mask of a class are to each other",
    "shape": "whether thin structures stay connected",
    "objects": "connected components of a class, matched where the IoU of their masks is above 0.5",
    "probability": "whether the predicted probabilities can be believed",
    "cost": "what the training took",
}
SCORES = {"region": region.SCORES, "boundary": boundary.SCORES, "shape": shape.SCORES, "objects": objects.SCORES}


class Average(NamedTuple):
    """A way from the scores of images and classes to one number."""

    title: str
    of_classes: str
    """What it averages over, of scores of each class."""
    of_all: str
    """The same of scores of all classes at once; empty where there is no such average."""
    compute: Callable[[Score, Resample], np.ndarray]


AVERAGES = {
    "": Average(
        "{}",
        "counts summed over all images, then the mean over classes",
        "counts summed over all images",
        lambda score, resample: mean_of_known(score.total(resample)),
    ),
    "_image": Average(
        "{} per image",
        "mean over the classes of an image, then over images",
        "mean over images",
        lambda score, resample: resample.mean(mean_of_known(resample.images(score))),
    ),
    "_class": Average(
        "{} per class",
        "mean over images for each class, then over classes",
        "",
        lambda score, resample: mean_of_known(resample.mean(resample.images(score))),
    ),
    "_worst": Average(
        "{} of the worst images",
        "mean over the classes of an image, then over the worst tenth of the images",
        "mean over the worst tenth of the images",
        lambda score, resample: resample.worst(mean_of_known(resample.images(score)), score.higher_is_better),
    ),
}


def _averaged(key: str, score: Score, family: str, title: str, over: Mapping[str, str]) -> dict[str, Metric]:
    """The metrics of a score by key; `over` has what each average is over, by suffix."""
    return {
        f"{key}{suffix}": Metric(
            title=AVERAGES[suffix].title.format(title),
            family=family,
            formula=score.formula,
            averages=averages,
            absent=score.absent,
            compute=partial(AVERAGES[suffix].compute, score),
            low=score.low,
            high=score.high,
            higher_is_better=score.higher_is_better,
            unit=score.unit,
        )
        for suffix, averages in over.items()
        if averages and (suffix or score.sums)
    }


def _of_classes(family: str) -> dict[str, Metric]:
    """The averages of all scores of a family. Region metrics begin with m: mean IoU has always been mIoU."""
    over, prefix = {suffix: each.of_classes for suffix, each in AVERAGES.items()}, "m" if family == "region" else ""
    return {
        key: metric
        for name, score in SCORES[family].items()
        for key, metric in _averaged(f"{prefix}{name}", score, family, f"mean {score.title}", over).items()
    }


def _of_all() -> dict[str, Metric]:
    """The averages of scores of all classes at once."""
    over = {suffix: each.of_all for suffix, each in AVERAGES.items()}
    return {
        key: metric
        for name, score in region.OVERALL.items()
        for key, metric in _averaged(name, score, "region", score.title, over).items()
    }


CLASS_SCORES: dict[str, Score] = {name: score for scores in SCORES.values() for name, score in scores.items()}
REGION = _of_classes("region")
METRICS: dict[str, Metric] = {
    **REGION,
    # the field has two names for it; listed since readers look for either
    "mean_accuracy": REGION["mrecall"]._replace(
        title="mean accuracy", formula="share of the true pixels of a class that are found: recall"
    ),
    **_of_all(),
    **_of_classes("boundary"),
    **_of_classes("shape"),
    **_of_classes("objects"),
    **probability.METRICS,
    **cost.METRICS,
}

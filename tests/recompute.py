"""Every metric of a cell once more: by pandas on what is stored of it, without any of our code.

In pandas 0 / 0 is NaN, which no mean counts: a class without a score is left out.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

FORMULAS = {
    "miou": "tp / (tp + fp + fn)",
    "mdice": "2 * tp / (2 * tp + fp + fn)",
    "mprecision": "tp / (tp + fp)",
    "mrecall": "tp / (tp + fn)",
    "mspecificity": "tn / (tn + fp) + 0 / (tp + fp + fn)",  # NaN also for a class that is nowhere
    "mf1": "2 * tp / ((tp + fp) + (tp + fn))",
    "mf2": "5 * tp / (5 * tp + 4 * fn + fp)",
    "mmcc": "(tp * tn - fp * fn) / ((tp + fp) ** 0.5 * (tp + fn) ** 0.5 * (tn + fp) ** 0.5 * (tn + fn) ** 0.5)",
    "mean_accuracy": "tp / (tp + fn)",
    "pixel_accuracy": "all_tp / all_true",
    "fwiou": "all_weighted / all_true",
    "boundary_iou": "band_intersection / band_union",
    "surface_dice": "(surface_predicted_near + surface_true_near) / (surface_predicted + surface_true)",
    "hd95": "hd95",
    "assd": "(distance_predicted + distance_true) / (surface_predicted + surface_true)",
    # precision 2 x recall / (precision + recall); 0 where neither skeleton hits, NaN where there is no skeleton
    "cl_dice": "2 * skeleton_predicted_hit * skeleton_true_hit / (skeleton_predicted_hit * skeleton_true"
    " + skeleton_true_hit * skeleton_predicted + (skeleton_predicted_hit * skeleton_true_hit == 0))"
    " + 0 / (skeleton_predicted + skeleton_true)",
    "object_precision": "objects_matched / objects_predicted",
    "object_recall": "objects_matched / objects_true",
    "object_f1": "2 * objects_matched / (objects_predicted + objects_true)",
    "box_iou": "matched_box_iou / objects_matched",
    "segmentation_quality": "matched_iou / objects_matched",
    "panoptic_quality": "matched_iou / (objects_predicted / 2 + objects_true / 2)",
}
LOWER_IS_BETTER = {"hd95", "assd"}


def metrics_of(root: Path, cell: str) -> dict[str, float]:
    """The metrics of one cell of a workspace, and a few that the leaderboard does not list."""
    stored = root / "results" / "counts" / cell
    classes, images, bins = (pd.read_parquet(stored / f"{name}.parquet") for name in ("classes", "images", "bins"))
    each = _with_sums(classes)
    total = _with_sums(classes.assign(image=0).groupby(["image", "class_index"], as_index=False).sum())
    found = {}
    for name, formula in FORMULAS.items():
        of_images, of_all = (rows.eval(formula).unstack() for rows in (each, total))
        means = of_images.mean(axis=1)
        found[name] = of_all.mean(axis=1)[0]
        found |= {f"{name}_image": means.mean(), f"{name}_class": of_images.mean().mean()}
        found[f"{name}_worst"] = _worst_tenth(means.dropna().sort_values(ascending=name not in LOWER_IS_BETTER))
    pixels = images["pixels"].sum()
    for suffix, scaled in (("", False), ("_scaled", True)):
        sums = bins[bins["scaled"] == scaled].groupby(["class_index", "bin"])[["hits", "confidence"]].sum()
        errors = (sums["hits"] - sums["confidence"]).abs().groupby("class_index").sum() / pixels
        found |= {f"{name}{suffix}": images[f"{name}{suffix}"].sum() / pixels for name in ("nll", "brier")}
        found |= {f"ece{suffix}": errors[-1], f"classwise_ece{suffix}": errors.drop(-1).mean()}
    return found | _cost(root / "models" / cell)


def _with_sums(rows: pd.DataFrame) -> pd.DataFrame:
    """By image and class; beside the counts of a class stands what all classes of its image have together."""
    rows = rows.set_index(["image", "class_index"])
    parts = rows.assign(true=rows["tp"] + rows["fn"], weighted=rows.eval("(tp + fn) * tp / (tp + fp + fn)"))
    return rows.join(parts.groupby("image")[["tp", "true", "weighted"]].transform("sum").add_prefix("all_"))


def _worst_tenth(values: pd.Series) -> float:
    """Mean of the first tenth: of 25 values, of the first two and half of the third."""
    tenth = len(values) / 10
    return np.interp(tenth, np.arange(len(values) + 1), [0, *values.cumsum()]) / tenth if tenth else np.nan


def _cost(model: Path) -> dict[str, float]:
    """From the record of the training."""
    origin, facts = (json.loads((model / f"{name}.json").read_text()) for name in ("provenance", "cell"))
    recorded = {name: origin[name] for name in ("seconds", "seconds_per_iteration", "loss_share", "peak_memory")}
    batch_size = facts["plan"]["dataset"]["fit"]["batch_size"]
    return recorded | {"images_per_second": batch_size / origin["seconds_per_iteration"]}

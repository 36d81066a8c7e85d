"""Every metric of a cell once more: pandas on the files that are stored of it, none of our code and so no mistake of it.

In pandas 0 / 0 is NaN, and no mean counts NaN: a class without a score is left out.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

OF_CLASSES = {
    "miou": "tp / (tp + fp + fn)",
    "mdice": "2 * tp / (2 * tp + fp + fn)",
    "mprecision": "tp / (tp + fp)",
    "mrecall": "tp / (tp + fn)",
    "mspecificity": "tn / (tn + fp) + 0 / (tp + fp + fn)",  # NaN also for a class that is nowhere
    "mf1": "2 * tp / (tp + fp + tp + fn)",
    "mf2": "5 * tp / (5 * tp + 4 * fn + fp)",
    "mmcc": "(tp * tn - fp * fn) / ((tp + fp) ** 0.5 * (tp + fn) ** 0.5 * (tn + fp) ** 0.5 * (tn + fn) ** 0.5)",
    "mean_accuracy": "tp / (tp + fn)",
    "pixel_accuracy": "all_tp / all_pixels",
    "fwiou": "all_weighted / all_pixels",
    "boundary_iou": "band_intersection / band_union",
    "surface_dice": "(surface_predicted_near + surface_true_near) / (surface_predicted + surface_true)",
    "hd95": "hd95",
    "assd": "(distance_predicted + distance_true) / (surface_predicted + surface_true)",
    "cl_dice": "both / (both / 2 * (1 / precision + 1 / recall) + (both == 0)) + 0 / (skeleton_predicted + skeleton_true)",
    "object_precision": "objects_matched / objects_predicted",
    "object_recall": "objects_matched / objects_true",
    "object_f1": "2 * objects_matched / (objects_predicted + objects_true)",
    "box_iou": "matched_box_iou / objects_matched",
    "segmentation_quality": "matched_iou / objects_matched",
    "panoptic_quality": "matched_iou / (objects_predicted / 2 + objects_true / 2)",
}
LOWER_IS_BETTER = {"hd95", "assd"}

"""Every loss in pipeline/losses with its defaults and with each option moved, for the tests that run over all of them."""

import numpy as np
import pytest
import torch

from pipeline.losses.base import Facts
from pipeline.plumbing import plugins
from pipeline.plumbing.errors import UserError
from tests.losses.informed import Informed
from tests.losses.reference import reference_of
from tests.plugin_options import other_values

NEEDED = {  # options without a default, or whose default leaves nothing of images as small as these
    "compound": {"terms": {"cross_entropy": 1.0, "dice": 1.0}},
    "region_mutual_information": {"stride": 1},
}
WEIGHED = {  # one term takes class weights, the other none
    "cross_entropy": 1.0,
    "focal": {"weight": 1.0, "class_weights": "none"},
}
RAMP = {"cross_entropy": {"weight": {"start": 1.0, "end": 0.0}}, "dice": 1.0}
OTHER_VALUES = {  # for options of no simple type, or whose range holds one of the values out of range tried below
    ("compound", "terms"): [{"cross_entropy": 1.0, "dice": 2.0}, RAMP, WEIGHED],
    ("focal", "alpha"): [[1.0, 2.0, 0.5, 4.0]],
    ("top_k_cross_entropy", "threshold"): [0.7],  # the value jumps there; 0.5 is where two classes tie up to rounding
    ("poly", "epsilon"): [-1.0, 10.0],
    ("cl_dice", "iterations"): [1],  # images of 6 x 5 pixels are eroded away by the default, so more changes nothing
    ("skeleton_recall", "radius"): [0],  # in images of 6 x 5 pixels a class lies within 2 pixels of its skeleton
    ("region_mutual_information", "stride"): [2, 3],  # besides 1, see NEEDED
}
FOR_FOUR_CLASSES = {("focal", "alpha")}  # as long as there are classes, so of no use with batches of 1 to 4 channels
FOR_LARGE_IMAGES = {("region_mutual_information", "stride")}  # 4 x 4 pixels have no region of 3 x 3 cells
LOOKS_AT_NEIGHBOURS = {  # the order of the pixels matters to these
    "blob_dice",
    "boundary",
    "boundary_dou",
    "cl_dice",
    "distance_cross_entropy",
    "gradient",
    "hausdorff",
    "nacl",
    "region_mutual_information",
    "skeleton_recall",
    "ssim",
}
TRUTH_IS_NOT_THE_MINIMUM = {  # why the perfect prediction is not the best for these
    "nacl": "certainty costs",
    "region_mutual_information": "a pattern stronger than that of the truth explains it even better",
}
BLIND_TO_SWAPPED_CLASSES = {  # why every class taken for the next one is no worse for these
    "class_share": "classes of the same size have the same share",
    "region_mutual_information": "mutual information is the same for a class and its complement",
}

SHARED = {"background": False, "over": "image", "absent": "charged"}  # options of base classes, moved together

KINDS = plugins.kinds("losses")
CLASSES = {kind: plugins.find("losses", kind, kind) for kind in KINDS}
OPTIONS = [(kind, option) for kind in KINDS for option in CLASSES[kind].model_fields]
OWN_OPTIONS = [(kind, option) for kind, option in OPTIONS if option not in SHARED]


def moved(kind, option):
    """Values of an option besides its default."""
    return OTHER_VALUES.get((kind, option)) or other_values(CLASSES[kind], option)


def shared(kind):
    """The options that a loss has of base classes, moved."""
    return {option: value for option, value in SHARED.items() if (kind, option) in OPTIONS}


VARIANTS = {kind: (kind, {}) for kind in KINDS}
VARIANTS |= {
    f"{kind}-{option}={value}" if not isinstance(value, dict) else f"{kind}-{option}": (kind, {option: value})
    for kind, option in OWN_OPTIONS
    if (kind, option) not in FOR_FOUR_CLASSES | FOR_LARGE_IMAGES
    for value in moved(kind, option)
}
VARIANTS |= {f"{kind}-shared": (kind, shared(kind)) for kind in KINDS if shared(kind)}


def build_loss(kind, options):
    try:
        return Informed(plugins.build("losses", kind, NEEDED.get(kind, {}) | options, kind))
    except UserError as error:
        pytest.fail(f"{kind} cannot be built with {options}: give it an entry in NEEDED. ({error})")


def reference_value(loss, logits, target, weights):
    """What the equation of the paper gives, all in float64."""
    facts = Facts(
        *(each.double().numpy() if torch.is_tensor(each) else each for each in loss.facts(target, logits.shape[1]))
    )
    weights = np.ones(logits.shape[1]) if weights is None else weights.double().numpy()
    return reference_of(loss.loss, logits.double().numpy(), target.numpy(), weights, facts)


def foreground_alone(loss, classes):
    """Whether the mean of a loss is over one of two classes."""
    return classes == 2 and not getattr(loss, "background", True)

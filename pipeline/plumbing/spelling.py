"""Which known name was probably meant by a word that is none: a slip, initials, or what others call the same."""

import difflib
import re
from collections.abc import Iterable

ALSO_CALLED = {  # what it is called elsewhere, as `_plain` writes it: its names here, of which one is among the known
    "cross_entropy": "bce bcewithlogits binarycrossentropy categoricalcrossentropy logistic nll softmax xe xent",
    "balanced_cross_entropy": "hed wce weightedcrossentropy",
    "boundary": "bd surface",
    "class_balanced": "effectivenumber effectivenumberofsamples",
    "compound": "cedice combined combo dicece dicefocal focaldice sum",
    "dice": "dsc f1 fscore softdice sorensen",
    "focal": "fl",
    "focal_tversky": "tverskyfocal",
    "hausdorff": "hd hddt",
    "jaccard": "iou softiou softjaccard",
    "l1": "mae",
    "logit_adjusted": "logitadjustment",
    "lovasz_softmax": "lovasz lovaszhinge",
    "mcc": "matthews matthewscorrelation",
    "sensitivity_specificity": "sensitivity specificity",
    "ssim": "msssim",
    "top_k_cross_entropy": "bootstrapped bootstrappedcrossentropy ohem ohemcrossentropy topk topkce",
    "tversky": "tl",
    "class_weights": "inversefrequency medianfrequency reweighting weighting weights",
    "hard_pixels": "hardmining hardnegativemining ohem ohnm",
    "none": "baseline control default nothing plain",
    "oversample": "ros resample resampling",
    "post_hoc_logit_adjustment": "posthoc",
    "repeat_factor": "rfs",
    "two_phase": "deferredreweighting drw",
    "undersample": "rus",
    "assd": "asd asds",
    "boundary_iou": "biou",
    "hd95_image": "hausdorff hausdorff95 hd hd95",
    "mdice": "dsc meandice sorensen",
    "mean_accuracy": "macc meanpixelaccuracy mpa",
    "mf1": "f1 fscore",
    "miou": "iou jaccard meanintersectionoverunion meaniou",
    "mmcc": "matthews matthewscorrelation mcc",
    "mrecall": "recall sensitivity tpr",
    "pixel_accuracy": "acc accuracy pa",
    "surface_dice": "normalizedsurfacedice normalizedsurfacedistance nsd",
    "bfloat16": "bf16",
    "float16": "fp16 half",
    "float32": "fp32 full single",
    "polynomial": "poly",
}
TAIL = re.compile(r"(loss|score|coefficient|coef|index)$")


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that `word` most likely stands for; None if none is near."""
    known, plain = sorted(known), _plain(word)
    by_plain = {_plain(name): name for name in reversed(known)}
    for each in (plain, f"m{plain}"):  # `dice` is `mdice` among metrics
        if each in by_plain:
            return by_plain[each]
    for name in known:
        if plain in ALSO_CALLED.get(name, "").split():
            return name
    for name in known:
        if _initials(name) in {word.lower(), plain, plain.removesuffix("l")} - {""}:  # `gdl` has an l for loss
            return name
    close = difflib.get_close_matches(word, known, n=1)
    close += [by_plain[each] for each in difflib.get_close_matches(plain, by_plain, n=1)]
    return close[0] if close else None


def _plain(word: str) -> str:
    """`ResNet-34` and `resnet34`, `Dice Loss` and `dice` are one name."""
    letters = re.sub(r"[^a-z0-9]", "", word.lower())
    return TAIL.sub("", letters) or letters


def _initials(name: str) -> str:
    """`rmi` of `region_mutual_information`, empty for a single word."""
    parts = name.split("_")
    return "".join(part[0] for part in parts if part) if len(parts) > 1 else ""

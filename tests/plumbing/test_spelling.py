"""Which known name is proposed for a word: what people of the field write for it, and what slips look like."""

import pytest

from pipeline.learn.settings import Fit, encoders
from pipeline.measure.metrics.table import METRICS
from pipeline.plumbing.plugins import kinds
from pipeline.plumbing.spelling import ALSO_CALLED, nearest

LOSSES, STRATEGIES = kinds("losses"), kinds("strategies")


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("ce", "cross_entropy"),
        ("CE", "cross_entropy"),
        ("bce", "cross_entropy"),
        ("BCEWithLogitsLoss", "cross_entropy"),
        ("xent", "cross_entropy"),
        ("softmax", "cross_entropy"),
        ("nll", "cross_entropy"),
        ("NLLLoss", "cross_entropy"),
        ("CrossEntropyLoss", "cross_entropy"),
        ("crossentropy", "cross_entropy"),
        ("cross-entropy", "cross_entropy"),
        ("cros_entropy", "cross_entropy"),
        ("cb", "class_balanced"),
        ("rmi", "region_mutual_information"),
        ("RMILoss", "region_mutual_information"),
        ("ftl", "focal_tversky"),
        ("tversky_focal", "focal_tversky"),
        ("gdl", "generalized_dice"),
        ("generalised_dice", "generalized_dice"),
        ("iou", "jaccard"),
        ("soft_iou", "jaccard"),
        ("lovasz", "lovasz_softmax"),
        ("LovaszLoss", "lovasz_softmax"),
        ("msssim", "ssim"),
        ("ms-ssim", "ssim"),
        ("DiceLoss", "dice"),
        ("dice_score", "dice"),
        ("dcie", "dice"),
        ("dice_ce", "compound"),
        ("DiceCELoss", "compound"),
        ("mae", "l1"),
        ("topk", "top_k_cross_entropy"),
        ("ohem", "top_k_cross_entropy"),
        ("tkce", "top_k_cross_entropy"),
        ("clDice", "cl_dice"),
        ("la", "logit_adjusted"),
        ("wce", "balanced_cross_entropy"),
        ("FocalLoss", "focal"),
        ("xyz", None),
        ("", None),
        ("---", None),
        ("ДАЙС", None),
    ],
)
def test_a_loss_is_found_by_what_others_call_it(word, meant):
    assert nearest(word, LOSSES) == meant


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("ohem", "hard_pixels"),
        ("baseline", "none"),
        ("cw", "class_weights"),
        ("reweighting", "class_weights"),
        ("oversampling", "oversample"),
        ("rfs", "repeat_factor"),
        ("rcs", "rare_class_sampling"),
        ("copy-paste", "copy_paste"),
        ("CopyPaste", "copy_paste"),
        ("drw", "two_phase"),
        ("posthoc", "post_hoc_logit_adjustment"),
    ],
)
def test_a_strategy_is_found_by_what_others_call_it(word, meant):
    assert nearest(word, STRATEGIES) == meant


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("mIoU", "miou"),
        ("iou", "miou"),
        ("mean_iou", "miou"),
        ("jaccard", "miou"),
        ("dice", "mdice"),
        ("dice_score", "mdice"),
        ("dsc", "mdice"),
        ("hd95", "hd95_image"),
        ("f1", "mf1"),
        ("recall", "mrecall"),
        ("sensitivity", "mrecall"),
        ("specificity", "mspecificity"),
        ("accuracy", "pixel_accuracy"),
        ("pq", "panoptic_quality"),
        ("nsd", "surface_dice"),
    ],
)
def test_a_metric_is_found_by_what_others_call_it(word, meant):
    assert nearest(word, METRICS) == meant


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("resnet-34", "resnet34"),
        ("ResNet_34", "resnet34"),
        ("efficientnet_b0", "efficientnet-b0"),
        ("resnt18", "resnet18"),
        ("tu-resnext50-32x4d", "tu-resnext50_32x4d"),
    ],
)
def test_an_encoder_is_found_however_its_name_is_written(word, meant):
    assert nearest(word, encoders()) == meant


@pytest.mark.parametrize(
    ("word", "meant"),
    [("AdamW", "adamw"), ("Adam", "adam"), ("adam_w", "adamw"), ("SGD", "sgd"), ("rmsprop", None)],
)
def test_an_optimizer_is_found_and_none_is_taken_for_another(word, meant):
    assert nearest(word, ["sgd", "adam", "adamw"]) == meant


@pytest.mark.parametrize(("word", "meant"), [("bs", "batch_size"), ("wd", "weight_decay"), ("optimiser", "optimizer")])
def test_an_option_is_found_by_its_initials(word, meant):
    assert nearest(word, Fit.model_fields) == meant


@pytest.mark.parametrize("names", [LOSSES, STRATEGIES, list(METRICS)])
def test_a_known_name_means_itself(names):
    assert [nearest(name, names) for name in names] == names


def test_every_other_name_leads_to_one_that_exists_and_to_one_only():
    """Or the table speaks of what is gone."""
    for names in (LOSSES, STRATEGIES, list(METRICS)):
        words = [word for name in names for word in ALSO_CALLED.get(name, "").split()]
        assert len(words) == len(set(words))
    values = ["bfloat16", "float16", "float32", "polynomial"]
    assert set(ALSO_CALLED) <= {*LOSSES, *STRATEGIES, *METRICS, *values}

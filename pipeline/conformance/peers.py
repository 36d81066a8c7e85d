"""The losses of other libraries: how each is called, and what its name promises."""

import functools
from collections.abc import Iterator

from pipeline.conformance import references as ref
from pipeline.conformance.peer import MONAI, Peer
from pipeline.conformance.references import over_batch, per_image

BINARY_LOGIT = "logits[:, 1:] - logits[:, :1]"  # softmax of two channels is the sigmoid of their difference
ONE_OF_B1HW = "target[:, None]"
KORNIA = "all void: documented."
FLAT = "logits.movedim(1, -1).flatten(0, 2), target.flatten()"
PER_CLASS = "ignore_index=255, class_weights=w, **o)(logits, target)"

cross_entropy = over_batch(ref.cross_entropy)
focal, dice = over_batch(ref.focal), over_batch(ref.tversky)
jaccard = over_batch(ref.tversky, alpha=1.0, beta=1.0)
binary_dice = over_batch(ref.tversky, first=1)
binary_jaccard = over_batch(ref.tversky, alpha=1.0, beta=1.0, first=1)


def _torch() -> Iterator[Peer]:
    of = functools.partial(Peer, "torch")
    plain = "nn.CrossEntropyLoss(weight=w, ignore_index=255, **o)(logits, target)"
    yield of(plain, cross_entropy, "cross_entropy", options=("label_smoothing=0.1",), remark="all void: documented.")
    yield of(f"nn.BCEWithLogitsLoss(**o)(({BINARY_LOGIT})[:, 0], target.to(logits))", cross_entropy, classes=2)
    yield Peer(
        "torchvision",
        f"ops.sigmoid_focal_loss(({BINARY_LOGIT})[:, 0], target.to(logits), alpha=-1, reduction='mean', **o)",
        focal,
        classes=2,
        options=("gamma=1.0",),
        title="ops.sigmoid_focal_loss(alpha=-1)",
    )


def _smp() -> Iterator[Peer]:
    of = functools.partial(Peer, "segmentation_models_pytorch")
    log = ("log_loss=True", "classes=[0, 2]", "smooth=1.0")
    yield of(
        "smp.SoftCrossEntropyLoss(**{'smooth_factor': 0.0} | o, ignore_index=255)(logits, target)",
        cross_entropy,
        "cross_entropy",
        options=("smooth_factor=0.1",),
    )
    yield of(f"smp.FocalLoss('multiclass', {PER_CLASS}", focal, "focal", options=("gamma=1.0",))
    yield of(f"smp.DiceLoss('multiclass', {PER_CLASS}", dice, "dice", options=log)
    yield of(f"smp.JaccardLoss('multiclass', {PER_CLASS}", jaccard, "jaccard", options=log)
    yield of(
        f"smp.TverskyLoss('multiclass', {PER_CLASS}", dice, "tversky", options=("alpha=0.3, beta=0.7", "gamma=2.0")
    )
    yield of(
        f"smp.TverskyLoss('multiclass', alpha=0.3, beta=0.7, gamma=0.75, {PER_CLASS}",
        over_batch(ref.tversky, alpha=0.3, beta=0.7, gamma=0.75),
        "focal_tversky",
    )
    yield of(
        "smp.LovaszLoss('multiclass', ignore_index=255, **o)(logits, target)",
        over_batch(ref.lovasz_softmax),
        "lovasz_softmax",
        options=("per_image=True", "from_logits=False"),
    )
    one = f"({BINARY_LOGIT}, {ONE_OF_B1HW})"
    for name, promise, options in (
        ("DiceLoss", binary_dice, log[::2]),
        ("JaccardLoss", binary_jaccard, log[::2]),
        ("TverskyLoss", binary_dice, ("alpha=0.3, beta=0.7", "gamma=2.0")),
        ("FocalLoss", focal, ("gamma=1.0", "alpha=0.25")),
        ("LovaszLoss", over_batch(ref.lovasz_hinge), ("per_image=True",)),
    ):
        yield of(f"smp.{name}('binary', ignore_index=255, **o){one}", promise, classes=2, options=options)
    yield of(
        f"smp.SoftBCEWithLogitsLoss(ignore_index=255, **o)({BINARY_LOGIT}, {ONE_OF_B1HW}.to(logits))",
        cross_entropy,
        classes=2,
        options=("smooth_factor=0.1",),
    )
    sigmoid = f"({BINARY_LOGIT}).sigmoid()"
    yield of(f"smp.MCCLoss()({sigmoid}, {ONE_OF_B1HW})", over_batch(ref.mcc, first=1), classes=2)


def _monai() -> Iterator[Peer]:
    of = functools.partial(Peer, "monai")
    given, soft = f"(logits, {ONE_OF_B1HW})", f"(logits.softmax(1), {ONE_OF_B1HW})"
    summed = f"{MONAI}, batch=True"
    entropy_and = functools.partial(ref.plus, cross_entropy)
    yield of(
        f"monai.DiceLoss({summed}, ignore_index=255, weight=w, **o){given}",
        dice,
        "dice",
        options=("squared_pred=True", "jaccard=True", "include_background=False"),
    )
    yield of(
        f"monai.DiceLoss({summed}, squared_pred=True, ignore_index=255, weight=w){given}", over_batch(ref.squared_dice)
    )
    yield of(f"monai.DiceLoss({summed}, jaccard=True, ignore_index=255, weight=w){given}", jaccard, "jaccard")
    yield of(
        f"monai.FocalLoss(use_softmax=True, to_onehot_y=True, ignore_index=255, weight=w, **o){given}",
        focal,
        "focal",
        options=("gamma=1.0", "alpha=0.25"),
        title="monai.FocalLoss(use_softmax=True, ignore_index=255)",
    )
    yield of(
        f"monai.FocalLoss(use_softmax=True, to_onehot_y=True, weight=w){given}",
        focal,
        title="monai.FocalLoss(use_softmax=True)",
    )
    yield of(
        f"monai.TverskyLoss({summed}, ignore_index=255, **o){given}", dice, "tversky", options=("alpha=0.3, beta=0.7",)
    )
    yield of(
        f"monai.GeneralizedDiceLoss({summed}, **o){given}",
        over_batch(ref.generalized_dice),
        "generalized_dice",
        options=("w_type='simple'",),
    )
    yield of(f"monai.DiceCELoss({summed}, weight=w, **o){given}", entropy_and(dice), options=("lambda_ce=0.5",))
    yield of(
        f"monai.DiceFocalLoss({summed}, weight=w, **o){given}", ref.plus(dice, focal), options=("lambda_focal=0.5",)
    )
    yield of(
        f"monai.GeneralizedDiceFocalLoss({summed}, weight=w, **o){given}",
        ref.plus(over_batch(ref.generalized_dice), focal),
        options=("lambda_focal=0.5",),
    )
    distances = "1 - torch.eye(logits.shape[1])"
    yield of(
        f"monai.GeneralizedWassersteinDiceLoss({distances}, **o)(logits, target)",
        per_image(ref.wasserstein_dice),
        options=("weighting_mode='GDL'",),
        title="monai.GeneralizedWassersteinDiceLoss",
        remark="order: class 0 is the background of the paper.",
    )
    yield of(f"monai.MCCLoss({summed}, **o){given}", over_batch(ref.mcc), "mcc", options=("include_background=False",))
    yield of(
        f"monai.AsymmetricUnifiedFocalLoss(to_onehot_y=True, ignore_index=255, **o){soft}",
        per_image(ref.unified_focal),
        "unified_focal",
        classes=2,
        options=("gamma=0.8", "delta=0.6", "weight=0.2"),
    )
    yield of(
        f"monai.BoundaryLoss({MONAI}, **o){given}",
        ref.boundary,
        "boundary",
        options=("include_background=False",),
        remark="empty mask: a class that fills the image has no boundary to be far from.",
    )
    yield of(
        f"monai.HausdorffDTLoss({MONAI}, include_background=True, **o){given}",
        ref.hausdorff_dt,
        "hausdorff",
        options=("alpha=1.0",),
    )
    yield of(f"monai.SoftclDiceLoss({MONAI}, **o){given}", ref.cl_dice, "cl_dice", options=("iter_=0",))
    yield of(
        "monai.NACLLoss(classes=logits.shape[1], dim=2, **o)(logits, target)",
        ref.neighbour_aware,
        options=("alpha=0.5", "kernel_ops='gaussian'", "distance_type='l2'"),
        title="monai.NACLLoss",
        remark="minimum, absent: scale: it punishes large logits, by its definition.",
    )


def _kornia() -> Iterator[Peer]:
    of = functools.partial(Peer, "kornia")
    given, one = "ignore_index=255, **o)(logits, target)", f"({BINARY_LOGIT}, {ONE_OF_B1HW})"
    yield of(f"kornia.DiceLoss(weight=w, {given}", per_image(ref.tversky), options=("average='macro'",), remark=KORNIA)
    yield of(f"kornia.DiceLoss(average='macro', weight=w, {given}", per_image(ref.tversky), "dice", remark=KORNIA)
    yield of(
        "kornia.TverskyLoss(**{'alpha': 0.3, 'beta': 0.7} | o, ignore_index=255)(logits, target)",
        per_image(ref.tversky, alpha=0.3, beta=0.7),
        "tversky",
        options=("alpha=0.7, beta=0.3",),
        remark=KORNIA,
    )
    yield of(
        "kornia.FocalLoss(**{'alpha': None} | o, weight=w, reduction='mean', ignore_index=255)(logits, target)",
        focal,
        "focal",
        options=("gamma=1.0", "alpha=0.25"),
        remark="value, void: mean, absent: scale, weights: documented.",
    )
    yield of(
        "kornia.LovaszSoftmaxLoss(weight=w)(logits, target)",
        per_image(ref.lovasz_softmax),
        "lovasz_softmax",
        remark="absent: scale, weights: documented.",
    )
    yield of(f"kornia.LovaszHingeLoss()({BINARY_LOGIT}, target)", per_image(ref.lovasz_hinge), classes=2)
    yield of(
        f"kornia.BinaryFocalLossWithLogits(alpha=None, reduction='mean', ignore_index=255, **o){one}",
        focal,
        classes=2,
        options=("gamma=1.0",),
        remark="void: mean: documented.",
    )
    yield of(
        f"kornia.HausdorffERLoss(**o)(logits.softmax(1), {ONE_OF_B1HW})",
        ref.hausdorff_erosion,
        options=("alpha=1.0", "k=1"),
    )


def _toolbelt() -> Iterator[Peer]:
    of = functools.partial(Peer, "pytorch_toolbelt")
    one = f"({BINARY_LOGIT}, {ONE_OF_B1HW})"
    log = ("log_loss=True", "smooth=1.0")
    yield of(
        "toolbelt.SoftCrossEntropyLoss(ignore_index=255, **o)(logits, target)",
        cross_entropy,
        "cross_entropy",
        options=("smooth_factor=0.1",),
    )
    yield of(
        "toolbelt.CrossEntropyFocalLoss(ignore_index=255, class_weights=w, **o)(logits, target)",
        focal,
        "focal",
        options=("gamma=1.0",),
    )
    yield of("toolbelt.DiceLoss('multiclass', ignore_index=255, **o)(logits, target)", dice, "dice", options=log)
    yield of("toolbelt.JaccardLoss('multiclass', **o)(logits, target)", jaccard, "jaccard", options=log)
    yield of(
        "toolbelt.LovaszLoss(ignore=255, **o)(logits.softmax(1), target)",
        over_batch(ref.lovasz_softmax),
        "lovasz_softmax",
        options=("per_image=True",),
    )
    yield of(
        f"toolbelt.BiTemperedLogisticLoss(**{{'t1': 0.8, 't2': 1.0}} | o, ignore_index=255)({FLAT})",
        over_batch(ref.bi_tempered),
        "bi_tempered",
        options=("t1=0.5", "t2=1.4", "smoothing=0.1"),
    )
    yield of(f"toolbelt.SoftF1Loss(ignore_index=255)({FLAT})", dice)
    for call, promise, options in (
        ("DiceLoss('binary', ignore_index=255, **o)", binary_dice, log),
        ("JaccardLoss('binary', **o)", binary_jaccard, log),
        ("BinaryLovaszLoss(ignore_index=255, **o)", over_batch(ref.lovasz_hinge), ("per_image=True",)),
        ("BinaryFocalLoss(ignore_index=255, **o)", focal, ("gamma=1.0", "alpha=0.25")),
        ("SoftBCEWithLogitsLoss(ignore_index=255, **o)", cross_entropy, ("smooth_factor=0.1",)),
        ("BinarySoftF1Loss(ignore_index=255)", binary_dice, ()),
    ):
        yield of(f"toolbelt.{call}{one}", promise, classes=2, options=options)
    yield of(
        f"toolbelt.BalancedBCEWithLogitsLoss(ignore_index=255, **o){one}",
        over_batch(ref.balanced_cross_entropy),
        classes=2,
        options=("gamma=0.5",),
        remark="empty mask: by the equation, which weighs each class by the share of the other.",
    )


PEERS = [*_torch(), *_smp(), *_monai(), *_kornia(), *_toolbelt()]

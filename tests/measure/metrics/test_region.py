"""Region metrics against scikit-learn and torchmetrics; where one of them errs, the test shows how."""

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn

from pipeline.learn.torchvision_schemas import declare_missing_operators
from pipeline.measure.metrics.table import CLASS_SCORES
from tests.measure.metrics.cells import VOID, of_classes, of_masks, once, value

declare_missing_operators()

from torchmetrics import classification, segmentation  # noqa: E402

CLASSES = 4


def masks(seed: int, present: int, images: int = 6, void: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true class indices of which only the first `present` occur."""
    rng = np.random.default_rng(seed)
    predicted, target = rng.integers(0, present, (2, images, 9, 8))
    target[rng.random(target.shape) < void] = VOID
    return predicted, target


CASES = {
    "random": masks(1, present=CLASSES),
    "no void": masks(2, present=CLASSES, void=0),
    "absent class": masks(3, present=CLASSES - 1),
    "single image": masks(4, present=CLASSES, images=1),
    "one class": (np.zeros((2, 3, 3), int), np.zeros((2, 3, 3), int)),
    "one pixel right": (np.array([[[2]]]), np.array([[[2]]])),
    "one pixel wrong": (np.array([[[1]]]), np.array([[[0]]])),
    "all wrong": (np.full((2, 3, 3), 3), np.tile([0, 1, VOID], (2, 3, 1))),
    "never predicted": (np.zeros((2, 3, 3), int), np.tile([0, 1, VOID], (2, 3, 1))),
}
every_case = pytest.mark.parametrize("case", CASES)
common_case = pytest.mark.parametrize("case", ["random", "no void", "single image"])


def valid(case: str) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted labels of the pixels that are not void: scikit-learn knows no ignore index."""
    predicted, target = CASES[case]
    return target[target != VOID], predicted[target != VOID]


def by_class(name: str, case: str) -> np.ndarray:
    return CLASS_SCORES[name].total(once(of_masks(*CASES[case], CLASSES)))[0]


def tensors(case: str) -> tuple[torch.Tensor, torch.Tensor]:
    predicted, target = CASES[case]
    return torch.from_numpy(predicted), torch.from_numpy(target)


def from_one_against_rest(reference, where):
    """A reference of two classes for each class, NaN where it does not hold `where`."""

    def score(target, predicted):
        pairs = [(target == index, predicted == index) for index in range(CLASSES)]
        return [reference(*pair) if where(*pair) else np.nan for pair in pairs]

    return score


def of_labels(reference, **options):
    return lambda t, p: reference(t, p, labels=range(CLASSES), average=None, zero_division=np.nan, **options)


REFERENCES = {
    "iou": from_one_against_rest(sklearn.jaccard_score, lambda t, p: (t | p).any()),
    "dice": of_labels(sklearn.f1_score),
    "precision": of_labels(sklearn.precision_score),
    "recall": of_labels(sklearn.recall_score),
    "specificity": from_one_against_rest(
        lambda t, p: sklearn.recall_score(~t, ~p), lambda t, p: (t | p).any() and not t.all()
    ),
    "f1": of_labels(sklearn.f1_score),
    "f2": of_labels(sklearn.fbeta_score, beta=2),
    "mcc": from_one_against_rest(
        sklearn.matthews_corrcoef, lambda t, p: t.any() and p.any() and not t.all() and not p.all()
    ),
}


@every_case
@pytest.mark.parametrize("name", REFERENCES)
def test_a_score_of_classes_equals_scikit_learn(name, case):
    np.testing.assert_allclose(by_class(name, case), REFERENCES[name](*valid(case)), atol=1e-15)


@every_case
@pytest.mark.parametrize("name", REFERENCES)
def test_the_mean_over_the_dataset_is_that_of_the_known_classes(name, case):
    scores = np.asarray(REFERENCES[name](*valid(case)))
    expected = scores[~np.isnan(scores)].mean() if not np.isnan(scores).all() else np.nan
    assert value(f"m{name}", of_masks(*CASES[case], CLASSES)) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("name", REFERENCES)
def test_the_mean_over_images_and_over_classes_equal_scikit_learn_of_each_image(name):
    scores = np.array(
        [REFERENCES[name](t[t != VOID], p[t != VOID]) for p, t in zip(*CASES["absent class"], strict=True)]
    )
    counts = of_masks(*CASES["absent class"], CLASSES)
    assert value(f"m{name}_image", counts) == pytest.approx(np.nanmean(scores[:, :-1], axis=1).mean())
    assert value(f"m{name}_class", counts) == pytest.approx(np.nanmean(scores[:, :-1], axis=0).mean())


@every_case
def test_accuracies_and_weighted_iou_equal_scikit_learn(case):
    """Mean accuracy is mean recall: of the classes that are true, as balanced accuracy has it."""
    counts, labels = of_masks(*CASES[case], CLASSES), valid(case)
    assert value("pixel_accuracy", counts) == pytest.approx(sklearn.accuracy_score(*labels))
    assert value("mean_accuracy", counts) == value("mrecall", counts)
    recalls = sklearn.recall_score(*labels, labels=np.unique(labels[0]), average="macro")
    assert value("mean_accuracy", counts) == pytest.approx(recalls)
    weighted = sklearn.jaccard_score(*labels, average="weighted", zero_division=0)
    assert value("fwiou", counts) == pytest.approx(weighted)


def test_only_void_is_no_score():
    counts = of_masks(np.zeros((2, 3, 3), int), np.full((2, 3, 3), VOID), CLASSES)
    assert np.isnan([score.total(once(counts)) for score in CLASS_SCORES.values() if score.columns[0] == "tp"]).all()
    assert np.isnan([value("pixel_accuracy", counts), value("fwiou_image", counts)]).all()


def test_the_correlation_of_a_large_dataset_does_not_overflow():
    """Products of ten billion pixels do not fit into int64."""
    counts = of_classes(tp=[[10**10]], fp=[[10**10]], fn=[[10**10]], tn=[[2 * 10**10]])
    expected = (2 - 1) / np.sqrt(2 * 2 * 3 * 3)
    assert CLASS_SCORES["mcc"].of(counts.classes).item() == pytest.approx(expected)


TORCHMETRICS = {
    "miou": classification.MulticlassJaccardIndex,
    "mdice": classification.MulticlassF1Score,
    "mprecision": classification.MulticlassPrecision,
    "mrecall": classification.MulticlassRecall,
    "mspecificity": classification.MulticlassSpecificity,
    "mean_accuracy": classification.MulticlassAccuracy,
    "mf1": classification.MulticlassF1Score,
}


@common_case
@pytest.mark.parametrize("key", TORCHMETRICS)
def test_the_mean_over_the_dataset_equals_torchmetrics_where_every_class_occurs(key, case):
    reference = TORCHMETRICS[key](num_classes=CLASSES, average="macro", ignore_index=VOID)
    assert value(key, of_masks(*CASES[case], CLASSES)) == pytest.approx(reference(*tensors(case)).item(), rel=1e-6)


@common_case
def test_f_beta_accuracy_and_weighted_iou_equal_torchmetrics(case):
    options, counts = {"num_classes": CLASSES, "ignore_index": VOID}, of_masks(*CASES[case], CLASSES)
    for key, reference in {
        "mf2": classification.MulticlassFBetaScore(beta=2.0, **options),
        "pixel_accuracy": classification.MulticlassAccuracy(average="micro", **options),
        "fwiou": classification.MulticlassJaccardIndex(average="weighted", **options),
    }.items():
        assert value(key, counts) == pytest.approx(reference(*tensors(case)).item(), rel=1e-6)


def test_correlation_equals_torchmetrics():
    """Of one class against the rest; its multi-class version is another number, of all classes at once."""
    predicted, target = tensors("no void")
    expected = [
        classification.BinaryMatthewsCorrCoef()((predicted == index).int(), (target == index).int()).item()
        for index in range(CLASSES)
    ]
    np.testing.assert_allclose(by_class("mcc", "no void"), expected, rtol=1e-5)


@pytest.mark.parametrize(("name", "reference"), [("iou", segmentation.MeanIoU), ("dice", segmentation.DiceScore)])
def test_the_mean_over_images_equals_the_segmentation_metrics_of_torchmetrics(name, reference):
    """Without void, and where every class occurs in every image."""
    metric = reference(num_classes=CLASSES, input_format="index", **({"average": "macro"} if name == "dice" else {}))
    assert value(f"m{name}_image", of_masks(*CASES["no void"], CLASSES)) == pytest.approx(
        metric(*tensors("no void")).item(), rel=1e-6
    )


@pytest.mark.parametrize(
    ("name", "metric", "theirs"),
    [
        ("iou", "JaccardIndex", 0.0),
        ("dice", "F1Score", 0.0),
        ("precision", "Precision", 0.0),
        ("recall", "Recall", 0.0),
        ("specificity", "Specificity", 1.0),
    ],
)
def test_torchmetrics_gives_an_absent_class_a_score(name, metric, theirs):
    """0 or 1 for a class that is neither predicted nor true: as if it were missed, or found. It has none."""
    reference = getattr(classification, f"Multiclass{metric}")(num_classes=CLASSES, average=None, ignore_index=VOID)
    found = reference(*tensors("absent class"))
    assert found[-1].item() == theirs
    assert np.isnan(by_class(name, "absent class")[-1])
    np.testing.assert_allclose(by_class(name, "absent class")[:-1], found[:-1], rtol=1e-6)


def test_torchmetrics_counts_a_class_that_is_never_predicted_as_precision_0():
    """No pixel says how precise it is. Its recall, which is 0, says that it is missed."""
    reference = classification.MulticlassPrecision(num_classes=CLASSES, average="macro", ignore_index=VOID)
    assert reference(*tensors("never predicted")).item() == 0.25  # the mean of 0.5 and 0
    counts = of_masks(*CASES["never predicted"], CLASSES)
    assert value("mprecision", counts) == 0.5
    assert value("mrecall", counts) == 0.5


def test_an_undefined_correlation_has_a_value_elsewhere():
    """A class is predicted once and never true. scikit-learn says 0, as of a prediction by chance, torchmetrics 0.41."""
    predicted, target = torch.tensor([0, 0, 1]), torch.tensor([0, 0, 0])
    assert sklearn.matthews_corrcoef(target, predicted) == 0
    assert classification.BinaryMatthewsCorrCoef()(predicted, target).item() == pytest.approx(0.408, abs=1e-3)
    assert np.isnan(by_class("mcc", "one pixel wrong")).all()


def test_the_segmentation_metrics_of_torchmetrics_know_no_void():
    """github.com/Lightning-AI/torchmetrics/issues/2747: the ignore index is taken for a class, and refused."""
    with pytest.raises(RuntimeError, match="must be smaller than num_classes"):
        segmentation.MeanIoU(num_classes=CLASSES, input_format="index")(*tensors("random"))
    with pytest.raises(ValueError, match="Unexpected keyword arguments: `ignore_index`"):
        segmentation.MeanIoU(num_classes=CLASSES, input_format="index", ignore_index=VOID)


def test_torchmetrics_marks_an_absent_class_with_a_number():
    """-1, which a mean over images or classes takes for a score."""
    reference = segmentation.MeanIoU(num_classes=CLASSES, input_format="index", per_class=True)
    assert reference(*tensors("one class")).tolist() == [1, -1, -1, -1]
    np.testing.assert_array_equal(by_class("iou", "one class"), [1, np.nan, np.nan, np.nan])

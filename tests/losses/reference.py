"""What the references of the losses share, in NumPy and float64: the batch as lists of valid pixels by SciPy, and what
the options that losses inherit make of a reference, by other weights, single images, and pixels that are repeated."""

import importlib
from typing import Any

import numpy as np
from scipy.special import softmax

from pipeline.plumbing.labels import IGNORE


def valid_pixels(logits: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities `n c` and one-hot truth `n c` of the n pixels that are not ignored."""
    valid = target != IGNORE
    return np.moveaxis(softmax(logits, axis=1), 1, -1)[valid], np.eye(logits.shape[1])[target[valid]]


def mean(values: np.ndarray, weights: np.ndarray) -> float:
    """Weighted mean; 0 without any weight, by the contract."""
    return float(np.average(values, weights=weights)) if np.sum(weights) else 0.0


def reference_of(loss: Any, logits: np.ndarray, target: np.ndarray, weights: np.ndarray, facts: Any) -> float:
    """What `reference(loss, logits, target, weights, facts)` of the test file of this loss gives, which knows neither
    `background` nor `over` nor `absent`. A batch of void pixels alone costs 0, whatever the paper says."""
    if (target == IGNORE).all():
        return 0.0
    kind, classes = loss.described()["kind"], logits.shape[1]
    reference = importlib.import_module(f"tests.losses.test_{kind}").reference
    background = getattr(loss, "background", True)
    alone = classes == 2 and not background
    price = weights[0] / weights[1] if alone else 1.0
    if background is False or alone:
        weights = np.where(np.arange(classes) == 0, 0.0, weights)
    if not hasattr(loss, "over"):
        return float(reference(loss, logits, target, weights, facts))

    groups = [np.s_[:]] if loss.over == "batch" else [np.s_[[i]] for i in range(len(target))]
    table = np.full((len(groups), classes), np.nan)
    for row, group in zip(table, groups, strict=True):
        charged = loss.absent == "charged" or (loss.absent is None and alone)
        present = [c for c in range(classes) if (target[group] == c).any()]
        absent = [c for c in range(classes) if charged and present and c not in present]
        counted = [c for c in (*present, *absent) if weights[c] and not (kind == "mcc" and present == [c])]
        pooled = kind == "generalized_dice" and counted  # it is one loss of all classes, and no mean over them
        for each in [counted] if pooled else [[c] for c in counted]:
            pixels = _found(logits[group], target[group], [c for c in each if c in absent])
            row[each] = _priced(reference, loss, pixels, weights * np.isin(np.arange(classes), each), facts, price)
    return _mean_over(loss.over, np.ma.masked_invalid(table), weights)


def _priced(reference: Any, loss: Any, pixels: Any, weights: np.ndarray, facts: Any, price: float) -> float:
    """The loss with false positives of this price, by repeated pixels; these leave the two means of a
    sensitivity-specificity loss as they are, which is linear in its weight."""
    if loss.described()["kind"] != "sensitivity_specificity":
        return reference(loss, *_repeated(*pixels, price), weights, facts)
    true, others = (reference(loss.model_copy(update={"weight": w}), *pixels, weights, facts) for w in (1.0, 0.0))
    return loss.weight * true + (1 - loss.weight) * price * others


def _mean_over(over: str, table: np.ma.MaskedArray, weights: np.ndarray) -> float:
    """Of the losses of each image and class, some of them missing."""
    if over == "image_and_class":
        table = table.mean(axis=0, keepdims=True)
    return float(np.ma.filled(np.ma.average(table, axis=1, weights=np.tile(weights, (len(table), 1))).mean(), 0.0))


def _found(logits: np.ndarray, target: np.ndarray, classes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """The same with a hundredth as many pixels more of each of these classes, all found."""
    if not classes:
        return logits, target
    pixels, labels = np.moveaxis(logits, 1, -1)[target != IGNORE], target[target != IGNORE]
    more = [np.tile(1e4 * np.eye(logits.shape[1])[c], (len(labels), 1)) for c in classes]
    pixels = np.concatenate([*[pixels] * 100, *more])
    labels = np.concatenate([*[labels] * 100, *[np.full(len(labels), c) for c in classes]])
    return pixels.T[None, :, None, :], labels[None, None, :]


def _repeated(logits: np.ndarray, target: np.ndarray, price: float) -> tuple[np.ndarray, np.ndarray]:
    """The batch with pixels of the background repeated, or those of the foreground, to this ratio (a power of two)."""
    if price == 1:
        return logits, target
    often = np.where(target == 0, max(1, price), max(1, 1 / price)).astype(int)[target != IGNORE]
    pixels, labels = np.moveaxis(logits, 1, -1)[target != IGNORE], target[target != IGNORE]
    return pixels.repeat(often, axis=0).T[None, :, None, :], labels.repeat(often)[None, None, :]

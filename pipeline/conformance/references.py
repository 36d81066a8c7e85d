"""What the names of losses promise: their equations in NumPy and float64, over softmax probabilities.

Each reads `p` and `g`, `n c`: probabilities and one-hot truth of n pixels. `over_batch` and `per_image` make of it a
function of logits and target, since some libraries sum over the batch and some average over images; both are within
what a name promises. Every class has a pixel, so no rule for absent ones is needed.
"""

from collections.abc import Callable

import cv2
import numpy as np
from scipy import ndimage
from scipy.special import softmax

from pipeline.conformance.experiment import Promise

Equation = Callable[..., float]


def over_batch(equation: Equation, **options: float) -> Promise:
    """All pixels of the batch at once."""

    def promise(logits: np.ndarray, target: np.ndarray) -> float:
        p = np.moveaxis(softmax(logits, axis=1), 1, -1).reshape(-1, logits.shape[1])
        return float(equation(p, np.eye(logits.shape[1])[target.ravel()], **options))

    promise.__doc__ = _documented(equation, options)
    return promise


def per_image(equation: Equation, **options: float) -> Promise:
    """The mean over the images of the batch."""
    whole = over_batch(equation, **options)

    def promise(logits: np.ndarray, target: np.ndarray) -> float:
        return float(np.mean([whole(logits[[i]], target[[i]]) for i in range(len(target))]))

    promise.__doc__ = f"{_documented(equation, options)} Mean over images."
    return promise


def plus(*promises: Promise) -> Promise:
    """The sum of losses."""

    def promise(logits: np.ndarray, target: np.ndarray) -> float:
        return sum(each(logits, target) for each in promises)

    promise.__doc__ = "The sum of: " + " And: ".join(each.__doc__ or "" for each in promises)
    return promise


def _documented(equation: Equation, options: dict[str, float]) -> str:
    """What the page says of a promise: the equation in words, and its constants."""
    words = (equation.__doc__ or "").partition(" The classes are those")[0]
    given = [f"{name} = {value:g}" for name, value in options.items() if name != "first"]
    given += ["class 1 alone"] if options.get("first") else []
    return f"{words} Here {', '.join(given)}." if given else words


def cross_entropy(p: np.ndarray, g: np.ndarray, smoothing: float = 0.0) -> float:
    """Mean of -log p of the true class; of two classes it is binary cross-entropy."""
    g = (1 - smoothing) * g + smoothing / g.shape[1]
    return -(g * np.log(p)).sum(axis=1).mean()


def focal(p: np.ndarray, g: np.ndarray, gamma: float = 2.0) -> float:
    """Lin et al. 2017, equation 4, mean over pixels: gamma = 0 is cross-entropy."""
    p = (p * g).sum(axis=1)
    return -((1 - p) ** gamma * np.log(p)).mean()


def balanced_cross_entropy(p: np.ndarray, g: np.ndarray) -> float:
    """Xie and Tu 2015, equation 2, of two classes, mean over pixels."""
    return -(g * g.mean(axis=0)[::-1] * np.log(p)).sum(axis=1).mean()


def bi_tempered(p: np.ndarray, g: np.ndarray, t1: float = 0.8) -> float:
    """Amid et al. 2019, with the temperature of the softmax at 1: mean Bregman divergence of temperature t1."""
    p = (p * g).sum(axis=1), p
    log_t = (p[0] ** (1 - t1) - 1) / (1 - t1)
    return (-log_t - (1 - (p[1] ** (2 - t1)).sum(axis=1)) / (2 - t1)).mean()


def _counts(p: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, ...]:
    return (p * g).sum(axis=0), (p * (1 - g)).sum(axis=0), ((1 - p) * g).sum(axis=0), ((1 - p) * (1 - g)).sum(axis=0)


def tversky(
    p: np.ndarray, g: np.ndarray, alpha: float = 0.5, beta: float = 0.5, gamma: float = 1.0, first: int = 0
) -> float:
    """Salehi et al. 2017, mean over classes: Dice at alpha = beta = 0.5, Jaccard at 1; with gamma the focal form of
    Abraham and Khan 2019, a power of the loss of each class. The classes are those from `first` on."""
    tp, fp, fn, _ = _counts(p, g)
    return ((1 - tp / (tp + alpha * fp + beta * fn)) ** gamma)[first:].mean()


def squared_dice(p: np.ndarray, g: np.ndarray) -> float:
    """Milletari et al. 2016: Dice with squares in the denominator, mean over classes."""
    return (1 - 2 * (p * g).sum(axis=0) / (p**2 + g).sum(axis=0)).mean()


def generalized_dice(p: np.ndarray, g: np.ndarray) -> float:
    """Sudre et al. 2017: classes weighted by the inverse square of their size."""
    w = 1 / g.sum(axis=0) ** 2
    return 1 - 2 * (w * (p * g).sum(axis=0)).sum() / (w * (p + g).sum(axis=0)).sum()


def wasserstein_dice(p: np.ndarray, g: np.ndarray) -> float:
    """Fidon et al. 2017, with a distance of 1 between all classes; class 0 is the background."""
    wrong = 1 - (p * g).sum(axis=1)
    right = ((1 - wrong) * (1 - g[:, 0])).sum()
    return 1 - 2 * right / (2 * right + wrong.sum())


def lovasz_softmax(p: np.ndarray, g: np.ndarray) -> float:
    """Berman et al. 2018, equations 8, 9 and 11: mean over classes."""
    return np.mean([_lovasz(np.abs(g[:, c] - p[:, c]), g[:, c]) for c in range(p.shape[1])])


def lovasz_hinge(p: np.ndarray, g: np.ndarray) -> float:
    """Berman et al. 2018, the hinge form of two classes, on the logit of class 1."""
    sign, logit = 2 * g[:, 1] - 1, np.log(p[:, 1] / p[:, 0])
    return _lovasz(np.maximum(0, 1 - sign * logit), g[:, 1])


def _lovasz(errors: np.ndarray, truth: np.ndarray) -> float:
    """Lovász extension of the Jaccard loss of one class."""
    order = np.argsort(-errors, kind="stable")
    truth = truth[order]
    jaccard = 1 - (truth.sum() - truth.cumsum()) / (truth.sum() + (1 - truth).cumsum())
    return errors[order] @ np.diff(jaccard, prepend=0)


def mcc(p: np.ndarray, g: np.ndarray, first: int = 0) -> float:
    """Abhishek and Hamarneh 2021: 1 - MCC, mean over classes. The classes are those from `first` on."""
    tp, fp, fn, tn = _counts(p, g)
    return (1 - (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)))[first:].mean()


def unified_focal(p: np.ndarray, g: np.ndarray) -> float:
    """Yeung et al. 2022, the asymmetric form of two classes, with weight 0.5, delta 0.7 and gamma 0.5."""
    tp, fp, fn, _ = _counts(p, g)
    region = 1 - tp / (tp + 0.7 * fn + 0.3 * fp)
    entropy = -g * np.log(p)
    back, front = 0.3 * (1 - p[:, 0]) ** 0.5 * entropy[:, 0], 0.7 * entropy[:, 1]
    return 0.5 * np.mean([back, front]) + 0.5 * np.mean([region[0], region[1] ** 0.5])


def _distance(mask: np.ndarray) -> np.ndarray:
    """To the nearest pixel outside the mask."""
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(float)


def boundary(logits: np.ndarray, target: np.ndarray) -> float:
    """Kervadec et al. 2019: probability times signed distance to the boundary, mean over pixels and classes."""
    p = softmax(logits, axis=1)
    maps = [[np.where(t == c, 1 - _distance(t == c), _distance(t != c)) for c in range(p.shape[1])] for t in target]
    return float((p * np.array(maps)).mean())


def hausdorff_dt(logits: np.ndarray, target: np.ndarray) -> float:
    """Karimi and Salcudean 2019, by distance transforms with alpha 2, mean over pixels and classes."""
    p = softmax(logits, axis=1)
    g = np.moveaxis(np.eye(p.shape[1])[target], -1, 1)
    field = [[_distance(m > 0.5) + _distance(m <= 0.5) if (m > 0.5).any() else 0 * m for m in image] for image in p]
    truth = [[_distance(m > 0.5) + _distance(m <= 0.5) for m in image] for image in g]
    return float(((p - g) ** 2 * (np.array(field) ** 2 + np.array(truth) ** 2)).mean())


def hausdorff_erosion(logits: np.ndarray, target: np.ndarray) -> float:
    """Karimi and Salcudean 2019, by ten erosions of the squared error with alpha 2, mean over pixels and classes."""
    p = softmax(logits, axis=1)
    error = (p - np.moveaxis(np.eye(p.shape[1])[target], -1, 1)) ** 2
    cross, total = np.array([[0, 0.2, 0], [0.2, 0.2, 0.2], [0, 0.2, 0]])[None, None], 0.0
    for k in range(10):
        error = np.maximum(ndimage.convolve(error, cross, mode="constant") - 0.5, 0)
        span = np.ptp(error, axis=(2, 3), keepdims=True)
        error = np.where(span > 0, (error - error.min(axis=(2, 3), keepdims=True)) / np.where(span > 0, span, 1), error)
        total += (error * (k + 1) ** 2).mean()
    return float(total)


def cl_dice(logits: np.ndarray, target: np.ndarray) -> float:
    """Shit et al. 2021, with three iterations of the skeleton, all classes of an image pooled, mean over images; each
    ratio is smoothed by 1, as in the code of the paper."""
    p = softmax(logits, axis=1)
    g = np.moveaxis(np.eye(p.shape[1])[target], -1, 1)
    axes = (1, 2, 3)
    precision = ((_skeleton(p) * g).sum(axes) + 1) / (_skeleton(p).sum(axes) + 1)
    sensitivity = ((_skeleton(g) * p).sum(axes) + 1) / (_skeleton(g).sum(axes) + 1)
    return float(np.mean(1 - 2 * precision * sensitivity / (precision + sensitivity)))


def _skeleton(maps: np.ndarray) -> np.ndarray:
    """The soft skeleton of the paper: what openings of the eroded image leave over, by its algorithm 1."""

    def erode(x: np.ndarray) -> np.ndarray:
        column = ndimage.minimum_filter(x, (1, 1, 3, 1), mode="constant", cval=np.inf)
        return np.minimum(column, ndimage.minimum_filter(x, (1, 1, 1, 3), mode="constant", cval=np.inf))

    def open_(x: np.ndarray) -> np.ndarray:
        return ndimage.maximum_filter(erode(x), (1, 1, 3, 3), mode="constant", cval=-np.inf)

    skeleton = np.maximum(maps - open_(maps), 0)
    for _ in range(3):
        maps = erode(maps)
        rest = np.maximum(maps - open_(maps), 0)
        skeleton = skeleton + np.maximum(rest - skeleton * rest, 0)
    return skeleton


def neighbour_aware(logits: np.ndarray, target: np.ndarray) -> float:
    """Murugesan et al. 2023: cross-entropy plus 0.1 times the distance of logits from the class shares of the 3 x 3
    neighbours."""
    g = np.moveaxis(np.eye(logits.shape[1])[target], -1, 1)
    shares = ndimage.uniform_filter(g, (1, 1, 3, 3), mode="constant")
    return over_batch(cross_entropy)(logits, target) + 0.1 * float(np.abs(shares - logits).mean())

"""The gallery: one figure per test image, with what each experiment predicts and where it errs."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from pipeline.measure.figures.colours import VOID, WRONG, class_colours, painted
from pipeline.measure.figures.style import shortened, styled
from pipeline.measure.story import Shown
from pipeline.plumbing.labels import IGNORE

# Lengths in inches.
SMALL, LARGE = 1.15, 1.7  # width of a prediction, and of image and truth
GAP, LINE, LETTER = 0.08, 0.2, 0.085
KEY = 1.9  # width of a column of the key
PAIR = 2 * SMALL + 3 * GAP


def errors(image: np.ndarray, truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Wrong pixels in a signal colour, void in grey, and correct ones as a pale copy of the image, for orientation."""
    pale = np.rint(165 + 0.35 * image.mean(axis=-1, keepdims=True)).astype(np.uint8)
    judged = np.where((truth == predicted)[..., None], pale, WRONG)
    return np.where((truth == IGNORE)[..., None], VOID, judged)


@styled
def gallery(shown: Shown, model: str, losses: list[str], strategies: list[str]) -> Figure:
    """Image, truth and key above; below, by loss and strategy, each prediction beside its errors."""
    ratio = shown.truth.shape[0] / shown.truth.shape[1]
    names = len(shown.classes) + 2
    key_columns = -(-names // max(4, int(LARGE * ratio / LINE)))
    lines = -(-names // key_columns)
    label = 3 * GAP + LETTER * max(map(len, losses))
    head = 6 * LINE + max(LARGE * ratio, lines * LINE)
    width = label + max(PAIR * len(strategies), 2 * (LARGE + GAP) + KEY * key_columns)
    axes = _sheet(width, head + (SMALL * ratio + GAP) * len(losses))

    cells = [cell for cell in shown.predictions if cell.model == model]
    seeds = ", ".join(map(str, sorted({cell.seed for cell in cells}))) or "none"
    axes.text(GAP, LINE, f"{shown.name}: {shown.dataset}, {model}, seed {seeds}", fontsize=11, va="center")
    pictures = {"image": shown.image, "truth": painted(shown.truth, len(shown.classes))}
    for place, (title, picture) in enumerate(pictures.items()):
        left = label + place * (LARGE + GAP)
        axes.text(left, 2.3 * LINE, title, va="bottom")
        _panel(axes, picture, left, 2.5 * LINE, LARGE)
    _key(axes, shown.classes, label + 2 * (LARGE + GAP) + GAP, 3 * LINE, lines)

    for column, strategy in enumerate(strategies):
        axes.text(label + PAIR * column, head - 1.3 * LINE, strategy, weight="bold")
        for place, what in enumerate(("prediction", "errors")):
            axes.text(label + PAIR * column + place * (SMALL + GAP), head - 0.3 * LINE, what, color="#555555")
    for row, loss in enumerate(losses):
        top = head + (SMALL * ratio + GAP) * row
        axes.text(label - GAP, top + SMALL * ratio / 2, loss, weight="bold", ha="right", va="center")
        for column, strategy in enumerate(strategies):
            found = [shown.predictions[cell] for cell in cells if (cell.loss, cell.strategy) == (loss, strategy)]
            _judged(axes, shown, found, label + PAIR * column, top)
    return axes.figure


def _sheet(width: float, height: float) -> Axes:
    """Bare axes that fill a new figure, in inches from its upper left corner."""
    axes = Figure(figsize=(width, height)).add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    return axes


def _key(axes: Axes, classes: list[str], left: float, top: float, lines: int) -> None:
    """Colours and names, `lines` of them below each other."""
    names = [*classes, "void (not judged)", "wrong"]
    for place, colour in enumerate([*class_colours(len(classes)), VOID, WRONG]):
        column, line = divmod(place, lines)
        x, y = left + KEY * column, top + LINE * line
        axes.add_patch(Rectangle((x, y - 0.07), 0.2, 0.14, facecolor=colour / 255))
        axes.text(x + 0.28, y, shortened(names[place]), va="center")


def _judged(axes: Axes, shown: Shown, predictions: list[np.ndarray], left: float, top: float) -> None:
    """The prediction of one experiment, if there is one, beside its errors."""
    if not predictions:
        axes.text(left, top + LINE, "no prediction", color="#555555")
    for predicted in predictions:
        _panel(axes, painted(predicted, len(shown.classes)), left, top, SMALL)
        _panel(axes, errors(shown.image, shown.truth, predicted), left + SMALL + GAP, top, SMALL)


def _panel(axes: Axes, picture: np.ndarray, left: float, top: float, width: float) -> None:
    bottom = top + width * picture.shape[0] / picture.shape[1]
    axes.imshow(picture, extent=(left, left + width, bottom, top), interpolation="nearest")

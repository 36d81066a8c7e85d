"""The picture that `prepare` draws of the train split."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from pipeline.measure.figures.colours import VOID, class_colours, painted
from pipeline.plumbing.labels import IGNORE

SHOWN = 8  # images


def draw_samples(
    images: np.ndarray, masks: np.ndarray, class_pixels: np.ndarray, classes: list[str], path: Path
) -> None:
    """A few train images, each above the same image under its mask; images that hold rare classes come first."""
    chosen = telling(class_pixels > 0)
    rows, columns = 2 * -(-len(chosen) // 4), 4
    _, height, width = masks.shape
    figure = Figure(figsize=(2.2 * columns, 2.2 * rows * height / width + 1), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.set_axis_off()
    for place, index in enumerate(chosen):
        row, column = 2 * (place // columns), place % columns
        axes[row, column].imshow(images[index])
        axes[row + 1, column].imshow((0.4 * images[index] + 0.6 * painted(masks[index], len(classes))).astype(np.uint8))
    shown = np.unique(masks[chosen]).tolist()
    key = {index: (classes[index], colour / 255) for index, colour in enumerate(class_colours(len(classes)))}
    key[IGNORE] = ("ignored", VOID / 255)
    handles = [Patch(label=key[index][0], color=key[index][1]) for index in shown]
    figure.legend(handles=handles, loc="outside lower center", ncols=min(len(shown), 6), frameon=False)
    figure.savefig(path, dpi=100, metadata={"Software": None})  # without the version, equal data gives equal bytes


def telling(held: np.ndarray) -> list[int]:
    """Up to SHOWN images by which classes they hold (`n classes`): rare ones first, and not always the same."""
    chosen: list[int] = []
    times_shown = np.zeros(held.shape[1])
    while len(chosen) < min(SHOWN, len(held)):
        gain = (held / held.sum(0) / 4**times_shown).sum(1)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        times_shown += held[chosen[-1]]
    return chosen

"""Colours of classes, the same in every picture; Okabe and Ito (2008), which colour-blind readers tell apart."""

import numpy as np
from matplotlib.colors import to_rgb

BLACK = "#000000"
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
VOID = np.array([150, 150, 150], np.uint8)
WRONG = np.array([230, 0, 60], np.uint8)  # no class has this colour, and it is darker than the pale image around it


def class_colours(classes: int) -> np.ndarray:
    """Colours `classes 3` uint8: black, the colours of Okabe and Ito, then these lighter and darker."""
    pure = np.array([to_rgb(colour) for colour in OKABE_ITO])
    colours = np.concatenate([[to_rgb(BLACK)], pure, 0.45 * pure + 0.55, 0.5 * pure])
    return np.rint(255 * colours).astype(np.uint8)[np.arange(classes) % len(colours)]


def painted(mask: np.ndarray, classes: int) -> np.ndarray:
    """A mask of class indices as a picture `h w 3`, void in grey."""
    colours = np.tile(VOID, (256, 1))
    colours[:classes] = class_colours(classes)
    return colours[mask]

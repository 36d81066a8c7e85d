"""Pictures of a single cell, for its MLflow run."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.measure.figures.colours import painted


def learning_curve(history: pd.DataFrame) -> Figure:
    """Training loss and validation mIoU against iteration."""
    figure = Figure(figsize=(8, 3), layout="constrained")
    for axes, column, title in zip(
        figure.subplots(1, 2), ("train_loss", "val_miou"), ("training loss", "validation mIoU"), strict=True
    ):
        axes.plot(history["iteration"], history[column], marker="o")
        axes.set(title=title, xlabel="iteration")
    return figure


def predictions(images: np.ndarray, truths: np.ndarray, predicted: np.ndarray, classes: list[str]) -> Figure:
    """A row per image: the image `h w 3`, its true mask `h w` and the prediction `h w`; void is grey."""
    figure = Figure(figsize=(6, 2 * len(images) + 0.4), layout="constrained")
    grid = figure.subplots(len(images), 3, squeeze=False)
    for row, image, truth, guess in zip(grid, images, truths, predicted, strict=True):
        row[0].imshow(image)
        for axes, mask in zip(row[1:], (truth, guess), strict=True):
            axes.imshow(painted(mask, len(classes)), interpolation="nearest")
    for axes, title in zip(grid[0], ("image", "truth", "prediction"), strict=True):
        axes.set_title(title)
    for axes in grid.flat:
        axes.set_axis_off()
    return figure

"""The gallery: the test images on which the experiments differ most, with what each of them predicts there."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipeline.measure.story import Shown
from pipeline.measure.tables.measured import Measured
from pipeline.plumbing.arrays import open_array
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.files import read_json
from pipeline.plumbing.plan import PREDICTIONS, PREPARED

COLUMNS = ["dataset", "image", "name", "disagreement"]


def gallery_table(measured: Mapping[Cell, Measured], dataset: str, images: int) -> pd.DataFrame:
    """The test images of a dataset on which its experiments differ most, most first: place among the test images, name,
    and the standard deviation of the image's mean IoU over the first seed of each experiment that finished. None where
    there are not two of them."""
    shown, rows = first_seeds(measured, dataset), []
    if len(shown) > 1:
        names = read_json(PREPARED / dataset / "names.json")["test"]
        scores = np.stack([measured[cell].image_iou for cell in shown])
        spread = np.where(np.isnan(scores).any(axis=0), 0.0, scores.std(axis=0))  # NaN: an image of void alone
        chosen = np.argsort(-spread, kind="stable")[:images]
        rows = [(dataset, at, names[at], spread[at]) for at in chosen.tolist()]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"image": int, "disagreement": float})


def first_seeds(measured: Mapping[Cell, Measured], dataset: str) -> list[Cell]:
    """The first cell of each experiment that finished."""
    firsts: dict[tuple[str, ...], Cell] = {}
    for cell, each in measured.items():
        if cell.dataset == dataset and each.state == "finished":
            firsts.setdefault(cell.experiment, cell)
    return list(firsts.values())


def shown_images(
    chosen: pd.DataFrame, measured: Mapping[Cell, Measured], classes: Mapping[str, list[str]], names: Mapping[str, str]
) -> list[Shown]:
    """The chosen images with their truth and the predictions of the first seeds; by dataset its `classes`, and the
    name under which the report shows it."""
    shown = []
    for dataset, rows in chosen.groupby("dataset", sort=False):
        images, truths = (open_array(PREPARED / dataset / f"test_{what}.npy") for what in ("images", "masks"))
        predicted = {cell: stored_masks(cell, rows["image"].tolist()) for cell in first_seeds(measured, dataset)}
        for place, row in enumerate(rows.itertuples()):
            masks = {cell: each[place] for cell, each in predicted.items()}
            shown.append(Shown(names[dataset], row.name, images[row.image], truths[row.image], classes[dataset], masks))
    return shown


def stored_masks(cell: Cell, images: list[int]) -> np.ndarray:
    """The predicted masks `k h w` of some test images."""
    with np.load(PREDICTIONS / f"{cell.name}.npz") as stored:
        return stored["masks"][images]

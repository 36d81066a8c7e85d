"""Files of prepared datasets and of cells, as the stages write them, for the tests of what reads them.

They lie below the working directory, which the tests have moved.
"""

from typing import Any

import numpy as np

from pipeline.measure.counts.store import Counts, write_counts
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.files import write_csv, write_json
from pipeline.plumbing.plan import COUNTS, MODELS, PREDICTIONS, PREPARED
from pipeline.plumbing.prepared import Original, write_test_images

CLASSES = ["ground", "pole"]
HISTORY = ("iteration", "lr", "train_loss", "val_miou", *(f"val_iou/{name}" for name in CLASSES))
ORIGIN = {"seconds": 3.0, "seconds_per_iteration": 0.5, "loss_share": 0.1, "peak_memory": 2**30, "validated": []}
SIZE = (4, 6)


def record_dataset(name: str, groups: list[str], **meta: Any) -> None:
    """A prepared dataset with a test image for each of `groups`; the images differ in brightness."""
    directory, images = PREPARED / name, len(groups)
    names = [f"{place}.png" for place in range(images)]
    known = {"kind": name, "classes": CLASSES, "image_size": list(SIZE), "digest": f"digest of {name}"}
    known |= {"pixel_frequency": [0.9, 0.1], "image_frequency": [1.0, 0.5]}
    known["counts"] = {"train": 20, "val": 5, "test": images}
    write_json(directory / "meta.json", known | meta)
    write_json(directory / "about.json", {"license": "", "citation": "", "spacing": [1.0, 1.0], "unit": "px"})
    write_json(directory / "names.json", {"test": names})
    write_test_images(directory, [Original(*each, *SIZE) for each in zip(names, groups, strict=True)])
    brightness = np.arange(images, dtype=np.uint8)[:, None, None, None]
    np.save(directory / "test_images.npy", np.broadcast_to(brightness, (images, *SIZE, 3)))
    np.save(directory / "test_masks.npy", np.zeros((images, *SIZE), np.uint8))


def record_cell(cell: Cell, counts: Counts | None = None, **facts: Any) -> None:
    """A cell that training has finished, unless `facts` say otherwise; with `counts` it is evaluated too."""
    known = {"cell": cell._asdict(), "status": "finished", "diverged_at": None, "classes": CLASSES} | facts
    fit = {"iterations": 10, "batch_size": 4}
    known |= {"seen_pixels": [90, 10], "plan": {"dataset": {"fit": fit}, "loss": {"kind": cell.loss}}}
    history = [dict.fromkeys(HISTORY, 0.5)] if known["status"] == "finished" else []
    directory = MODELS / cell.name
    write_json(directory / "cell.json", known)
    write_csv(directory / "history.csv", history, HISTORY)
    write_json(directory / "provenance.json", ORIGIN)
    if counts:
        write_counts(COUNTS / cell.name, counts)


def record_masks(cell: Cell, masks: np.ndarray) -> None:
    """The predictions of a cell, `n h w`."""
    PREDICTIONS.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(PREDICTIONS / f"{cell.name}.npz", masks=masks)

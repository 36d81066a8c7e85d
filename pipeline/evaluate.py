"""Stage `evaluate`: predicts the test split with every trained model and stores integer counts per image and class.

Writes `results/counts/<cell>.parquet` (a row per image and class: tp, fp, fn, tn) and `results/predictions/<cell>.npz`
(predicted masks of a few test images, for the gallery). Counts are kept in `.cache/` by what they depend on, so after
an edit only new or changed cells are predicted. This is the only code that predicts the test split.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from pipeline.learn import model as unet
from pipeline.learn.device import chosen_device
from pipeline.learn.predict import on_device, predict
from pipeline.learn.samples import open_split
from pipeline.measure.counts import COUNTS as COLUMNS
from pipeline.measure.counts import count
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.errors import run_stage
from pipeline.plumbing.files import CACHE, digest, file_digest, read_json, whole
from pipeline.plumbing.plan import COUNTS, MODELS, PREDICTIONS, PREPARED, read_plan


def main() -> None:
    settings, device = read_plan("evaluate"), chosen_device()
    metas = {file.parent.name: read_json(file) for file in sorted(PREPARED.glob("[!.]*/meta.json"))}
    found = sorted(MODELS.glob("[!.]*/cell.json"))  # a dot begins what a killed process left
    with whole(COUNTS) as counts, whole(PREDICTIONS) as predictions:
        counts.mkdir(parents=True)
        predictions.mkdir(parents=True)
        for file in tqdm(found, unit="cell", dynamic_ncols=True, disable=None):
            facts = read_json(file)
            cell = Cell(**facts["cell"])
            if metas.get(cell.dataset, {}).get("digest") != facts["data_digest"]:
                tqdm.write(f"{cell.name}: left out, it was trained on data that is no longer prepared.")
            elif facts["status"] == "finished":
                kept = evaluated(cell, facts, settings, device)
                shutil.copy(kept / "counts.parquet", counts / f"{cell.name}.parquet")
                shutil.copy(kept / "predictions.npz", predictions / f"{cell.name}.npz")


def evaluated(cell: Cell, facts: dict[str, Any], settings: dict[str, Any], device: torch.device) -> Path:
    """The kept evaluation of a model, made now if it is not there: a directory named by all that it depends on."""
    weights = MODELS / cell.name / "model"
    files = {
        file.name: file_digest(file) for file in sorted(weights.iterdir()) if file.suffix in (".json", ".safetensors")
    }
    kept = (
        CACHE / "evaluate" / digest([files, facts["data_digest"], facts["mean"], facts["std"], settings, device.type])
    )
    if not kept.is_dir():
        counts, shown = evaluate(weights, facts, PREPARED / cell.dataset, settings, device)
        with whole(kept) as part:
            part.mkdir(parents=True)
            counts.to_parquet(part / "counts.parquet", index=False)
            np.savez_compressed(part / "predictions.npz", **shown)
    return kept


def evaluate(
    weights: Path, facts: dict[str, Any], prepared: Path, settings: dict[str, Any], device: torch.device
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Counts of every test image and class, and the predictions of the gallery: positions `g` and masks `g h w`."""
    images, masks = open_split(prepared, "test")
    classes = len(facts["classes"])
    model = unet.load(weights, facts["mean"], facts["std"]).to(device)
    gallery = gallery_positions(masks, classes, settings["gallery"])
    counts, shown = [], {}
    for where, predicted in predict(model, images, settings["batch_size"], device):
        counts.append(count(predicted, on_device(masks[where], device), classes))
        shown |= {at: predicted[at - where.start].cpu().numpy() for at in gallery if where.start <= at < where.stop}
    masks_shown = np.array([shown[at] for at in gallery], dtype=np.uint8).reshape(len(gallery), *masks.shape[1:])
    return as_table(np.concatenate(counts)), {"positions": np.array(gallery, dtype=np.int64), "masks": masks_shown}


def as_table(counts: np.ndarray) -> pd.DataFrame:
    """Counts `n c 4` as rows of image, class_index, tp, fp, fn, tn."""
    images, classes, _ = counts.shape
    table = pd.DataFrame(counts.reshape(-1, len(COLUMNS)), columns=list(COLUMNS))
    table.insert(0, "image", np.repeat(np.arange(images), classes))
    table.insert(1, "class_index", np.tile(np.arange(classes), images))
    return table


def gallery_positions(masks: np.ndarray, classes: int, wanted: int) -> list[int]:
    """Test images for the gallery, chosen by their true masks alone: those that hold most classes, rare ones first."""
    present = np.array([[(mask == index).any() for index in range(classes)] for mask in masks])
    rarity = 1 / np.maximum(present.mean(axis=0), 1 / len(masks))
    richest = np.argsort(-(present * rarity).sum(axis=1), kind="stable")[:wanted]
    return sorted(int(at) for at in richest)


if __name__ == "__main__":
    run_stage(main)

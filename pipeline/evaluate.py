"""Stage `evaluate`: predicts the test split with every trained model and stores integer counts per image and class.

Writes `results/counts/<cell>.parquet` (a row per image and class: tp, fp, fn, tn) and `results/predictions/<cell>.npz`
(predicted masks of a few test images, for the gallery). A strategy that acts on decisions is first fitted to the
validation split, with the cell's own model or with the one that it reuses; `results/counts/<cell>.decision.json` says
what came of it. Counts are kept in `.cache/` by what they depend on, so after an edit only new or changed cells are
predicted. This is the only code that predicts the test split.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from tqdm import tqdm

from pipeline.learn import model as unet
from pipeline.learn.decision import ValidationScore, as_tensor
from pipeline.learn.device import chosen_device
from pipeline.learn.predict import on_device, predict
from pipeline.learn.samples import open_split
from pipeline.measure.counts.region import COUNTS as COLUMNS
from pipeline.measure.counts.region import count
from pipeline.plumbing import plugins
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.errors import UserError, run_stage
from pipeline.plumbing.files import CACHE, digest, file_digest, read_json, whole, write_json
from pipeline.plumbing.plan import COUNTS, MODELS, PREDICTIONS, PREPARED, options_of, read_plan
from pipeline.strategies.base import ClassStatistics, Strategy


def main() -> None:
    settings, device = read_plan("evaluate"), chosen_device()
    digests = {file.parent.name: read_json(file)["digest"] for file in PREPARED.glob("[!.]*/meta.json")}
    found = sorted(MODELS.glob("[!.]*/cell.json"))  # a dot begins what a killed process left
    with whole(COUNTS) as counts, whole(PREDICTIONS) as predictions:
        counts.mkdir(parents=True)
        predictions.mkdir(parents=True)
        for file in tqdm(found, unit="cell", dynamic_ncols=True, disable=None):
            facts = read_json(file)
            cell = Cell(**facts["cell"])
            if reason := obstacle(facts, digests):
                tqdm.write(f"{cell.name}: left out, it {reason}.")
                continue
            kept = evaluated(cell, facts, settings, device)
            shutil.copy(kept / "counts.parquet", counts / f"{cell.name}.parquet")
            shutil.copy(kept / "predictions.npz", predictions / f"{cell.name}.npz")
            if (kept / "decision.json").is_file():
                shutil.copy(kept / "decision.json", counts / f"{cell.name}.decision.json")


def obstacle(facts: dict[str, Any], digests: dict[str, str]) -> str:
    """Why a cell cannot be judged, given the digest of each prepared dataset; empty if it can."""
    if digests.get(facts["cell"]["dataset"]) != facts["data_digest"]:
        return "rests on data that is no longer prepared"
    if facts["status"] == "diverged":
        return f"diverged at iteration {facts['diverged_at']}"
    try:
        strategy_of(facts)
    except UserError as mistake:  # of a cell that params.yaml no longer names
        return f"has a strategy that can no longer be built ({str(mistake).rstrip('.')})"
    if facts["status"] != "reused":
        return ""
    source = MODELS / facts["weights_of"] / "cell.json"
    reason = obstacle(read_json(source), digests) if source.is_file() else "is missing"
    return reason and f"judges the weights of {facts['weights_of']}, which {reason}"


def strategy_of(facts: dict[str, Any]) -> Strategy:
    """The strategy of a cell. Raises UserError if its file or one of its options is gone."""
    return plugins.restore("strategies", options_of(facts["plan"]["strategy"]), f"strategy {facts['cell']['strategy']}")


def evaluated(cell: Cell, facts: dict[str, Any], settings: dict[str, Any], device: torch.device) -> Path:
    """The kept evaluation of a cell, made now if it is not there: a directory named by all that it depends on."""
    weights, strategy = MODELS / facts.get("weights_of", cell.name) / "model", strategy_of(facts)
    decides = "decisions" in strategy.aspects
    files = {
        file.name: file_digest(file) for file in sorted(weights.iterdir()) if file.suffix in (".json", ".safetensors")
    }
    depends_on = [files, facts["data_digest"], facts["mean"], facts["std"], settings, device.type]
    kept = CACHE / "evaluate" / digest([*depends_on, *([facts["plan"]["strategy"]] if decides else [])])
    if not kept.is_dir():
        prepared, batch_size = PREPARED / cell.dataset, settings["batch_size"]
        model = unet.load(weights, facts["mean"], facts["std"]).to(device)
        decision = decide(strategy, model, prepared, batch_size, device) if decides else None
        offsets = as_tensor(np.array(decision["offsets"]), device) if decision else None
        counts, shown = evaluate(model, len(facts["classes"]), prepared, settings, device, offsets)
        with whole(kept) as part:
            part.mkdir(parents=True)
            counts.to_parquet(part / "counts.parquet", index=False)
            np.savez_compressed(part / "predictions.npz", **shown)
            if decision:
                write_json(part / "decision.json", decision)
    return kept


def decide(
    strategy: Strategy, model: nn.Module, prepared: Path, batch_size: int, device: torch.device
) -> dict[str, Any]:
    """What is added to the logits of each class, and mean IoU on the validation split without and with it."""
    score = ValidationScore(model, prepared, batch_size, device)
    offsets = strategy.decision(ClassStatistics.read(prepared), score)
    before = score(np.zeros_like(offsets))
    return {"offsets": offsets.tolist(), "val_miou_before": before, "val_miou": score(offsets)}


def evaluate(
    model: nn.Module,
    classes: int,
    prepared: Path,
    settings: dict[str, Any],
    device: torch.device,
    offsets: Tensor | None = None,
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Counts of every test image and class, and the predictions of the gallery: positions `g` and masks `g h w`.

    `offsets` are added to the logits of the classes before the largest is taken.
    """
    images, masks = open_split(prepared, "test")
    gallery = gallery_positions(masks, classes, settings["gallery"])
    counts, shown = [], {}
    for where, predicted in predict(model, images, settings["batch_size"], device, offsets):
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

"""Stage `evaluate`: predicts the test split with every trained model and stores counts per image and class.

Writes `results/counts/<cell>/` (see `pipeline/measure/counts/store.py`) and `results/predictions/<cell>.npz` (the
predicted masks, for the gallery). What needs fitting, a temperature and the decision of a strategy that acts on
decisions, is fitted on the validation split, with the cell's own model or with the one that it reuses. Counts are kept
in `.cache/` by what they depend on, so after an edit only new or changed cells are predicted. This is the only code
that predicts the test split.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from pipeline.learn import model as unet
from pipeline.learn.device import chosen_device
from pipeline.learn.judging import judge
from pipeline.measure.counts.store import write_counts
from pipeline.plumbing import plugins
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.errors import UserError, run_stage
from pipeline.plumbing.files import CACHE, digest, file_digest, read_json, whole
from pipeline.plumbing.plan import COUNTS, MODELS, PREDICTIONS, PREPARED, options_of, read_plan
from pipeline.plumbing.prepared import MASKS, read_test_spacing
from pipeline.strategies.base import Strategy


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
            shutil.copytree(kept / "counts", counts / cell.name)
            shutil.copy(kept / "predictions.npz", predictions / f"{cell.name}.npz")


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
    weights, strategy, prepared = (
        MODELS / facts.get("weights_of", cell.name) / "model",
        strategy_of(facts),
        PREPARED / cell.dataset,
    )
    files = {
        file.name: file_digest(file) for file in sorted(weights.iterdir()) if file.suffix in (".json", ".safetensors")
    }
    depends_on = [files, facts["data_digest"], facts["mean"], facts["std"], settings, device.type]
    originals = (
        [file_digest(prepared / MASKS)] if (prepared / MASKS).is_file() and settings["size"] == "original" else []
    )
    depends_on += [read_test_spacing(prepared, settings["size"]), *originals]
    decides = "decisions" in strategy.aspects
    kept = CACHE / "evaluate" / digest([*depends_on, *([facts["plan"]["strategy"]] if decides else [])])
    if not kept.is_dir():
        model = unet.load(weights, facts["mean"], facts["std"]).to(device)
        counts, masks = judge(model, strategy, prepared, settings, device)
        with whole(kept) as part:
            write_counts(part / "counts", counts)
            np.savez_compressed(part / "predictions.npz", masks=masks)
    return kept


if __name__ == "__main__":
    run_stage(main)

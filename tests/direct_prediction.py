"""What a saved model says, by a forward pass written out here: to check what `evaluate` stores and `report` says."""

import json
from pathlib import Path

import numpy as np


def logits_and_truth(root: Path, cell: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Logits `n c h w` and true masks `n h w` of a split of digits, in a workspace."""
    import torch

    from pipeline.learn import model as unet

    directory, prepared = root / "models" / cell, root / "data" / "prepared" / "digits"
    facts = json.loads((directory / "cell.json").read_text())
    model = unet.load(directory / "model", facts["mean"], facts["std"]).unet
    x = (np.load(prepared / f"{split}_images.npy") / 255 - np.array(facts["mean"])) / np.array(facts["std"])
    with torch.inference_mode():
        logits = model(torch.tensor(x.transpose(0, 3, 1, 2), dtype=torch.float32))
    return logits.numpy(), np.load(prepared / f"{split}_masks.npy")

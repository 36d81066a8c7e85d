"""The best cell of a dataset, in the model registry under the alias `best`.

The report says which experiment is best, by the mean over its seeds on the test split. Which of its cells is taken, the
validation split says: by the test split it would be the luckiest.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.mlflow_view.names import cell_name
from pipeline.mlflow_view.showcase import Showcase
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.files import digest, read_json
from pipeline.plumbing.lazy import torch
from pipeline.plumbing.plan import COUNTS, MODELS, PREPARED
from pipeline.plumbing.tracked_models import register, registered, unregister

ALIAS = "best"


def publish_best(showcase: Showcase, name: str, cells: Sequence[Cell]) -> None:
    """Register the best of the cells of the best experiment as model `name`, unless it is registered already."""
    scores = {cell: validation_score(cell) for cell in cells}
    cell = max(scores, key=scores.__getitem__)
    facts, decision = read_json(MODELS / cell.name / "cell.json"), decision_of(cell)
    run = showcase.runs[facts["fingerprint"]]
    content, version = digest([facts["fingerprint"], decision]), registered(showcase.store, name, ALIAS)
    same = version is not None and version.tags.get("content") == content
    if same and version.run_id == run.info.run_id:
        return
    about = (
        f"{cell_name(cell)}: of the experiment with the best mean on the test split of {name}, the cell with the best "
        f"mean IoU on the validation split. uint8 images `b 3 h w` to logits `b c h w`, h and w as in training; "
        f"`mlflow.pytorch.load_model('models:/{name}@{ALIAS}')` loads it."
    )
    module, example = decided_model(cell, facts, decision)
    tags = {"content": content, "loss": cell.loss, "strategy": cell.strategy, "seed": str(cell.seed)}
    register(showcase.store, run, name, ALIAS, module, example, about, tags)
    if same:  # its run was replaced
        unregister(showcase.store, version)


def validation_score(cell: Cell) -> float:
    """Mean IoU on the validation split, with the decision that was fitted there if there is one."""
    facts, decision = read_json(MODELS / cell.name / "cell.json"), decision_of(cell)
    return decision["val_miou"] if decision else facts["checkpoint"]["val_miou"]


def decision_of(cell: Cell) -> Any:
    return read_json(COUNTS / cell.name / "evaluation.json").get("decision")


def decided_model(cell: Cell, facts: dict[str, Any], decision: Any) -> tuple[Any, np.ndarray]:
    """A torch module from uint8 images to logits, with what the cell's strategy adds to them after training; and two
    test images to try it with."""
    from pipeline.learn import model as unet  # imports torch for seconds, which an unchanged winner does not need

    module = unet.load(MODELS / facts.get("weights_of", cell.name) / "model", facts["mean"], facts["std"])
    if decision:
        last = module.unet.segmentation_head[0]
        last.bias.data += torch.tensor(decision["offsets"], dtype=last.bias.dtype)
    images = np.load(PREPARED / cell.dataset / "test_images.npy", mmap_mode="r")[:2]
    return module, np.ascontiguousarray(images.transpose(0, 3, 1, 2))

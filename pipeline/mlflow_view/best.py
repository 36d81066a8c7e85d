"""The best cell of a dataset, in the model registry under the alias `best`.

The report says which experiment is best, by the mean over its seeds on the test split. Which of its cells is taken, the
validation split says: by the test split it would be the luckiest.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from pipeline.measure.metrics.table import METRICS
from pipeline.mlflow_view.cells import CellFiles
from pipeline.mlflow_view.names import cell_name
from pipeline.mlflow_view.report import names_of
from pipeline.mlflow_view.showcase import CONTENT, Showcase
from pipeline.plumbing.arrays import open_array
from pipeline.plumbing.cells import Cell
from pipeline.plumbing.files import digest
from pipeline.plumbing.lazy import torch
from pipeline.plumbing.plan import MODELS, PREPARED
from pipeline.plumbing.tracked_models import register, registered, unregister

ALIAS = "best"


def best_cell(
    rows: Iterable[Mapping[str, Any]], experiments: Mapping[tuple[str, ...], list[Cell]], primary: str
) -> Cell | None:
    """The best cell of the best row of the leaderboard; None if no training of that has finished."""
    sign = 1 if METRICS[primary].higher_is_better else -1
    scored = [row for row in rows if row[primary] == row[primary]]
    best = max(scored, key=lambda row: sign * row[primary], default=None)
    judged = [CellFiles.read(cell) for cell in (experiments[names_of(best)] if best else [])]
    finished = [files for files in judged if files.status == "finished" and files.evaluation]
    return max(finished, key=_validation_score).cell if finished else None


def publish_best(showcase: Showcase, name: str, cell: Cell) -> None:
    """Register the weights of the best cell, which has a run, as model `name`, unless that is what is registered."""
    files = CellFiles.read(cell)
    run = showcase.runs[files.facts["fingerprint"]]
    content = digest([files.facts["fingerprint"], files.decision])
    version = registered(showcase.store, name, ALIAS)
    same = version is not None and version.tags.get(CONTENT) == content
    if same and version.run_id == run.info.run_id:
        return
    about = (
        f"{cell_name(cell)}: of the experiment with the best mean on the test split of {name}, the cell with the best "
        f"mean IoU on the validation split. uint8 images `b 3 h w` to logits `b c h w`, h and w as in training; "
        f"`mlflow.pytorch.load_model('models:/{name}@{ALIAS}')` loads it."
    )
    tags = {CONTENT: content, "loss": cell.loss, "strategy": cell.strategy, "seed": str(cell.seed)}
    register(showcase.store, run, name, ALIAS, *decided_model(files), about, tags)
    if same:  # its run was replaced
        unregister(showcase.store, version)


def decided_model(files: CellFiles) -> tuple[Any, np.ndarray]:
    """A torch module from uint8 images to logits, with what the cell's strategy adds to them after training; and two
    test images to try it with."""
    from pipeline.learn import model as unet  # imports torch for seconds, which an unchanged winner does not need

    facts, cell = files.facts, files.cell
    module = unet.load(MODELS / facts.get("weights_of", cell.name) / "model", facts["mean"], facts["std"])
    if files.decision:
        last = module.unet.segmentation_head[0]
        last.bias.data += torch.tensor(files.decision["offsets"], dtype=last.bias.dtype)
    images = open_array(PREPARED / cell.dataset / "test_images.npy")[:2]
    return module, np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _validation_score(files: CellFiles) -> float:
    """Mean IoU on the validation split, with the decision that was fitted there if there is one."""
    return files.decision["val_miou"] if files.decision else files.facts["checkpoint"]["val_miou"]

"""What the run of a cell is called in MLflow, the tags by which it is found, and its params."""

from collections.abc import Mapping
from typing import Any

from pipeline.plumbing.cells import Cell
from pipeline.plumbing.plan import MODELS, options_of
from pipeline.plumbing.tracking import KEY

PARENT, COMMIT = "mlflow.parentRunId", "mlflow.source.git.commit"


def cell_name(cell: Cell) -> str:
    """What tells most comes first, since MLflow cuts long names off."""
    return f"{cell.loss} · {cell.strategy} · seed {cell.seed} · {cell.model}"


def cell_tags(facts: Mapping[str, Any]) -> dict[str, str]:
    """Tags by which the run of a cell is found, grouped and filtered; `facts` as in cell.json."""
    cell, reused = Cell(**facts["cell"]), facts.get("status") == "reused"
    return {
        "kind": "cell",
        KEY: facts["fingerprint"],
        "dataset": cell.dataset,
        "model": cell.model,
        "loss": cell.loss,
        "strategy": cell.strategy,
        "seed": str(cell.seed),
        "dvc.stage": cell.stage,
        "dvc.path": str(MODELS / (facts["weights_of"] if reused else cell.name)),
        "data.digest": facts["data_digest"],
        **({"weights_of": facts["weights_of"]} if reused else {}),
    }


def cell_params(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Flat params, numbers as numbers: the axes, then every resolved option as `loss.gamma` or `fit.lr`."""
    plan, flat = facts["plan"], dict(facts["cell"])
    fit = plan["dataset"]["fit"] | {"lr": facts["lr"]}
    blocks = {"model": plan["model"], "loss": plan["loss"], "strategy": plan["strategy"], "fit": fit}
    for block, options in blocks.items():
        flat |= {f"{block}.{key}": value for key, value in options_of(options).items()}
    return flat

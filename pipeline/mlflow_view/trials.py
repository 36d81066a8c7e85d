"""The runs of trials: each training of a search for a learning rate."""

from pathlib import Path
from typing import Any

from pipeline.mlflow_view.showcase import Exhibit
from pipeline.plumbing.files import digest, read_json
from pipeline.plumbing.plan import TUNED, read_plan
from pipeline.plumbing.tracking import Point, Store

CURVES = {"train/loss": "train_loss", "val/miou": "val_miou"}


def trial_exhibits(search: str) -> list[Exhibit]:
    """The runs of one search, DATASET-MODEL-LOSS."""
    return [_trial(search, file) for file in sorted((TUNED / search / "trials").glob("[!.]*.json"))]


def _trial(search: str, file: Path) -> Exhibit:
    trial, chosen = read_json(file), read_json(TUNED / search / "rate.json")["lr"]
    origin, (dataset, model, loss) = trial["provenance"], search.split("-")
    names = {"dataset": dataset, "model": model, "loss": loss}

    def fill(store: Store, run: Any) -> tuple[list[Point], dict[str, Any]]:
        store.finish(run, origin["ended"], "FAILED" if trial["diverged_at"] else "FINISHED")
        validations = zip(trial["history"], origin["validated"], strict=True)
        points = [
            Point(key, each[column], each["iteration"], at)
            for each, at in validations
            for key, column in CURVES.items()
        ]
        return points, {**names, "fit.lr": trial["lr"]}

    tags = {"kind": "trial", **names, "dvc.stage": f"tune@{search}", "chosen": str(trial["lr"] == chosen).lower()}
    name = f"{loss} · lr {trial['lr']:.3g} · trial · {model}"
    content = digest([trial, read_plan("publish")])
    return Exhibit(digest([search, trial]), name, origin["started"], tags, content, fill)

"""The runs of trials: each training of a search for a learning rate."""

from pathlib import Path
from typing import Any

from pipeline.mlflow_view.showcase import Showcase
from pipeline.plumbing.files import digest, read_json
from pipeline.plumbing.plan import TUNED, read_plan
from pipeline.plumbing.tracking import Point

CURVES = {"train/loss": "train_loss", "val/miou": "val_miou"}


def publish_trials(showcase: Showcase, search: str) -> None:
    """Make or complete the runs of one search, DATASET-MODEL-LOSS."""
    for file in sorted((TUNED / search / "trials").glob("[!.]*.json")):
        _publish_trial(showcase, search, file)


def _publish_trial(showcase: Showcase, search: str, file: Path) -> None:
    trial, chosen = read_json(file), read_json(TUNED / search / "rate.json")["lr"]
    origin, (dataset, model, loss) = trial["provenance"], search.split("-")
    names = {"dataset": dataset, "model": model, "loss": loss}

    def fill(run: Any) -> None:
        validations = zip(trial["history"], origin["validated"], strict=True)
        points = [
            Point(key, each[column], each["iteration"], at)
            for each, at in validations
            for key, column in CURVES.items()
        ]
        showcase.store.log(run, points, {**names, "fit.lr": trial["lr"]})
        showcase.store.finish(run, origin["ended"], "FAILED" if trial["diverged_at"] else "FINISHED")

    tags = {"kind": "trial", **names, "dvc.stage": f"tune@{search}", "chosen": str(trial["lr"] == chosen).lower()}
    name = f"{loss} · lr {trial['lr']:.3g} · trial · {model}"
    content = digest([trial, read_plan("publish")])
    showcase.show(digest([search, trial]), content, name, origin["started"], tags, fill)

"""All that MLflow shows for a workspace, read in a process of its own as any user of MLflow would."""

import json
from typing import Any

from tests.miniature import Miniature

EXPORT = """
import json, os, re
import mlflow
client = mlflow.MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db")
def files(run, path=None):
    for entry in client.list_artifacts(run, path):
        yield from files(run, entry.path) if entry.is_dir else [re.sub("[0-9a-f-]{36}", "*", entry.path)]
def points(run):
    for key in sorted(run.data.metrics):
        yield key, [(m.step, m.value, m.timestamp) for m in client.get_metric_history(run.info.run_id, key)]
places = {each.experiment_id: each for each in client.search_experiments()}
found = {run.info.run_id: run for place in places for run in client.search_runs([place], max_results=1000)}
names = {key: run.info.run_name for key, run in found.items()}
runs = [
    {
        "experiment": places[run.info.experiment_id].name, "name": names[key], "status": run.info.status,
        "cell": run.data.tags.get("dvc.stage", "").partition("@")[2],
        "start": run.info.start_time, "end": run.info.end_time, "id": key,
        "params": run.data.params, "history": dict(points(run)),
        "tags": {k: v for k, v in run.data.tags.items() if not k.startswith("mlflow.")},
        "parent": names.get(run.data.tags.get("mlflow.parentRunId")),
        "commit": run.data.tags.get("mlflow.source.git.commit"),
        "datasets": [[d.dataset.name, d.dataset.digest] for d in run.inputs.dataset_inputs],
        "files": sorted(files(key)),
    }
    for key, run in found.items()
]
models = [
    {
        "name": model.name, "run": names.get(model.source_run_id), "params": model.params, "tags": model.tags,
        "metrics": {m.key: [m.value, m.dataset_name, m.dataset_digest] for m in model.metrics or []},
    }
    for model in client.search_logged_models(list(places))
]
versions = [
    {"name": v.name, "version": v.version, "run": names.get(v.run_id), "tags": v.tags, "aliases": list(v.aliases)}
    for v in (client.get_model_version(each.name, each.version) for each in client.search_model_versions())
]
tags = {place.name: place.tags for place in places.values()}
print("FOUND", json.dumps({"runs": runs, "models": models, "versions": versions, "tags": tags}))
"""


def exported(workspace: Miniature, **environment: str) -> dict[str, Any]:
    """Every run, model and version of a registered model in MLflow, and the tags of its experiments."""
    (workspace.root / "export.py").write_text(EXPORT)
    found = json.loads(workspace.run("export", **environment).stdout.split("FOUND")[1])
    found["runs"].sort(key=lambda run: (run["name"], run["tags"].get("fingerprint", "")))
    return found


def runs(workspace: Miniature, **environment: str) -> list[dict[str, Any]]:
    """Every run in MLflow, with all that can be seen of it."""
    return exported(workspace, **environment)["runs"]

"""Every run that MLflow shows for a workspace, read in a process of its own as any user of MLflow would."""

import json
from typing import Any

from tests.miniature import Miniature

EXPORT = """
import json, os
from pathlib import Path
import mlflow
client = mlflow.MlflowClient(f"sqlite:///{Path('mlflow.db').resolve()}")
def files(run, path=None):
    for entry in client.list_artifacts(run, path):
        yield from files(run, entry.path) if entry.is_dir else [entry.path]
found = []
for experiment in client.search_experiments():
    for run in client.search_runs([experiment.experiment_id]):
        history = {
            key: [(m.step, m.value, m.timestamp) for m in client.get_metric_history(run.info.run_id, key)]
            for key in sorted(run.data.metrics)
        }
        found.append({
            "experiment": experiment.name, "name": run.info.run_name, "status": run.info.status,
            "start": run.info.start_time, "end": run.info.end_time,
            "params": run.data.params, "history": history,
            "tags": {k: v for k, v in run.data.tags.items() if not k.startswith("mlflow.")},
            "datasets": [[d.dataset.name, d.dataset.digest] for d in run.inputs.dataset_inputs],
            "files": sorted(files(run.info.run_id)), "id": run.info.run_id,
        })
print("RUNS", json.dumps(sorted(found, key=lambda run: (run["name"], run["tags"].get("fingerprint", "")))))
"""


def runs(workspace: Miniature) -> list[dict[str, Any]]:
    """Every run in MLflow, with all that can be seen of it."""
    (workspace.root / "export.py").write_text(EXPORT)
    return json.loads(workspace.run("export").stdout.split("RUNS")[1])

"""The models of an MLflow store: entries of which the weights stay where they are, and the registry.

Speaks to MLflow through `tracking`, which alone imports it.
"""

import json
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.plumbing.lazy import torch
from pipeline.plumbing.tracking import Store

EXTERNAL = {"mlflow.model.isExternal": "true"}  # tag by which MLflow knows that it has no weights


def delete_models(store: Store, run: Any) -> None:
    """Delete the models that a run has given."""
    search, only = store.client.search_logged_models, f"source_run_id = '{run.info.run_id}'"
    for model in store.every(lambda token: search([run.info.experiment_id], only, page_token=token)):
        store.client.delete_logged_model(model.model_id)


def add_external_model(store: Store, run: Any, name: str, params: Mapping[str, Any], tags: Mapping[str, str]) -> Any:
    """An entry among the models that the run has given, of which MLflow has no weights; `tags` say where these are.

    As `mlflow.create_external_model`, but without the file by which such an entry could be registered: that would be
    half of the work.
    """
    model = _new_model(store, run, name, {key: str(value) for key, value in params.items()}, {**EXTERNAL, **tags})
    store.client.finalize_logged_model(model.model_id, "READY")
    return model


def registered(store: Store, name: str, alias: str) -> Any:
    """The version of a registered model that has the alias; None if there is none."""
    try:
        return store.client.get_model_version_by_alias(name, alias)
    except store.mlflow.MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        return None


def register(
    store: Store, run: Any, name: str, alias: str, module: Any, example: np.ndarray, about: str, tags: dict[str, str]
) -> None:
    """Make a new version of a registered model, with the weights of `module`, and give it the alias.

    `module` is a torch module in evaluation mode, from uint8 images as in `example` `b 3 h w`, with b above 1, to float
    logits `b c h w`. `mlflow.pytorch.load_model("models:/NAME@ALIAS")` loads it for any b without this project.
    """
    delete_models(store, run)  # of a publication that was broken off
    given = _new_model(store, run, name, {}, tags)
    with tempfile.TemporaryDirectory() as folder:
        save_torch(store, module, example, Path(folder, "model"))
        store.client.log_model_artifacts(given.model_id, str(Path(folder, "model")))
    store.client.finalize_logged_model(given.model_id, "READY")
    if not store.client.search_registered_models(f"name = '{name}'"):
        store.client.create_registered_model(name)
    version = store.client.create_model_version(
        name, f"models:/{given.model_id}", run.info.run_id, tags, description=about, model_id=given.model_id
    ).version
    link = json.dumps([{"name": name, "version": version}])
    store.client.set_logged_model_tags(given.model_id, {"mlflow.modelVersions": link})
    store.client.set_registered_model_alias(name, alias, version)  # last: it says that all is there


def unregister(store: Store, version: Any) -> None:
    """Delete a version of a registered model, and its weights."""
    store.client.delete_model_version(version.name, version.version)
    store.client.delete_logged_model(version.source.removeprefix("models:/"))


def _new_model(store: Store, run: Any, name: str, params: dict[str, str], tags: dict[str, str]) -> Any:
    """A model that the run has given, which also the page of the run shows."""
    info, kind = run.info, "segmentation"
    made = store.client.create_logged_model(info.experiment_id, name, info.run_id, tags, params, kind)
    store.client.log_outputs(info.run_id, [store.entities.LoggedModelOutput(made.model_id, step=0)])
    return made


def save_torch(store: Store, module: Any, example: np.ndarray, directory: Path) -> None:
    """Save as an exported program, which holds no pickle and needs no code but torch."""
    mlflow, (_, _, *size) = store.mlflow, example.shape
    with torch.inference_mode():
        channels = module(torch.from_numpy(example)).shape[1]
    images = mlflow.types.TensorSpec(np.dtype(np.uint8), (-1, 3, *size))
    logits = mlflow.types.TensorSpec(np.dtype(np.float32), (-1, channels, *size))
    signature = mlflow.models.ModelSignature(mlflow.types.Schema([images]), mlflow.types.Schema([logits]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about its own archive
        mlflow.pytorch.save_model(
            module,
            str(directory),
            signature=signature,
            input_example=example,
            serialization_format="pt2",
            pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}", f"mlflow=={mlflow.__version__}"],
        )

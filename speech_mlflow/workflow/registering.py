"""Make a service model a registered version, once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from speech_mlflow.errors import TrackingError
from speech_mlflow.service import SpeechClient
from speech_mlflow.service.entities import CustomModel
from speech_mlflow.tracking import models, registry, runs, tags
from speech_mlflow.tracking.refusal import explained
from speech_mlflow.tracking.registry import RUN_ARTIFACT
from speech_mlflow.tracking.store import Store, open_store

if TYPE_CHECKING:
    from mlflow.entities import Run

__all__ = ["RUN_ARTIFACT", "about", "register", "register_model"]


@explained
def register(
    speech: SpeechClient,
    model: CustomModel | str,
    *,
    name: str,
    run_id: str | None = None,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    experiment: str | None = None,
) -> str:
    """Register a trained custom model (or its id) as a version of ``name``; the number of the version that stands for it.

    ``run_id`` is the train run, looked up in MLflow where it is not given. Raises TrackingError where no run of ours made the
    model, or the model is not trained yet.
    """
    store = open_store(tracking_uri, registry_uri, experiment)
    entity = speech.models.get(model) if isinstance(model, str) else model
    if entity.status != "Succeeded":
        raise TrackingError(f"model {entity.id} is {entity.status}; only a trained model can be registered")
    run_id = run_id or _train_run(store, entity.id)
    return register_model(speech, store, entity, name=name, run_id=run_id)[0]


def register_model(speech: SpeechClient, store: Store, model: CustomModel, *, name: str, run_id: str) -> tuple[str, str | None]:
    """The version for a trained model and its logged model; both are made where they do not exist."""
    found = models.find(store, resource=speech.resource, model_id=model.id)
    logged = str(found.model_id) if found is not None else None
    version = registry.register(
        store,
        name=name,
        run_id=run_id,
        logged_model_id=logged,
        version_tags={**models.describe(model, speech.resource), tags.TRAIN_RUN_ID: run_id},
        description=about(store.client.get_run(run_id), model),
    )
    return str(version.version), logged


def about(run: Run, model: CustomModel) -> str:
    """What a model was made of, for people: what they wrote on its run themselves, else base model, data and weight."""
    if written := run.data.tags.get(runs.DESCRIPTION):
        return str(written)
    params = run.data.params
    try:
        data = ", ".join(json.loads(params.get("data", "[]")))
    except (ValueError, TypeError):
        data = ""
    if not data:  # brought in from the service: its own words
        return model.description or model.display_name or model.id
    weight = (model.properties.custom_model_weight_percent if model.properties else None) or params.get("weight_percent")
    return f"{params.get('base_model')} fine-tuned with {data}" + (f", weight {weight} %" if weight else "")


def _train_run(store: Store, model_id: str) -> str:
    for run in runs.find_by_tag(store, tags.KIND_TRAIN, tags.MODEL_ID, model_id):
        if run.info.status == "FINISHED":
            return str(run.info.run_id)
    raise TrackingError(
        f"no finished train run in this experiment made model {model_id}",
        hint="give its run id, or bring the model into MLflow with `speech-mlflow import`",
    )

"""The end of a training: what the service says about the model, in MLflow."""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from speech_mlflow.errors import ServiceError
from speech_mlflow.service import SpeechClient
from speech_mlflow.service.entities import CustomModel
from speech_mlflow.tracking import mlmodel, models, runs, tags
from speech_mlflow.tracking.registry import RUN_ARTIFACT
from speech_mlflow.tracking.runs import Measured
from speech_mlflow.tracking.store import Store
from speech_mlflow.workflow.data import portable
from speech_mlflow.workflow.registering import about

log = logging.getLogger(__name__)


def finish(
    speech: SpeechClient,
    store: Store,
    run_id: str,
    model: CustomModel,
    logged_model_id: str | None,
    *,
    at: int | None = None,
) -> None:
    """Log what the service says about a trained model, make its logged model ready, and close the run, now or ``at`` a time
    in the past (milliseconds since 1970)."""
    reports = _reports(speech, model)
    properties = model.properties
    expires = properties.deprecation_dates.transcription_date_time if properties and properties.deprecation_dates else None
    weight = properties.custom_model_weight_percent if properties else None
    run = store.client.get_run(run_id)
    description = about(run, model)
    measured = {**_training_seconds(model), **_reported(reports)}
    runs.log(
        store,
        run_id,
        measured=[Measured(measured, logged_model_id)],
        params={"used_weight_percent": weight},
        known=run,
        run_tags={tags.EXPIRES: expires.isoformat() if expires else None, runs.DESCRIPTION: description},
        at=at,
    )
    runs.log_files(store, run_id, {**reports, "service/model.json": json.dumps(portable(model), indent=1)})
    described = {**models.describe(model, speech.resource), runs.DESCRIPTION: description}
    with tempfile.TemporaryDirectory(prefix="speech-mlflow-") as folder:
        described_in = mlmodel.write(
            Path(folder, "model"),
            resource=speech.resource,
            model_id=model.id,
            locale=str(model.locale),
            run_id=run_id,
            logged_model_id=logged_model_id,
        )
        models.finish(store, logged_model_id, ready=True, model_tags=described, folder=described_in)
        if logged_model_id is None:
            store.client.log_artifacts(run_id, str(described_in), RUN_ARTIFACT)
        else:
            runs.log_output(store, run_id, logged_model_id)
    runs.finish(store, run_id, at=at)


def _training_seconds(model: CustomModel) -> dict[str, float]:
    if model.created_date_time is None or model.last_action_date_time is None:
        return {}
    return {"training.seconds": (model.last_action_date_time - model.created_date_time).total_seconds()}


def _reports(speech: SpeechClient, model: CustomModel) -> dict[str, bytes]:
    """The service's files about the training, by artifact path."""
    try:
        return {f"service/{file.name}": speech.read_file(file) for file in speech.models.files(model.id) if file.name}
    except ServiceError as error:  # the model is trained; a report less is no reason to train it again
        log.warning("the training report of model %s could not be read: %s", model.id, error)
        return {}


def _reported(reports: Mapping[str, bytes]) -> dict[str, float]:
    """Figures that a report has under ``metrics``. The service's schema is not published; other reports are only kept."""
    found: dict[str, float] = {}
    for content in reports.values():
        try:
            document: Any = json.loads(content)
        except ValueError:
            continue
        metrics = document.get("metrics") if isinstance(document, dict) else None
        for name, value in metrics.items() if isinstance(metrics, dict) else ():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                found[f"training.{name}"] = float(value)
    return found

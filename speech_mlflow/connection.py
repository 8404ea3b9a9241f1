"""From the settings to the two ends of the work: the speech service and MLflow.

Without an endpoint in the settings the offline service is meant; it is started where it does not run. Everything above this
module sees a :class:`~speech_mlflow.service.SpeechClient` and no difference.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from speech_mlflow.errors import SettingsError
from speech_mlflow.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from speech_mlflow.service import SpeechClient
    from speech_mlflow.tracking.store import Store


def connect(settings: Settings | None = None) -> SpeechClient:
    """A connection to the speech service of the settings (default: those of the process and its working directory).

    A configured endpoint is entered with the key in the settings, else with Microsoft Entra ID. Raises SettingsError where
    endpoint and credential do not fit, EmulatorError where the offline service cannot start.
    """
    from speech_mlflow.service import KeyCredential, SpeechClient, TokenCredential

    settings = Settings.load() if settings is None else settings
    if settings.endpoint is None:
        from speech_mlflow.emulator.process import ensure_running

        address = ensure_running(settings.state_dir)
        return SpeechClient(address.url, KeyCredential(address.key), resource=address.resource)
    credential = KeyCredential(settings.key) if settings.key is not None else TokenCredential(tenant_id=settings.tenant)
    return SpeechClient(settings.endpoint, credential, recognition_host=settings.recognition_host)


def mlflow_options(settings: Settings) -> dict[str, Any]:
    """Where MLflow is, as the use cases take it."""
    told = "experiment" not in settings.model_fields_set and os.environ.get("MLFLOW_EXPERIMENT_ID")
    return {
        "tracking_uri": settings.tracking_uri,
        "registry_uri": settings.registry_uri,
        "experiment": None if told else settings.experiment,  # None: the one that MLflow was told
        "artifact_location": settings.artifact_location,
    }


def connect_resource(settings: Settings, name: str) -> SpeechClient:
    """A connection to the resource that the settings call ``name`` (``[resources.NAME]``); SettingsError where there is none."""
    from speech_mlflow.service import KeyCredential, SpeechClient, TokenCredential

    resource = settings.resources.get(name)
    if resource is None:
        known = ", ".join(sorted(settings.resources)) or "none"
        raise SettingsError(f"there is no resource {name!r} in the settings", hint=f"[resources.NAME] there are: {known}")
    key = resource.secret(name)
    credential = KeyCredential(key) if key is not None else TokenCredential(tenant_id=resource.tenant or settings.tenant)
    return SpeechClient(resource.endpoint, credential, recognition_host=resource.recognition_host)


def resource_id_of(settings: Settings) -> str | None:
    """The Azure resource id of the settings' own resource, as a copy of a model to another one needs it."""
    if settings.resource_id is not None or settings.endpoint is not None:
        return settings.resource_id
    from speech_mlflow.emulator.process import ensure_running

    return ensure_running(settings.state_dir).resource_id


def mlflow_client(settings: Settings | None = None) -> MlflowClient:
    """A client of the MLflow store and registry of the settings."""
    from speech_mlflow.tracking.store import open_client

    if settings is None:
        return open_client()
    return open_client(settings.tracking_uri, settings.registry_uri)


def mlflow_store(settings: Settings | None = None) -> Store:
    """The MLflow store of the settings with their experiment, which is made where it does not exist."""
    from speech_mlflow.tracking.store import open_store

    return open_store() if settings is None else open_store(**mlflow_options(settings))


def ensure_project(speech: SpeechClient, settings: Settings) -> str | None:
    """The id of the project named in the settings, made where there is none of that name; None where none is named."""
    if settings.project is None:
        return None
    from speech_mlflow.service import filters
    from speech_mlflow.service.entities import by_age

    wanted = filters.eq("displayName", settings.project) & filters.eq("locale", settings.locale)
    found = min(speech.projects.list(wanted), key=by_age, default=None)
    if found is not None:
        return found.id
    made = speech.projects.create(
        display_name=settings.project,
        locale=settings.locale,
        description="Made by speech_mlflow",
        custom_properties={"managed-by": "speech-mlflow"},
    )
    return made.id

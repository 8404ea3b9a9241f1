"""The registered versions of speech models, as a person wants them listed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from speech_mlflow.errors import TrackingError
from speech_mlflow.tracking import tags

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

PAGE = 1000
"""Registered models in one answer: the most that MLflow gives."""
VERSIONS_PAGE = 10_000


@dataclass(frozen=True)
class Version:
    """One registered version of a speech model. ``wer`` is a fraction, from the version's newest test; ``endpoint_id`` is
    the registered model's endpoint and ``served`` whether the last promotion put this version on it."""

    name: str
    version: int
    stage: str
    aliases: tuple[str, ...]
    wer: float | None
    locale: str | None
    model_id: str | None
    endpoint_id: str | None
    served: bool
    hold: str | None


def list_versions(client: MlflowClient, name: str | None = None) -> list[Version]:
    """All versions of one registered model or of every one that is a speech model, newest first within a model.

    Raises TrackingError where ``name`` is given and no such registered model exists.
    """
    models = {model.name: model for model in registered_models(client) if name is None or model.name == name}
    if name is not None and not models:
        raise _unknown(name)
    found = search_versions(client, f"tags.`{tags.MODEL_ID}` LIKE '%'")
    rows = [_row(models[version.name], version) for version in found if version.name in models]
    return sorted(rows, key=lambda row: (row.name, -row.version))


def endpoint_of(client: MlflowClient, name: str) -> str:
    """The id of the endpoint that serves a registered model; TrackingError where it has none."""
    from mlflow.exceptions import MlflowException

    try:
        model = client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise _unknown(name) from error
    endpoint_id: str | None = model.tags.get(tags.ENDPOINT_ID)
    if endpoint_id is None:
        raise TrackingError(f"{name} has no endpoint yet", hint=f"`speech-mlflow promote {name}/VERSION` makes one")
    return endpoint_id


def _unknown(name: str) -> TrackingError:
    return TrackingError(f"there is no registered model named {name!r}", hint="`speech-mlflow models list` shows what there is")


def registered_models(client: MlflowClient) -> Iterator[RegisteredModel]:
    """All registered models, whoever made them: one request for each thousand."""
    token: str | None = None
    while True:
        page = client.search_registered_models(max_results=PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def search_versions(client: MlflowClient, wanted: str | None) -> Iterator[ModelVersion]:
    """All versions that a filter finds."""
    token: str | None = None
    while True:
        page = client.search_model_versions(wanted, max_results=VERSIONS_PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _row(model: RegisteredModel, version: ModelVersion) -> Version:
    number = int(version.version)
    endpoint_id = model.tags.get(tags.ENDPOINT_ID)
    wer = version.tags.get(tags.WER)
    return Version(
        name=model.name,
        version=number,
        stage=version.current_stage or "None",
        aliases=tuple(sorted(alias for alias, of in model.aliases.items() if int(of) == number)),
        wer=float(wer) if wer else None,
        locale=version.tags.get(tags.LOCALE),
        model_id=version.tags.get(tags.MODEL_ID),
        endpoint_id=endpoint_id,
        served=endpoint_id is not None and version.tags.get(tags.ENDPOINT_ID) == endpoint_id,
        hold=version.tags.get(tags.HOLD) or None,
    )

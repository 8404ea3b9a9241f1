"""The model registry: registered models, versions, their tags, and stages.

A version stands for one model of the service: ``source`` is ``models:/<logged model id>``, its tags say which service model it
is. MLflow keeps no model id on a version, so that the tag is what everything goes by.
"""

from __future__ import annotations

import types
import uuid
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion, ModelVersionTag, RegisteredModel
from mlflow.exceptions import MlflowException

from speech_mlflow.errors import SettingsError, TrackingError
from speech_mlflow.tracking import models, tags, values
from speech_mlflow.tracking.refusal import delete, no_such_api
from speech_mlflow.tracking.store import Store, already_exists, is_missing, quoted, write
from speech_mlflow.tracking.versions import search_versions

ABOUT = (
    "Custom speech-to-text models of Azure AI Speech, managed by speech-mlflow. What is served is the version in stage "
    "Production or, where that is the trigger, with the alias `production`; the tag `speech.served_version` names it."
)
"""The description of a registered model that we make; people change it as they like."""
RUN_ARTIFACT = "speech_model"
"""Artifact folder of a train run that holds the model's description on a server without logged models."""


@contextmanager
def stages_are_deprecated() -> Iterator[None]:
    """Hush MLflow's FutureWarning about stages for one call. Stages are what teams promote with, and we know."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, message=r"(?s).*[Ss]tages? ")
        yield


def set_stage(client: MlflowClient, name: str, version: str, stage: str, *, archive: bool = True) -> ModelVersion:
    """Move a version to a stage; with ``archive`` the others leave it (only Staging and Production can be left so:
    for None and Archived MLflow's server answers 500 and its client repeats that for minutes).

    Raises TrackingError where the registry has no stages, as Unity Catalog and servers that dropped them."""
    archive = archive and stage.lower() in {"staging", "production"}
    try:
        with stages_are_deprecated():
            moved: ModelVersion = client.transition_model_version_stage(
                name, str(version), stage, archive_existing_versions=archive
            )
    except MlflowException as error:
        if not no_such_api(error) and "is unsupported" not in str(error):
            raise
        raise TrackingError(
            f"the registry has no stages, so that {name} {version} cannot be moved to {stage}",
            hint='promote by the alias `production`: trigger = "alias" in speech-mlflow.toml, or SPEECH_MLFLOW_TRIGGER=alias',
        ) from error
    return moved


def check_name(name: str | None) -> None:
    """SettingsError where a registered model cannot have this name: said before anything is done that costs. None is no name."""
    if name is None:
        return
    if not name.strip():
        raise SettingsError("a registered model needs a name")
    if "/" in name or ":" in name:
        raise SettingsError(f"{name!r} is no name for a registered model: MLflow takes no / and no :", hint="use - or _")


def ensure_registered_model(client: MlflowClient, name: str, *, locale: str | None = None) -> RegisteredModel:
    """The registered model of this name, made where it does not exist, with the random id that promotion goes by."""
    uid = uuid.uuid4().hex
    try:
        return client.create_registered_model(
            name, tags={tags.UID: uid, **({tags.LOCALE: locale} if locale else {})}, description=ABOUT
        )
    except MlflowException as error:
        if not already_exists(error):
            raise
    if tags.UID not in client.get_registered_model(name).tags:
        write(lambda: client.set_registered_model_tag(name, tags.UID, uid))
    return client.get_registered_model(name)  # read again: of two that set the tag at once, the last one's stands


def register(
    store: Store,
    *,
    name: str,
    run_id: str,
    logged_model_id: str | None,
    version_tags: Mapping[str, object],
    description: str | None = None,
) -> ModelVersion:
    """The version of ``name`` that stands for the service model in ``version_tags``; made where there is none.

    Of two processes that make one at once, the lower number stays: MLflow gives numbers out one at a time, and each looks
    again after it made its own.
    """
    client = store.client
    model_id = str(version_tags[tags.MODEL_ID])
    ensure_registered_model(client, name, locale=_text(version_tags.get(tags.LOCALE)))
    existing = versions_of_model(client, name, model_id)
    if existing:
        return existing[0]
    source = f"models:/{logged_model_id}" if logged_model_id else f"runs:/{run_id}/{RUN_ARTIFACT}"
    created = _create_version(
        client,
        name=name,
        source=source,
        run_id=run_id,
        model_id=logged_model_id,
        tags={key: str(value) for key, value in version_tags.items() if value is not None},
        description=None if description is None else values.short(description, values.DESCRIPTION_LIMIT),
    )
    first = versions_of_model(client, name, model_id)[0]
    if int(first.version) < int(created.version):
        delete(
            lambda: client.delete_model_version(name, created.version),
            instead=lambda: client.update_model_version(name, created.version, f"The same model as version {first.version}."),
        )
        return first
    models.note_version(store, logged_model_id, name, str(created.version))
    return created


def versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    """All versions of a registered model, lowest number first."""
    return _sorted(search_versions(client, f"name = {quoted(name)}"))


def versions_of_model(client: MlflowClient, name: str | None, model_id: str) -> list[ModelVersion]:
    """The versions that stand for a service model, of one registered model or of all; lowest number first."""
    wanted = f"tags.`{tags.MODEL_ID}` = {quoted(model_id)}"
    return _sorted(search_versions(client, f"name = {quoted(name)} and {wanted}" if name else wanted))


def find_version(client: MlflowClient, reference: str) -> ModelVersion:
    """The version that ``name/3``, ``name/Production``, ``name@champion``, ``name`` (newest) or a ``models:/`` URI names.

    Raises TrackingError where there is none.
    """
    plain = reference.removeprefix("models:/").strip("/")
    name, _, wanted = plain.partition("/")
    try:
        if not wanted and "@" in plain:
            name, _, alias = plain.rpartition("@")
            return client.get_model_version_by_alias(name, alias)
        if wanted.isdigit():
            return client.get_model_version(name, wanted)
        found = versions(client, name)
        if not found:
            client.get_registered_model(name)
    except MlflowException as error:
        if is_missing(error) or "not found" in str(error):
            raise TrackingError(
                f"there is no model version {reference!r} in the registry",
                hint="`speech-mlflow models list` shows what there is; write NAME/VERSION, NAME/STAGE or NAME@ALIAS",
            ) from None
        raise
    if wanted and wanted.lower() != "latest":
        found = [version for version in found if (version.current_stage or "None").lower() == wanted.lower()]
    if not found:
        raise TrackingError(f"no version of {name!r} is in stage {wanted!r}" if wanted else f"{name!r} has no version yet")
    return found[-1]


def set_version_tags(client: MlflowClient, version: ModelVersion, given: Mapping[str, object]) -> None:
    """Set the tags of a version that differ from what it has.

    (``MlflowClient.set_model_version_tag`` would ask each time, with a request of its own, whether the model is a prompt.)
    """
    registry = client._get_registry_client()  # type: ignore[no-untyped-call]
    for key, value in given.items():
        if value is not None and version.tags.get(key) != str(value):
            write(partial(registry.set_model_version_tag, version.name, version.version, key, str(value)))


def _sorted(found: Iterable[ModelVersion]) -> list[ModelVersion]:
    return sorted(found, key=lambda version: (version.name, int(version.version)))


def _create_version(client: MlflowClient, *, model_id: str | None, **given: Any) -> ModelVersion:
    """Create a version. A registry opened as a database (no server) looks the logged model up at the process's global tracking
    URI; where that is another store, its method is run with a client of ours in the place of the global one."""
    registry = client._get_registry_client().store  # type: ignore[no-untyped-call]
    direct = type(registry).__module__ == "mlflow.store.model_registry.sqlalchemy_store"
    if model_id is None or not direct or mlflow.get_tracking_uri() == client.tracking_uri:
        return client.create_model_version(model_id=model_id, await_creation_for=0, **given)
    method = type(registry).create_model_version
    bound = types.FunctionType(
        method.__code__,
        {**method.__globals__, "MlflowClient": lambda: client},
        method.__name__,
        method.__defaults__,
        method.__closure__,
    )
    given["tags"] = [ModelVersionTag(key, value) for key, value in given["tags"].items()]  # type: ignore[no-untyped-call]
    created: ModelVersion = bound(registry, model_id=model_id, **given)
    return created


def _text(value: object) -> str | None:
    return None if value is None else str(value)

"""Reading and writing the MLflow registry: the only module of this part that names stages, aliases and registry tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal

from speech_mlflow.errors import PromotionError
from speech_mlflow.promotion.records import ALIAS, PRODUCTION, Mark, Registered, Version
from speech_mlflow.tracking import tags
from speech_mlflow.tracking.refusal import delete
from speech_mlflow.tracking.values import literal
from speech_mlflow.tracking.versions import registered_models, search_versions

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.entities.model_registry import RegisteredModel

PAGE = 1000
"""Runs a page."""
READS = 5


def poll(client: MlflowClient) -> dict[str, Mark]:
    """The mark of every registered model: one request for each thousand.

    A model's mark changes with each transition of a stage, each new or deleted version, each alias, and the tag
    ``speech.production``. It does not change with other tags, nor with a version's description.
    """
    return {
        model.name: Mark(
            updated=model.last_updated_timestamp or 0,
            aliases=tuple(sorted((alias, str(number)) for alias, number in model.aliases.items())),
            ours=tags.UID in model.tags or tags.LOCALE in model.tags,
            named=model.tags.get(tags.PRODUCTION),
        )
        for model in registered_models(client)
    }


def read(client: MlflowClient, name: str) -> Registered:
    """A registered model with all its versions, as they were at one moment.

    The registry has no call for that: the model is read again after its versions, and all of it anew where it changed.
    Raises PromotionError where there is no such model.
    """
    model = _get(client, name)
    for _ in range(READS):
        versions = tuple(_versions(client, name))
        again = _get(client, name)
        if again.last_updated_timestamp == model.last_updated_timestamp and again.aliases == model.aliases:
            break
        model = again
    return Registered(
        name=name,
        updated=again.last_updated_timestamp or 0,
        aliases={alias: str(number) for alias, number in again.aliases.items()},
        tags=dict(again.tags),
        versions=versions,
    )


def read_all(client: MlflowClient) -> dict[str, Registered]:
    """Every registered model with its versions: two lists. Between the two the registry may change, so that what comes out is
    good for finding what to look at, not for acting on it."""
    models = list(registered_models(client))
    versions: dict[str, list[Version]] = {}
    for name, version in _all_versions(client, None):
        versions.setdefault(name, []).append(version)
    return {
        model.name: Registered(
            name=model.name,
            updated=model.last_updated_timestamp or 0,
            aliases={alias: str(number) for alias, number in model.aliases.items()},
            tags=dict(model.tags),
            versions=tuple(versions.get(model.name, ())),
        )
        for model in models
    }


def move_to_production(client: MlflowClient, name: str, number: str) -> None:
    """Move a version to stage Production and archive the others there, in one call."""
    from speech_mlflow.tracking.registry import set_stage

    set_stage(client, name, number, PRODUCTION, archive=True)


def name_version(client: MlflowClient, name: str, trigger: Literal["alias", "tag"], number: str | None) -> None:
    """Have the alias or the tag that deploys name a version, or (None) take it off."""
    if trigger == "tag":
        if number is None:
            client.delete_registered_model_tag(name, tags.PRODUCTION)
        else:
            client.set_registered_model_tag(name, tags.PRODUCTION, number)
    elif number is None:
        client.delete_registered_model_alias(name, ALIAS)
    else:
        client.set_registered_model_alias(name, ALIAS, number)


def set_tags(client: MlflowClient, name: str, values: Mapping[str, str], *, version: str | None = None) -> None:
    """Set tags on a registered model, or on one of its versions."""
    for key, value in values.items():
        if version is None:
            client.set_registered_model_tag(name, key, value)
        else:
            client.set_model_version_tag(name, version, key, value)


def delete_tag(client: MlflowClient, name: str, key: str, *, version: str | None = None) -> None:
    """Take a tag off a registered model or a version; nothing happens where it is not there. Off a version it takes MLflow's
    MANAGE; who may edit alone empties it, and a tag without a value counts as none."""
    if version is None:
        client.delete_registered_model_tag(name, key)
    else:
        delete(
            lambda: client.delete_model_version_tag(name, version, key),
            instead=lambda: client.set_model_version_tag(name, version, key, ""),
        )


def search_runs(client: MlflowClient, experiment_id: str, where: str) -> Iterator[Run]:
    """All runs of an experiment that a filter finds, newest first."""
    token: str | None = None
    while True:
        page = client.search_runs([experiment_id], where, max_results=PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _get(client: MlflowClient, name: str) -> RegisteredModel:
    from mlflow.exceptions import MlflowException

    from speech_mlflow.tracking.store import is_missing

    try:
        return client.get_registered_model(name)
    except MlflowException as error:
        if is_missing(error):
            raise PromotionError(
                f"there is no registered model named {name!r}", hint="`speech-mlflow models list` shows what there is"
            ) from error
        raise


def _versions(client: MlflowClient, name: str) -> Iterator[Version]:
    """All versions of a model. ``latest_versions`` of the registered model would hide a move back to an older one."""
    quoted = literal(name)
    for of, version in _all_versions(client, f"name={quoted}" if quoted else None):
        if of == name:
            yield version


def _all_versions(client: MlflowClient, where: str | None) -> Iterator[tuple[str, Version]]:
    for found in search_versions(client, where):
        yield (
            found.name,
            Version(
                number=str(found.version),
                stage=found.current_stage or "None",
                updated=found.last_updated_timestamp or 0,
                tags={key: value for key, value in found.tags.items() if value},
                run_id=found.run_id or None,
                source=found.source or None,
                user=found.user_id or None,
            ),
        )

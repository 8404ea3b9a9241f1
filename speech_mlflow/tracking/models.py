"""Logged models: what MLflow shows for a model that lives in the service.

A custom model is *pending* while it trains, then *ready* or *failed*. A model that we did not train (a base model, one made in
Speech Studio) gets one when it is first tested, so that what was measured on it has a place. A server without the
logged-models API (older ones, some hosted ones) answers 404: it is asked once, and runs carry everything alone.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from mlflow.entities import LoggedModel, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.tracking.context.registry import resolve_tags

from speech_mlflow.service.entities import BaseModel, CustomModel
from speech_mlflow.tracking import tags, values
from speech_mlflow.tracking.refusal import delete, no_such_api
from speech_mlflow.tracking.runs import DESCRIPTION
from speech_mlflow.tracking.store import Store, public, write

EXTERNAL = "mlflow.model.isExternal"
VERSIONS = "mlflow.modelVersions"
MODEL_TYPE = "speech-to-text"

log = logging.getLogger(__name__)


def begin_custom(
    store: Store, *, run_id: str, name: str, model_tags: Mapping[str, object], params: Mapping[str, object]
) -> str | None:
    """The pending logged model of a train run: the one it has, else a new one; None on a server without the API.

    Of two that processes at work on the same run make at once, the older one stays.
    """
    if store.logged_models is False:
        return None
    for model_id in of_run(store, run_id):
        return model_id
    created = _create(store, name=name, run_id=run_id, model_tags=model_tags, params=params)
    if created is None:
        return None
    first = of_run(store, run_id)[0]
    if first != created:
        delete(
            lambda: store.client.delete_logged_model(created),
            instead=lambda: store.client.finalize_logged_model(created, "FAILED"),
        )
    return first


def of_run(store: Store, run_id: str) -> list[str]:
    """Ids of the logged models that a run has begun, oldest first."""
    if store.logged_models is False:
        return []
    found = _search(store, f"source_run_id = '{run_id}'")
    return [str(model.model_id) for model in sorted(found, key=lambda one: (one.creation_timestamp, one.model_id))]


def finish(
    store: Store,
    logged_model_id: str | None,
    *,
    ready: bool,
    model_tags: Mapping[str, object] | None = None,
    folder: Path | None = None,
) -> None:
    """Make a logged model ready or failed. ``folder`` holds the files that make it loadable."""
    if logged_model_id is None:
        return
    if model_tags:
        fitted = values.fit({}, model_tags).tags
        write(lambda: store.client.set_logged_model_tags(logged_model_id, fitted))
    if folder is not None:
        store.client.log_model_artifacts(logged_model_id, str(folder))
    store.client.finalize_logged_model(logged_model_id, "READY" if ready else "FAILED")


def find(store: Store, *, resource: str, model_id: str) -> LoggedModel | None:
    """The logged model of a service model, base or custom: the oldest ready one."""
    if store.logged_models is False:
        return None
    found = _search(store, f"tags.`{tags.MODEL_ID}` = '{model_id}' AND tags.`{tags.RESOURCE}` = '{resource}'")
    ready = [model for model in found if model.status == LoggedModelStatus.READY]
    return min(ready, key=lambda model: (model.creation_timestamp, model.model_id), default=None)


def ensure(store: Store, entity: BaseModel | CustomModel, *, resource: str) -> str | None:
    """The logged model of a service model that no train run of ours made; a new one is external and ready at once."""
    found = find(store, resource=resource, model_id=entity.id)
    if found is not None:
        return str(found.model_id)
    if store.logged_models is False:
        return None
    is_base = isinstance(entity, BaseModel)
    created = _create(
        store,
        name=("base-" if is_base else "") + (entity.display_name or entity.id),
        run_id=None,
        model_tags={**describe(entity, resource), EXTERNAL: "true", DESCRIPTION: entity.description},
        params={"locale": entity.locale, "base": is_base},
    )
    if created is not None:
        store.client.finalize_logged_model(created, "READY")
    return created


def describe(entity: BaseModel | CustomModel, resource: str) -> dict[str, object]:
    """The tags that tie a logged model, or a registered version, to a model of the service."""
    base = entity.id if isinstance(entity, BaseModel) else entity.base_model.id if entity.base_model else None
    return {
        tags.MODEL_ID: entity.id,
        tags.BASE_MODEL_ID: base,
        tags.RESOURCE: resource,
        tags.LOCALE: entity.locale,
        tags.DISPLAY_NAME: entity.display_name,
    }


def note_version(store: Store, logged_model_id: str | None, name: str, version: str) -> None:
    """Write on a logged model which registered version stands for it, as ``mlflow.register_model`` does."""
    if logged_model_id is None:
        return
    known = json.loads(store.client.get_logged_model(logged_model_id).tags.get(VERSIONS, "[]"))
    if not any(entry["name"] == name and str(entry["version"]) == str(version) for entry in known):
        known.append({"name": name, "version": str(version)})
        write(lambda: store.client.set_logged_model_tags(logged_model_id, {VERSIONS: json.dumps(known)}))


def _create(
    store: Store, *, name: str, run_id: str | None, model_tags: Mapping[str, object], params: Mapping[str, object]
) -> str | None:
    if store.logged_models is False:  # a search may just have shown it
        return None
    fitted = values.fit(params, model_tags)
    try:
        model = store.client.create_logged_model(
            store.experiment_id,
            name=_file_name(name),
            source_run_id=run_id,
            tags=resolve_tags(fitted.tags),
            params=fitted.params,
            model_type=MODEL_TYPE,
        )
    except MlflowException as error:
        if not no_such_api(error):
            raise
        _fall_back(store)
        return None
    store.logged_models = True
    return str(model.model_id)


def _search(store: Store, wanted: str) -> list[LoggedModel]:
    try:
        found = list(store.client.search_logged_models([store.experiment_id], filter_string=wanted))
    except MlflowException as error:
        if not no_such_api(error):
            raise
        _fall_back(store)
        return []
    store.logged_models = True
    return found


def _fall_back(store: Store) -> None:
    if store.logged_models is None:
        log.warning("%s has no logged models (HTTP 404); metrics are on the runs alone", public(store.tracking_uri))
    store.logged_models = False


def _file_name(name: str) -> str:
    """A name that MLflow takes for a logged model: none of ``/ : . % " '``."""
    return "".join("-" if character in "/:.%\"'" else character for character in name).strip() or "model"

"""Which models a test is about: from how people name them to the service's records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from speech_mlflow.errors import NotFoundError, TrackingError
from speech_mlflow.service import SpeechClient
from speech_mlflow.service.choose import choose_base_model
from speech_mlflow.service.entities import BaseModel, CustomModel
from speech_mlflow.tracking import registry, tags, values
from speech_mlflow.tracking.store import Store

BASE = "base"

ModelName = str | CustomModel | BaseModel


@dataclass(frozen=True)
class Chosen:
    """A model under test, and the label under which its numbers stand."""

    label: str
    entity: BaseModel | CustomModel


def choose(speech: SpeechClient, store: Store, wanted: Sequence[ModelName], *, locale: str) -> list[Chosen]:
    """The models named: "base" (the base model of the first custom model named, else the newest), records of the service,
    "name/version", "name@alias", "name/stage" or a ``models:/`` URI of the registry, or the id of a custom model.

    Raises TrackingError for what is not there or belongs to another speech resource.
    """
    if not wanted:
        raise TrackingError("no model to test was named", hint='for example models=["base", trained.model]')
    chosen = [None if name == BASE else _choose(speech, store, name) for name in wanted]
    if None in chosen:
        custom = [one.entity for one in chosen if one is not None and isinstance(one.entity, CustomModel)]
        base = Chosen(BASE, _base_of(speech, custom, locale))
        chosen = [base if one is None else one for one in chosen]
    return _distinct([one for one in chosen if one is not None])


def check_trained(models: Sequence[Chosen]) -> None:
    """Raise TrackingError where a model is not trained, naming all of them."""
    unfinished = [f"{one.label} ({one.entity.status})" for one in models if one.entity.status not in (None, "Succeeded")]
    if unfinished:
        raise TrackingError(
            f"models that are not trained: {', '.join(unfinished)}",
            hint="wait for the training (`speech-mlflow train` again, with the same arguments)",
        )


def _choose(speech: SpeechClient, store: Store, wanted: ModelName) -> Chosen:
    if isinstance(wanted, str):
        return _named(speech, store, wanted)
    if isinstance(wanted, BaseModel):
        return Chosen(f"{BASE} {wanted.display_name}", wanted)
    versions = registry.versions_of_model(store.client, None, wanted.id)
    if versions:
        return Chosen(f"{versions[0].name} v{versions[0].version}", wanted)
    return Chosen(wanted.display_name or wanted.id, wanted)


def _named(speech: SpeechClient, store: Store, name: str) -> Chosen:
    if "/" not in name and "@" not in name:
        try:
            return _choose(speech, store, speech.models.get(name))
        except NotFoundError:
            pass
    version = registry.find_version(store.client, name)
    title = f"{version.name} {version.version}"
    model_id, resource = version.tags.get(tags.MODEL_ID), version.tags.get(tags.RESOURCE)
    if model_id is None:
        raise TrackingError(f"{title} is no model of the speech service: it has no tag {tags.MODEL_ID}")
    if resource is not None and resource != speech.resource:
        raise TrackingError(
            f"{title} is in the speech resource {resource!r}, this connection is to {speech.resource!r}",
            hint="connect to that resource, or copy the model (`speech-mlflow models copy`)",
        )
    try:
        entity = speech.models.get(model_id)
    except NotFoundError:
        raise TrackingError(
            f"the service has the model of {title} no more ({model_id})",
            hint="train it again: `speech-mlflow train` with the same data makes a new one",
        ) from None
    return Chosen(f"{version.name} v{version.version}", entity)


def _base_of(speech: SpeechClient, custom: Sequence[CustomModel], locale: str) -> BaseModel:
    for model in custom:
        if model.base_model is not None:
            return speech.models.get_base(model.base_model)
    return choose_base_model(speech, locale, ())


def _distinct(chosen: Sequence[Chosen]) -> list[Chosen]:
    """Each model once, each label once, all labels fit for the name of a metric."""
    ids: set[str] = set()
    labels: set[str] = set()
    result = []
    for one in chosen:
        if one.entity.id in ids:
            continue
        label = values.label(one.label)
        if label in labels:
            label = f"{label} {one.entity.id[:8]}"
        ids.add(one.entity.id)
        labels.add(label)
        result.append(replace(one, label=label))
    return result

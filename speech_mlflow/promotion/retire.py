"""What is left over at the service: endpoints and models of ours that no target and no version names any more.

An endpoint stays while a tag of any registered model names it, while a target would take it up, or while a promotion is at work
on it; a model while any version or any endpoint has it. Only what is proven to be ours is ever deleted: it carries our mark and
the id of a registered model of this registry, or of a run in this MLflow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from speech_mlflow.errors import ClaimHeldError, ConflictError, NotFoundError
from speech_mlflow.promotion import journal, registry
from speech_mlflow.promotion.apply import remove
from speech_mlflow.promotion.desired import desired_of
from speech_mlflow.promotion.events import PromotionEvent, notify
from speech_mlflow.promotion.observed import DONE, EndpointState, observed_of, state_of
from speech_mlflow.promotion.options import Options
from speech_mlflow.promotion.records import Registered
from speech_mlflow.promotion.target import PREFIX, Target
from speech_mlflow.tracking import tags

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from speech_mlflow.service.client import SpeechClient
    from speech_mlflow.service.entities import CustomModel

TargetsOf = Callable[[str], Iterable[Target]]


@dataclass(frozen=True)
class Leftover:
    """Something at the service that nothing names. ``kept`` says why it is not deleted, None where it may be; ``resource`` is
    where it is."""

    kind: Literal["endpoint", "model"]
    id: str
    display_name: str
    registered_model: str
    reason: str
    kept: str | None = None
    deleted: bool = False
    resource: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The leftover as JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class _World:
    """Registry and service, read at one moment."""

    models: Mapping[str, Registered]
    endpoints: tuple[EndpointState, ...]
    at_work: frozenset[str]
    """Endpoints that an open promotion run names."""


def leftovers(speech: SpeechClient, client: MlflowClient, targets_of: TargetsOf, name: str | None = None) -> list[Leftover]:
    """Everything of ours that nothing names, of one registered model or of all; endpoints first, since they hold models."""
    world = _read(speech, client)
    found = [_endpoint(client, one, world) for one in world.endpoints if _needed(one, world, targets_of) is None]
    held = {one.model_id for one in world.endpoints if one.id not in {left.id for left in found if left.kept is None}}
    named = _model_ids(world.models.values())
    for model in speech.models.list():
        if _mine(model) and model.id not in held | named:
            found.append(_model(client, model))
    return [replace(one, resource=speech.resource) for one in found if name is None or one.registered_model == name]


def prune(
    speech: SpeechClient,
    client: MlflowClient,
    targets_of: TargetsOf,
    found: Iterable[Leftover],
    *,
    options: Options | None = None,
) -> list[Leftover]:
    """Delete leftovers, endpoints first; each is looked at once more right before. What came of each."""
    options = options or Options(why="retire --prune")
    return [
        one
        if one.kept
        else _prune_endpoint(speech, client, targets_of, one, options)
        if one.kind == "endpoint"
        else _prune_model(speech, client, one, options)
        for one in found
    ]


def _prune_endpoint(
    speech: SpeechClient, client: MlflowClient, targets_of: TargetsOf, one: Leftover, options: Options
) -> Leftover:
    def needed() -> str | None:
        world = _read(speech, client)
        state = next((endpoint for endpoint in world.endpoints if endpoint.id == one.id), None)
        return None if state is None else _needed(state, world, targets_of)

    try:
        kept = remove(speech, client, _key(one), one.id, why=one.reason, needed=needed, options=options)
    except NotFoundError:  # somebody was faster
        kept = None
    except (ClaimHeldError, ConflictError) as error:
        kept = str(error)
    return _after(one, kept)


def _prune_model(speech: SpeechClient, client: MlflowClient, one: Leftover, options: Options) -> Leftover:
    named = _model_ids(registry.read_all(client).values())
    held = {state_of(endpoint).model_id for endpoint in speech.endpoints.list()}
    if one.id in named | held:
        return _after(one, "it is in use now")
    try:
        speech.models.delete(one.id)
    except ConflictError as error:
        return _after(one, str(error))
    event = PromotionEvent("retired", one.registered_model, "", f"deleted model {one.id} ({one.display_name}): {one.reason}")
    notify(event, manager=options.manager, on_event=options.on_event)
    return _after(one, None)


def _read(speech: SpeechClient, client: MlflowClient) -> _World:
    open_runs = journal.open_runs(client, journal.experiment(client))
    at_work = {run.data.tags.get(tags.ENDPOINT_ID) for run in open_runs if run.data.tags.get(journal.INTENT) != "retire"}
    return _World(
        registry.read_all(client),
        tuple(state_of(endpoint) for endpoint in speech.endpoints.list()),
        frozenset(one for one in at_work if one),
    )


def _needed(state: EndpointState, world: _World, targets_of: TargetsOf) -> str | None:
    """Why an endpoint is to stay; None where it carries our mark and nothing names it."""
    if state.uid is None:
        return "it does not carry our mark"
    if state.id in world.at_work:
        return "a promotion is at work on it"
    for model in world.models.values():
        for key, value in model.tags.items():
            if key.partition(tags.ENDPOINT_ID)[0] == "" and value == state.id:
                return f"{model.name} names it in the tag {key}"
        if model.tags.get(tags.UID) != state.uid:
            continue
        for target in targets_of(model.name):
            tagged = target.with_tags(model.tags, of=model.name)
            observed = observed_of(world.endpoints, model, tagged, resource=None)
            wanted = desired_of(model, tagged.trigger).state != "none"
            if wanted and observed.endpoint is not None and observed.endpoint.id == state.id:
                return f"the target {target.key(model.name)} takes it up"
    return None


def _endpoint(client: MlflowClient, state: EndpointState, world: _World) -> Leftover:
    owner = next((model for model in world.models.values() if model.tags.get(tags.UID) == state.uid), None)
    name = owner.name if owner else state.properties.get(tags.PROPERTY_REGISTERED_MODEL, "")
    reason = f"no tag of {name} names it" if owner else f"there is no registered model {name} with its id"
    if state.status not in DONE:
        kept: str | None = "the service is at work on it"
    elif owner is None and not _is_our_run(client, state.properties.get(tags.PROPERTY_RUN_ID)):
        kept = "neither its registered model nor its run is in this MLflow: it may be another one's"
    else:
        kept = None
    return Leftover("endpoint", state.id, state.display_name, name, reason, kept)


def _model(client: MlflowClient, model: CustomModel) -> Leftover:
    properties = model.custom_properties or {}
    run_id, name = properties.get(tags.PROPERTY_RUN_ID), properties.get(tags.PROPERTY_REGISTERED_MODEL, "")
    kept = None
    if not model.done:
        kept = "the service is at work on it"
    elif not _is_our_run(client, run_id):
        kept = "its run is not in this MLflow: it may be another one's"
    elif run_id and client.get_run(run_id).info.status in {"RUNNING", "SCHEDULED"}:
        kept = f"its run {run_id} is not finished"
    return Leftover("model", model.id, model.display_name or "", name, f"no version of {name} names it", kept)


def _mine(model: CustomModel) -> bool:
    """Made here for a registered model. A model that was never to be registered is nobody's leftover."""
    properties = model.custom_properties or {}
    return properties.get(tags.PROPERTY_MANAGED_BY) == tags.MANAGED_BY and tags.PROPERTY_REGISTERED_MODEL in properties


def _model_ids(models: Iterable[Registered]) -> set[str]:
    """The service models that versions stand for, here and as copies elsewhere."""
    return {
        value
        for model in models
        for version in model.versions
        for key, value in version.tags.items()
        if key == tags.MODEL_ID or key.startswith(f"{tags.MODEL_ID}.")
    }


def _is_our_run(client: MlflowClient, run_id: str | None) -> bool:
    from mlflow.exceptions import MlflowException

    from speech_mlflow.tracking.store import is_missing

    if not run_id:
        return False
    try:
        return tags.KIND in client.get_run(run_id).data.tags
    except MlflowException as error:
        if is_missing(error):
            return False
        raise


def _key(one: Leftover) -> str:
    """The target of an endpoint, by its name: ``<registered model>/<target>``."""
    prefix, _, key = one.display_name.partition("/")
    return key if prefix == PREFIX and "/" in key else f"{one.registered_model}/default"


def _after(one: Leftover, kept: str | None) -> Leftover:
    return replace(one, kept=kept, deleted=kept is None)

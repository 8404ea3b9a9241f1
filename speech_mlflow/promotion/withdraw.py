"""Taking a registered model out of service: the one way on which an endpoint that serves is deleted, and never by the controller.

The registry first, then the service: a process that dies in between leaves an endpoint that nothing names, which withdrawing
again, or ``retire --prune``, deletes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from speech_mlflow.errors import NotFoundError, PromotionError
from speech_mlflow.promotion import journal, registry
from speech_mlflow.promotion.apply import remove
from speech_mlflow.promotion.claim import claimed
from speech_mlflow.promotion.desired import desired_of, named_by
from speech_mlflow.promotion.observed import EndpointState, observe
from speech_mlflow.promotion.options import Options
from speech_mlflow.promotion.records import PRODUCTION, Registered
from speech_mlflow.promotion.target import Target
from speech_mlflow.tracking import tags

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from speech_mlflow.service.client import SpeechClient


def withdraw(
    speech: SpeechClient, client: MlflowClient, name: str, target: Target | None = None, *, options: Options | None = None
) -> str | None:
    """Serve no version of a registered model any more, and delete its endpoint; its id, None where there was none.

    What is in Production is archived, or the alias or the tag taken off. PromotionError where the endpoint was not made here, with
    nothing changed.
    """
    options = options or Options()
    target = (target or Target()).with_tags(registry.read(client, name).tags)
    with claimed(client, journal.experiment(client), target.key(name), ttl=options.claim_seconds):
        model = registry.read(client, name)
        endpoint = observe(speech, model, target).endpoint
        if endpoint is not None and (target.endpoint_id is not None or not endpoint.marked(model.tags.get(tags.UID))):
            raise PromotionError(
                f"endpoint {endpoint.id} was not made here, and is not deleted", hint="delete it where it was made"
            )
        _out_of_production(client, model, target)
        _forget(client, model, target)
    if endpoint is None:
        return None
    kept = _remove(speech, client, name, target, endpoint, options)
    if kept is not None:
        raise PromotionError(f"endpoint {endpoint.id} is not deleted: {kept}")
    return endpoint.id


def _remove(
    speech: SpeechClient, client: MlflowClient, name: str, target: Target, endpoint: EndpointState, options: Options
) -> str | None:
    def needed() -> str | None:
        now = registry.read(client, name)
        wanted = desired_of(now, target.trigger)
        return None if wanted.state == "none" else f"{wanted.reason} again"

    why = f"{name} was withdrawn"
    try:
        return remove(speech, client, target.key(name), endpoint.id, why=why, needed=needed, options=options)
    except NotFoundError:  # somebody was faster
        return None


def _out_of_production(client: MlflowClient, model: Registered, target: Target) -> None:
    from speech_mlflow.tracking.registry import set_stage

    if target.trigger != "stage":
        if named_by(model, target.trigger) is not None:
            registry.name_version(client, model.name, target.trigger, None)
        return
    for version in model.versions:
        if version.stage == PRODUCTION:
            set_stage(client, model.name, version.number, "Archived", archive=False)


def _forget(client: MlflowClient, model: Registered, target: Target) -> None:
    """Take off the tags that say what is served; the endpoint's id goes last."""
    here, served = target.tag(tags.ENDPOINT_ID), target.tag(tags.SERVED_VERSION)
    for version in model.versions:
        if here in version.tags:
            registry.delete_tag(client, model.name, here, version=version.number)
    for key in (served, here):
        if key in model.tags:
            registry.delete_tag(client, model.name, key)

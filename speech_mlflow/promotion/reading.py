"""Reading the world for a promotion: registry and service for a plan, tests and the model for the gates."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from speech_mlflow.errors import NotFoundError
from speech_mlflow.promotion import registry
from speech_mlflow.promotion.copies import Source, localised, trained_as
from speech_mlflow.promotion.decisions import Candidate, Decision
from speech_mlflow.promotion.desired import Desired, desired_of
from speech_mlflow.promotion.observed import Endpoints, Observed, observe, observed_of
from speech_mlflow.promotion.plan import Plan, plan
from speech_mlflow.promotion.records import Registered, Version
from speech_mlflow.promotion.target import Target
from speech_mlflow.tracking import tags

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from speech_mlflow.service.client import SpeechClient
    from speech_mlflow.service.entities import CustomModel

PROMOTION_RUN_ID = "speech.promotion_run_id"
"""Version tag: the promotion run that last published the version. A version that has it was served before."""
OVERRIDE = "speech.override"
"""Version tag: why, and by whom, the version is to be served against what gates say."""


def read_plan(speech: SpeechClient, client: MlflowClient, name: str, target: Target) -> tuple[Registered, Plan]:
    """The registered model and the plan for it, without the gates. The plan's target is the given one with what tags add."""
    model = registry.read(client, name)
    target = target.with_tags(model.tags, of=name)
    model = localised(model, target)
    desired = desired_of(model, target.trigger)
    observed = observe(speech, model, target)
    return model, plan(desired, observed, model=model, target=target)


def plan_of(model: Registered, endpoints: Endpoints, target: Target, resource: str | None) -> Plan:
    """The same, given the model and all endpoints of the resource: nothing is read."""
    target = target.with_tags(model.tags)
    model = localised(model, target)
    observed = observed_of(endpoints.of(model, target), model, target, resource=resource)
    return plan(desired_of(model, target.trigger), observed, model=model, target=target)


def with_decisions(model: Registered, made: Plan, decisions: tuple[Decision, ...]) -> Plan:
    """The plan with what the gates said."""
    return plan(made.desired, made.observed, model=model, target=made.target, decisions=decisions)


def read_candidate(
    speech: SpeechClient,
    client: MlflowClient,
    model: Registered,
    desired: Desired,
    observed: Observed,
    target: Target,
    source: Source | None = None,
) -> Candidate:
    """All that the gates decide on. A model that is not copied yet is asked for at its ``source``."""
    version = desired.record
    assert version is not None
    champion = model.version(observed.published_version)
    if champion is None and observed.endpoint is not None:
        champion = model.version_of_model(observed.endpoint.model_id, tags.MODEL_ID)
    copied = tags.MODEL_ID in version.tags or source is None
    served = service_model(speech if copied or source is None else source.speech, version)
    status = served.status if served else "not there"
    return candidate_of(client, model, version, target, champion, expires=expiry(served), model_status=status)


def candidate_of(
    client: MlflowClient,
    model: Registered,
    version: Version,
    target: Target,
    champion: Version | None,
    *,
    expires: float | None,
    model_status: str | None = None,
) -> Candidate:
    """What the gates decide on: what the caller knows of the model at the service, and what MLflow holds."""
    from speech_mlflow.promotion.evidence_reading import author_of, tests_of

    return Candidate(
        model=model,
        version=version,
        target=target,
        champion=champion,
        evidence=tests_of(client, version),
        champion_evidence=tests_of(client, champion) if champion else (),
        rollback=PROMOTION_RUN_ID in version.tags,
        expires=expires,
        model_status=model_status,
        author=author_of(client, version),
        now=time.time(),
    )


def service_model(speech: SpeechClient, version: Version) -> CustomModel | None:
    """The service's record of a version's model; None where there is no such model (any more)."""
    model_id = version.tags.get(tags.MODEL_ID) or trained_as(version)
    try:
        return speech.models.get(model_id) if model_id else None
    except NotFoundError:
        return None


def expiry(model: CustomModel | None) -> float | None:
    """When the service stops serving a model, in seconds since 1970."""
    dates = model.properties.deprecation_dates if model and model.properties else None
    return dates.transcription_date_time.timestamp() if dates and dates.transcription_date_time else None

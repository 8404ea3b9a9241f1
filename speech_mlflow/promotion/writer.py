"""The writes to endpoints, for :mod:`.apply` alone: create once, change in place, wait, and take back what was made twice.

Before each write it is made sure that the claim still stands and that nobody else changed the endpoint in between. The service
has no compare-and-set, so that a small window stays; what falls into it is found and mended by the next comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING

from speech_mlflow.errors import OperationFailedError, PromotionError, StalePlanError, WaitTimeoutError
from speech_mlflow.progress import ProgressEvent
from speech_mlflow.promotion import registry
from speech_mlflow.promotion.claim import Claim
from speech_mlflow.promotion.journal import Journal
from speech_mlflow.promotion.observed import EndpointState, observe, state_of
from speech_mlflow.promotion.options import Options
from speech_mlflow.promotion.reading import service_model
from speech_mlflow.promotion.records import Registered, Version
from speech_mlflow.promotion.target import Target
from speech_mlflow.service.resource import CUSTOM_PROPERTIES_MAX
from speech_mlflow.tracking import tags

if TYPE_CHECKING:
    from speech_mlflow.service.client import SpeechClient

DESCRIPTION = "Serves the registered model {name}. Managed by speech-mlflow: changes by hand are undone."


class Writer:
    """Writes for one promotion: of one registered model, under one claim, noted in one run."""

    def __init__(
        self, speech: SpeechClient, model: Registered, target: Target, claim: Claim, run: Journal, options: Options
    ) -> None:
        self.speech = speech
        self.model = model
        self.target = target
        self.claim = claim
        self.run = run
        self.options = options

    def serve(self, version: Version, endpoint: EndpointState | None) -> EndpointState:
        """Make the endpoint serve a version: create it, or change it in place. The service may still be at work thereafter."""
        if endpoint is None:
            endpoint = self._create(version)
        if not endpoint.done:  # the service takes no other model before it has loaded the last one
            endpoint = self.settle(endpoint.id, failed_too=True)
        if endpoint.model_id != version.tags.get(tags.MODEL_ID) or endpoint.status == "Failed":
            endpoint = self._patch(endpoint, version)
        return endpoint

    def reset(self, endpoint: EndpointState, before: EndpointState) -> EndpointState:
        """Give an endpoint back the model and the properties that it had: its version was deleted, or it was taken over."""
        self.settle(endpoint.id, failed_too=True)
        self.keep()
        changed = self.speech.endpoints.update(endpoint.id, model=before.model_id, custom_properties=before.properties)
        self.report("write", f"endpoint {endpoint.id} changes back to model {before.model_id}")
        return state_of(changed)

    def settle(self, endpoint_id: str, *, failed_too: bool = False) -> EndpointState:
        """Wait until the service has done with an endpoint. OperationFailedError where it failed, WaitTimeoutError where it
        takes too long, ClaimHeldError where the claim is lost meanwhile."""
        from speech_mlflow.service.waiting import next_poll

        started = monotonic()
        while True:
            entity, retry_after = self.speech.endpoints.poll(endpoint_id)
            waited = monotonic() - started
            self.report("deploy", str(entity.status), waited)
            if entity.done:
                state = state_of(entity)
                if state.status == "Failed" and not failed_too:
                    reason = state.error or "the service gives no reason"
                    raise OperationFailedError(f"the deployment failed: {reason}", entity=entity)
                return state
            if waited > self.options.deploy_seconds:
                raise WaitTimeoutError(f"endpoint {endpoint_id} is still {entity.status} after {waited:.0f} s", entity=entity)
            self.options.pause(next_poll(waited, retry_after), self.claim.check)

    def keep(self) -> None:
        """Go on holding the claim while something else takes its time; Stopped where the promotion is told to end."""
        self.options.pause(0.0, self.claim.check)

    def report(self, step: str, detail: str, seconds: float = 0.0) -> None:
        """Tell where the promotion is."""
        name = f"{self.target.key(self.model.name)}: {step}"
        self.options.progress(ProgressEvent(name, seconds, unit="s" if seconds else "", detail=detail))

    def _create(self, version: Version) -> EndpointState:
        served = service_model(self.speech, version)
        locale = version.tags.get(tags.LOCALE) or (served.locale if served else None) or self.model.tags.get(tags.LOCALE)
        if locale is None:
            raise PromotionError(f"the locale of version {version.number} of {self.model.name} is not known")
        self.keep()
        made = self.speech.endpoints.create(
            display_name=self.target.display_name(self.model.name),
            locale=locale,
            model=version.tags[tags.MODEL_ID],
            description=DESCRIPTION.format(name=self.model.name),
            project=self.target.project,
            custom_properties=self._properties(version),
        )
        self.run.note(**{tags.ENDPOINT_ID: made.id})
        self.report("write", f"created endpoint {made.id}")
        return self._only(state_of(made))

    def _only(self, made: EndpointState) -> EndpointState:
        """Of several with our mark the published one stays, else the oldest. The one just made, which nobody knows of, goes
        where it is not that, whoever holds the claim by now: nobody else would know that it may go."""
        now = registry.read(self.run.client, self.model.name)
        seen = observe(self.speech, now, self.target)
        if seen.endpoint is None or made.id not in {one.id for one in seen.duplicates}:
            return made
        while not state_of(self.speech.endpoints.get(made.id)).done:  # the service deletes nothing that it is at work on
            self.options.pause(1.0)
        self.speech.endpoints.delete(made.id)
        self.report("write", f"deleted endpoint {made.id}, just made: {seen.endpoint.id} was there before")
        return seen.endpoint

    def _patch(self, endpoint: EndpointState, version: Version) -> EndpointState:
        now = state_of(self.speech.endpoints.get(endpoint.id))
        if now.model_id not in {endpoint.model_id, version.tags.get(tags.MODEL_ID)}:
            raise StalePlanError(f"somebody else changed the model of endpoint {endpoint.id} just now")
        self.keep()  # the last thing before the write: a process may be paused, or told to end, while it reads
        changed = self.speech.endpoints.update(
            endpoint.id, model=version.tags[tags.MODEL_ID], custom_properties=self._properties(version, now.properties)
        )
        self.report("write", f"endpoint {endpoint.id} changes to version {version.number}")
        return state_of(changed)

    def _properties(self, version: Version, theirs: Mapping[str, str] | None = None) -> dict[str, str]:
        """Our mark, beside what others noted on the endpoint: the service takes all properties or none, and few of them."""
        ours = {
            tags.PROPERTY_MANAGED_BY: tags.MANAGED_BY,
            tags.PROPERTY_UID: self.model.tags[tags.UID],
            tags.PROPERTY_REGISTERED_MODEL: self.model.name[:256],
            tags.PROPERTY_MODEL_VERSION: version.number,
            tags.PROPERTY_RUN_ID: self.run.run_id,
            tags.PROPERTY_PLAN: self.run.plan.id,
        }
        for spare in (tags.PROPERTY_PLAN, tags.PROPERTY_RUN_ID):  # the run in MLflow has both, and names the endpoint
            if len({**(theirs or {}), **ours}) > CUSTOM_PROPERTIES_MAX:
                del ours[spare]
        merged = {**(theirs or {}), **ours}
        if len(merged) > CUSTOM_PROPERTIES_MAX:
            raise PromotionError(
                f"the endpoint has {len(theirs or {})} custom properties of its own; with ours they would be {len(merged)}, "
                f"and the service takes {CUSTOM_PROPERTIES_MAX}",
                hint="remove some of them from the endpoint",
            )
        return merged

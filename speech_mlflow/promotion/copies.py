"""Copies of a version's model in other speech resources: found, or made once, with the authorisation of the resource it goes to.

A version has the id of each copy in a tag, ``speech.model_id.<target>``. The service gives the create of a copy no id of ours, and
its operations cannot be listed; so the tag ``speech.copy.<target>`` is written before (*asked*) and after (the operation's id),
and a copy whose outcome is not known is looked for at its destination: it has the name and the customProperties of its source.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from speech_mlflow.errors import NotFoundError, OperationFailedError, PromotionError, UnknownOutcomeError
from speech_mlflow.promotion import registry
from speech_mlflow.promotion.crash import point
from speech_mlflow.promotion.options import Options
from speech_mlflow.promotion.records import Registered, Version
from speech_mlflow.promotion.target import Target
from speech_mlflow.tracking import tags

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from speech_mlflow.service.client import SpeechClient
    from speech_mlflow.service.entities import CustomModel, Operation

SOURCE_MODEL_ID = "speech.source_model_id"
"""In records of a region's versions only: the id of the model in the resource where it was trained."""
COPY = "speech.copy"
ASKED = "asked"
FIRST_LOOK = 1.0
"""Seconds after which a copy is first asked for; a small model takes no longer."""
PROPERTY_COPIED_FROM = "copied-from"


@dataclass(frozen=True)
class Source:
    """Where models are copied from: the resource where they were trained, and its Azure resource id."""

    speech: SpeechClient
    resource_id: str | None


def localised(model: Registered, target: Target) -> Registered:
    """A registered model as a region's target sees it: a version's model is the copy there, if there is one."""
    if target.region is None:
        return model
    return replace(model, versions=tuple(_localised(version, target) for version in model.versions))


def _localised(version: Version, target: Target) -> Version:
    noted = dict(version.tags)
    source = noted.pop(tags.MODEL_ID, None)
    if source is not None:
        noted[SOURCE_MODEL_ID] = source
    for key in (tags.MODEL_ID, tags.RESOURCE):
        noted.pop(key, None)
        if target.tag(key) in noted:
            noted[key] = noted[target.tag(key)]
    return replace(version, tags=noted)


def trained_as(version: Version) -> str | None:
    """The id of a version's model where it was trained."""
    return version.tags.get(SOURCE_MODEL_ID) or version.tags.get(tags.MODEL_ID)


def ensure(
    source: Source,
    there: SpeechClient,
    client: MlflowClient,
    model: Registered,
    version: Version,
    target: Target,
    *,
    keep: Callable[[], None],
    options: Options,
) -> Version:
    """The version with its copy in the target's resource, which is made where there is none.

    ``keep`` is called while waiting (it keeps the claim). PromotionError where the copy fails.
    """
    return _Copy(source, there, client, model, version, target, keep, options).run()


@dataclass(frozen=True)
class _Copy:
    source: Source
    there: SpeechClient
    client: MlflowClient
    model: Registered
    version: Version
    target: Target
    keep: Callable[[], None]
    options: Options

    def run(self) -> Version:
        source_id = trained_as(self.version)
        if source_id is None:
            raise PromotionError(f"version {self.version.number} names no model of the speech service")
        original = self.source.speech.models.get(source_id)
        begun = self.version.tags.get(self._tag)
        copied = self._of_operation(begun) if begun not in {None, ASKED} else None
        if copied is None:
            copied = self._look_for(original, patiently=begun == ASKED)
        if copied is None:
            copied = self._make(original)
        point("copy:made")
        self._note(copied, original)
        noted = {**self.version.tags, tags.MODEL_ID: copied, tags.RESOURCE: self.there.resource}
        return replace(self.version, tags=noted)

    @property
    def _tag(self) -> str:
        return self.target.tag(COPY)

    def _make(self, original: CustomModel) -> str:
        if self.source.resource_id is None:
            raise PromotionError(
                f"to copy a model to {self.target.region} the Azure resource id of its own resource is needed",
                hint='set resource_id = "/subscriptions/.../accounts/NAME" in speech-mlflow.toml',
            )
        permission = self.there.models.authorize_copy(self.source.resource_id)
        self.keep()
        self._set({self._tag: ASKED})
        point("copy:asked")
        try:
            operation = self.source.speech.models.copy(original.id, permission)
        except UnknownOutcomeError:
            found = self._look_for(original, patiently=True)
            if found is None:
                raise
            return found
        point("copy:begun")
        self._set({self._tag: operation.id})
        return self._wait(operation)

    def _of_operation(self, operation_id: str | None) -> str | None:
        """The copy that an earlier process began; None where that came to nothing."""
        assert operation_id is not None
        try:
            return self._wait(self.source.speech.models.copy_operation(operation_id))
        except (NotFoundError, PromotionError):
            return None

    def _wait(self, operation: Operation) -> str:
        from speech_mlflow.service.waiting import next_poll

        waited, retry_after = 0.0, None
        while not operation.done:
            pause = next_poll(waited, retry_after) if waited else FIRST_LOOK
            self.options.pause(pause, self.keep)
            waited += pause
            operation, retry_after = self.source.speech.models.poll_copy(operation.id)
            if waited > self.options.deploy_seconds and not operation.done:
                raise PromotionError(f"the copy to {self.target.region} is still {operation.status} after {waited:.0f} s")
        link = operation.result.link if operation.result else None
        if operation.status != "Succeeded" or not link:
            why = f"{operation.error.code}: {operation.error.message}" if operation.error else "the service gives no reason"
            raise PromotionError(f"the copy of version {self.version.number} to {self.target.region} failed: {why}")
        return link.partition("?")[0].rpartition("/")[2]

    def _look_for(self, original: CustomModel, *, patiently: bool) -> str | None:
        """A copy that is there already, the oldest of several; looked for until a list must show it, where one was asked for."""
        from speech_mlflow.service import filters
        from speech_mlflow.service.entities import by_age

        for seconds in self.options.look_after if patiently else (0.0,):
            self.options.pause(seconds, self.keep)
            named = self.there.models.list(filter=filters.eq("displayName", original.display_name or ""))
            copies = [one for one in named if _is_copy(one, original) and one.status != "Failed"]
            if copies:
                return min(copies, key=by_age).id
        return None

    def _note(self, copied: str, original: CustomModel) -> None:
        """Mark the copy as ours and note it on the version; the tag that plans go by is written last."""
        entity = self.there.models.get(copied)
        if not entity.done:
            entity = self.there.wait(entity)
        if entity.status == "Failed":
            raise OperationFailedError(f"the copy {copied} in {self.target.region} failed", entity=entity)
        self.keep()
        mark: dict[str, str | None] = {
            tags.PROPERTY_MANAGED_BY: tags.MANAGED_BY,
            tags.PROPERTY_REGISTERED_MODEL: self.model.name[:256],
            tags.PROPERTY_MODEL_VERSION: self.version.number,
            PROPERTY_COPIED_FROM: original.id,
        }
        self.there.models.update(copied, custom_properties={**(entity.custom_properties or {}), **mark})
        self._set({self.target.tag(tags.RESOURCE): self.there.resource, self.target.tag(tags.MODEL_ID): copied})
        registry.delete_tag(self.client, self.model.name, self._tag, version=self.version.number)

    def _set(self, values: dict[str, str]) -> None:
        registry.set_tags(self.client, self.model.name, values, version=self.version.number)


def _is_copy(one: CustomModel, original: CustomModel) -> bool:
    """Proven by the source's id, which we write into a copy, or by what the service copies along: the content key and the run."""
    here, there = one.custom_properties or {}, original.custom_properties or {}
    if one.id == original.id:
        return False
    if here.get(PROPERTY_COPIED_FROM) == original.id:
        return True
    proof = (tags.PROPERTY_FINGERPRINT, tags.PROPERTY_RUN_ID, "create-id")
    return any(there.get(key) for key in proof) and all(here.get(key) == there.get(key) for key in proof)

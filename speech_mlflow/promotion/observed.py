"""What the speech service serves for a target now.

The endpoint is the one that the registered model's tag names, or else the one that carries the target's deterministic
``displayName`` (the service can filter by it) and our mark in its ``customProperties``: who manages it, and the random id of
the registered model, since two MLflow servers may share one speech resource. Of several, the oldest is taken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Literal

from speech_mlflow.errors import NotFoundError
from speech_mlflow.promotion.records import Registered
from speech_mlflow.promotion.target import Target
from speech_mlflow.tracking import tags

if TYPE_CHECKING:
    from speech_mlflow.service.client import SpeechClient
    from speech_mlflow.service.entities import Endpoint

DONE = frozenset({"Succeeded", "Failed"})
EPOCH = datetime.fromtimestamp(0, timezone.utc)


@dataclass(frozen=True)
class EndpointState:
    """An endpoint of the service, as far as promotion goes by it."""

    id: str
    model_id: str | None
    status: str
    display_name: str = ""
    locale: str | None = None
    created: datetime = EPOCH
    properties: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None

    @property
    def done(self) -> bool:
        """Whether the service is at rest with it."""
        return self.status in DONE

    @property
    def uid(self) -> str | None:
        """The registered model's id in the mark; None without a mark of ours."""
        ours = self.properties.get(tags.PROPERTY_MANAGED_BY) == tags.MANAGED_BY
        return self.properties.get(tags.PROPERTY_UID) if ours else None

    def marked(self, uid: str | None) -> bool:
        """Whether it carries our mark, and the registered model's id."""
        return uid is not None and self.uid == uid


@dataclass(frozen=True)
class Observed:
    """What is served for a target, and what the registry says is served.

    ``duplicates`` carry our mark too and serve nobody's code; ``foreign`` have the target's name without our mark (or are
    named by a registry tag without it) and are never touched. ``lost`` is the id of a published endpoint that is gone.
    """

    resource: str | None
    endpoint: EndpointState | None = None
    found_by: Literal["declared", "tag", "name"] | None = None
    duplicates: tuple[EndpointState, ...] = ()
    foreign: tuple[EndpointState, ...] = ()
    lost: str | None = None
    published_endpoint: str | None = None
    published_version: str | None = None

    @property
    def published(self) -> bool:
        """Whether the endpoint was published to clients by an earlier promotion."""
        return self.endpoint is not None and self.endpoint.id == self.published_endpoint

    @property
    def unmarked(self) -> bool:
        """Whether the endpoint that an earlier promotion published is there, and somebody took our mark off it."""
        return self.published_version is not None and self.published_endpoint in {one.id for one in self.foreign}


class Endpoints:
    """All endpoints of a resource, by what they are looked for."""

    def __init__(self, states: Iterable[EndpointState]) -> None:
        self._by_id = {state.id: state for state in states}
        self._by_name: dict[str, list[EndpointState]] = {}
        for state in self._by_id.values():
            self._by_name.setdefault(state.display_name, []).append(state)

    def of(self, model: Registered, target: Target) -> list[EndpointState]:
        """Those that could be the target's: named by it or by the registry, or of its name."""
        wanted = (target.endpoint_id, model.tags.get(target.tag(tags.ENDPOINT_ID)))
        named = self._by_name.get(target.display_name(model.name), [])
        return [*named, *(self._by_id[one] for one in wanted if one in self._by_id)]


def observe(speech: SpeechClient, model: Registered, target: Target) -> Observed:
    """Ask the service for the target's endpoint: the named one, and all that carry its name."""
    from speech_mlflow.service import filters

    named = target.display_name(model.name)
    found = {state.id: state for state in map(state_of, speech.endpoints.list(filter=filters.eq("displayName", named)))}
    for wanted in (target.endpoint_id, model.tags.get(target.tag(tags.ENDPOINT_ID))):
        if wanted is not None:
            found.pop(wanted, None)  # a list may lag behind
            try:
                found[wanted] = state_of(speech.endpoints.get(wanted))
            except NotFoundError:
                continue
    return observed_of(found.values(), model, target, resource=speech.resource)


def observed_of(endpoints: Iterable[EndpointState], model: Registered, target: Target, *, resource: str | None) -> Observed:
    """What is observed, given the endpoints there are: all of the resource or those that could be the target's."""
    uid = model.tags.get(tags.UID)
    published = model.tags.get(target.tag(tags.ENDPOINT_ID))
    known = {state.id: state for state in endpoints}
    named = [state for state in known.values() if state.display_name == target.display_name(model.name)]
    ours = sorted((state for state in named if state.marked(uid)), key=_age)
    endpoint: EndpointState | None = None
    found_by: Literal["declared", "tag", "name"] | None = None
    foreign = [state for state in named if state.uid is None]  # another registry's is no news: it may share the resource
    if target.endpoint_id is not None:
        endpoint, found_by = known.get(target.endpoint_id), "declared"
    elif published in known and (known[published].marked(uid)):
        endpoint, found_by = known[published], "tag"
    elif published in known and known[published] not in foreign:
        foreign.append(known[published])  # somebody wrote the tag by hand
    if endpoint is None and target.endpoint_id is None and ours:
        endpoint, found_by = ours[0], "name"
    wanted = target.endpoint_id or published
    return Observed(
        resource=resource,
        endpoint=endpoint,
        found_by=found_by if endpoint is not None else None,
        duplicates=tuple(state for state in ours if endpoint is None or state.id != endpoint.id),
        foreign=tuple(sorted((state for state in foreign if state != endpoint), key=_age)),
        lost=wanted if wanted is not None and wanted not in known else None,
        published_endpoint=published,
        published_version=model.tags.get(target.tag(tags.SERVED_VERSION)),
    )


def state_of(endpoint: Endpoint) -> EndpointState:
    """The part of the service's record that promotion goes by."""
    error = endpoint.error
    return EndpointState(
        id=endpoint.id,
        model_id=endpoint.model.id if endpoint.model else None,
        status=endpoint.status or "NotStarted",
        display_name=endpoint.display_name or "",
        locale=endpoint.locale,
        created=endpoint.created_date_time or EPOCH,
        properties=dict(endpoint.custom_properties or {}),
        error=f"{error.code}: {error.message}" if error else None,
    )


def _age(state: EndpointState) -> tuple[datetime, str]:
    """The service's times are whole seconds: of two endpoints of one second every controller must take the same."""
    return (state.created, state.id)

"""What all resources of the service have in common: lists page by page, get, update, delete, files, and creating once.

The service gives a create no id of the client's. So each create carries a random ``create-id`` in its customProperties, and
where its answer is lost the entity is looked for under its displayName and recognised by that id, before anything is sent
again.
"""

from __future__ import annotations

import builtins
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

import pydantic
from pydantic import SecretStr

from speech_mlflow.errors import ApiError, ServiceError, SettingsError, TransportError, UnknownOutcomeError
from speech_mlflow.service import filters
from speech_mlflow.service.answers import Answer, unreadable
from speech_mlflow.service.entities import API_VERSION, Entity, EntityReference, EntityT, File, Record, by_age
from speech_mlflow.service.transport import OutcomeUnknown, Transport, path_segment

LOOK_UP_AFTER = (2.0, 5.0, 10.0)  # seconds before each look: a list may lag behind a create
CREATES = 3
CREATE_ID = "create-id"
CUSTOM_PROPERTIES_MAX = 10
MERGE_PATCH = {"Content-Type": "application/merge-patch+json"}

# the paths of all things that can be referred to
PATHS: Mapping[str, str] = {
    "project": "/projects",
    "dataset": "/datasets",
    "base_model": "/models/base",
    "model": "/models",
    "evaluation": "/evaluations",
    "endpoint": "/endpoints",
    "transcription": "/transcriptions",
    "webhook": "/webhooks",
}

RecordT = TypeVar("RecordT", bound=Record)
Thing = str | Entity | EntityReference  # an entity, a reference to it, or its id
Properties = Mapping[str, str] | None
SecretText = str | SecretStr


def parse(record: type[RecordT], value: Any, answer: Answer, transport: Transport) -> RecordT:
    """``value`` as a record. Raises `ApiError` where it is none, `ForeignLinkError` where its ``self`` is not the service's."""
    try:
        parsed = record.model_validate(value)
    except pydantic.ValidationError as error:
        places = [".".join(str(part) for part in problem["loc"]) for problem in error.errors(include_input=False)]
        raise unreadable(answer, f"the answer is no {record.__name__}: wrong are {', '.join(places[:5])}") from None
    own = getattr(parsed, "self_", None)
    if isinstance(parsed, Entity) and own is None:
        raise unreadable(answer, f"the answer is no {record.__name__}: it has no self")
    if own is not None:
        transport.own_path(own)
    return parsed


def pages(
    transport: Transport, record: type[RecordT], path: str, *, filter: str | None, top: int | None, **params: Any
) -> Iterator[RecordT]:
    """Everything in a list, one page after another, each fetched when it is needed."""
    link: str | None = path
    query: dict[str, Any] = {"top": top, "filter": filter, **params}
    seen = set()
    while link is not None:
        if link in seen:
            raise ServiceError(f"the list {path} does not end: its next page is one that was read before")
        seen.add(link)
        answer = transport.call("GET", link, params=query)
        page = answer.object()
        values = page.get("values")
        if not isinstance(values, list):
            raise unreadable(answer, f"the list {path} has no values")
        for value in values:
            yield parse(record, value, answer, transport)
        next_link = page.get("@nextLink")
        link = transport.own_path(str(next_link)) if next_link else None
        query = {}  # the link carries them


class Resource(Generic[EntityT]):
    """One kind of entity: what can be done with all of them."""

    kind: str
    record: type[EntityT]

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, filter: str | None = None, top: int | None = None) -> Iterator[EntityT]:
        """All entities, newest order as the service gives it; ``filter`` as made by `speech_mlflow.service.filters`.

        ``top`` is the size of a page, not of the list. To delete while listing, make a list first: pages shift.
        """
        return pages(self._transport, self.record, self._path, filter=filter, top=top)

    def get(self, id: Thing) -> EntityT:
        """One entity. Raises `NotFoundError`."""
        return self.poll(id)[0]

    def poll(self, id: Thing) -> tuple[EntityT, float | None]:
        """One entity and the seconds that the service asks to wait before it is read again."""
        answer = self._transport.call("GET", self._of(id))
        return self._parse(answer), answer.retry_after

    def delete(self, id: Thing) -> None:
        """Delete an entity; it is no error that there is none. Raises `ConflictError` while it is in use."""
        self._transport.call("DELETE", self._of(id))

    def locales(self) -> builtins.list[str]:
        """The locales for which such entities can be made."""
        answer = self._transport.call("GET", f"{self._path}/locales")
        value = answer.json()
        if not isinstance(value, list):
            raise unreadable(answer, f"the locales of {self._path} are no list")
        return [str(locale) for locale in value]

    def _project(self, project: Thing | None) -> dict[str, str] | None:
        return reference(self._transport, "project", project) if project is not None else None

    def ref(self, thing: Thing) -> dict[str, str]:
        """A reference to an entity of this kind, as the service takes it."""
        return reference(self._transport, self.kind, thing)

    @property
    def _path(self) -> str:
        return PATHS[self.kind]

    def _of(self, thing: Thing) -> str:
        return f"{self._path}/{path_segment(id_of_thing(thing))}"

    def _parse(self, answer: Answer) -> EntityT:
        return parse(self.record, answer.object(), answer, self._transport)

    def _update(self, id: Thing, body: Mapping[str, Any]) -> EntityT:
        changes = {name: value for name, value in body.items() if value is not None}
        check_custom_properties(changes.get("customProperties"))
        answer = self._transport.call("PATCH", self._of(id), json=changes, headers=MERGE_PATCH)
        return self._parse(answer)

    def _create(self, body: Mapping[str, Any], *, path: str | None = None) -> EntityT:
        """Create an entity once, whatever happens to the answer. Raises `UnknownOutcomeError` where that cannot be told."""
        wanted = {name: value for name, value in body.items() if value is not None}
        if not wanted.get("displayName"):
            raise SettingsError(f"a {self.kind} needs a display name")
        properties = dict(wanted.get("customProperties") or {})
        check_custom_properties(properties)
        if len(properties) < CUSTOM_PROPERTIES_MAX:
            properties[CREATE_ID] = uuid.uuid4().hex
        wanted["customProperties"] = properties
        for attempt in range(1, CREATES + 1):
            try:
                answer = self._transport.call("POST", path or self._path, json=wanted)
            except OutcomeUnknown as unknown:
                found = self._look_up(wanted, unknown.error)
                if found is not None:
                    return found
                if attempt == CREATES:  # looked for thrice and not there: the failure is what it says
                    raise unknown.error from None
                continue
            try:
                return self._created(answer)
            except (ApiError, TransportError) as unread:  # made, says the status; so it is there to be found
                found = self._look_up(wanted, unread)
                if found is None:
                    raise
                return found
        raise AssertionError("the last attempt returns or raises")

    def _created(self, answer: Answer) -> EntityT:
        location = answer.headers.get("location")
        own = self._transport.own_path(location) if location else None
        if answer.body.strip() or own is None:
            return self._parse(answer)
        return self._parse(self._transport.call("GET", own))

    def _look_up(self, wanted: Mapping[str, Any], why: ServiceError) -> EntityT | None:
        """The entity that a create of unknown outcome has made, or None where there is none as yet."""
        name = str(wanted["displayName"])
        create_id = wanted["customProperties"].get(CREATE_ID)
        for seconds in LOOK_UP_AFTER:
            self._transport.timing.sleep(seconds)
            try:
                candidates = list(Resource.list(self, filters.eq("displayName", name)))
            except ServiceError as error:
                raise UnknownOutcomeError(
                    f"the {self.kind} {name!r} may or may not have been made ({why}); looking it up failed: {error}",
                    hint="look for it by its name before making it again",
                ) from None
            ours = [one for one in candidates if create_id and (one.custom_properties or {}).get(CREATE_ID) == create_id]
            if ours:
                return min(ours, key=by_age)
            if candidates and not create_id:
                raise UnknownOutcomeError(
                    f"the {self.kind} {name!r} may or may not have been made ({why}); there are "
                    f"{', '.join(one.id for one in candidates)} of that name",
                    hint="with fewer than ten customProperties it could have been marked and recognised",
                )
        return None


class WithFiles(Resource[EntityT]):
    """A kind of entity that has files: reports, contents, results. What it was made from stays what it is."""

    def update(
        self,
        id: Thing,
        *,
        display_name: str | None = None,
        description: str | None = None,
        project: Thing | None = None,
        custom_properties: Mapping[str, str | None] | None = None,
    ) -> EntityT:
        """Change what is given and leave the rest."""
        return self._update(id, changes(display_name, description, self._project(project), custom_properties))

    def files(self, id: Thing, filter: str | None = None, *, sas_lifetime_minutes: int | None = None) -> Iterator[File]:
        """The files of an entity; their links carry a permission of their own, for 12 hours if not said otherwise."""
        path = f"{self._of(id)}/files"
        return pages(self._transport, File, path, filter=filter, top=None, sasLifetimeMinutes=sas_lifetime_minutes)

    def file(self, id: Thing, file_id: str, *, sas_lifetime_minutes: int | None = None) -> File:
        """One file, with a fresh link."""
        path = f"{self._of(id)}/files/{path_segment(file_id)}"
        answer = self._transport.call("GET", path, params={"sasLifetimeMinutes": sas_lifetime_minutes})
        return parse(File, answer.object(), answer, self._transport)


def reference(transport: Transport, kind: str, thing: Thing) -> dict[str, str]:
    """``{"self": url}`` of an entity, made afresh for the endpoint in use.

    Of a model it is seen whether it is a base model; a bare id means a custom model where ``kind`` is *model*.
    """
    if kind not in PATHS:
        raise SettingsError(f"{kind!r} is no kind of entity", hint=f"kinds are {', '.join(PATHS)}")
    own = thing if isinstance(thing, str) else thing.self_ or ""
    if kind == "model" and "/models/base/" in own:
        kind = "base_model"
    path = f"{PATHS[kind]}/{path_segment(id_of_thing(thing))}"
    return {"self": f"{transport.url(path)}?api-version={API_VERSION}"}


def id_of_thing(thing: Thing) -> str:
    """The id of an entity, a reference, a URL or an id."""
    if not isinstance(thing, str):
        return thing.id
    return EntityReference(self=thing).id if "/" in thing else thing


def check_custom_properties(properties: Mapping[str, Any] | None) -> None:
    """Raise `SettingsError` for what the service would refuse in customProperties, all of it at once."""
    problems = []
    for key, value in (properties or {}).items():
        if not isinstance(value, str) and value is not None:
            problems.append(f"{key}: a {type(value).__name__}, but only strings are taken")
        elif value is not None and len(value) > 256:
            problems.append(f"{key}: {len(value)} characters, but at most 256 are taken")
        if not 0 < len(key) <= 64:
            problems.append(f"{key[:64]!r}: a key has 1 to 64 characters")
    if len(properties or {}) > CUSTOM_PROPERTIES_MAX:
        problems.append(f"{len(properties or {})} entries, but at most {CUSTOM_PROPERTIES_MAX} are taken")
    if problems:
        raise SettingsError("the service would refuse these customProperties: " + "; ".join(problems))


def named(
    display_name: str,
    locale: str,
    description: str | None,
    project: Mapping[str, str] | None,
    custom_properties: Mapping[str, str] | None,
) -> dict[str, Any]:
    """The part of a create that is the same for all entities with a locale."""
    return changes(display_name, description, project, custom_properties) | {"locale": locale}


def changes(
    display_name: str | None,
    description: str | None,
    project: Mapping[str, str] | None,
    custom_properties: Mapping[str, str | None] | None,
) -> dict[str, Any]:
    """The part of an update that is the same for all entities."""
    return {
        "displayName": display_name,
        "description": description,
        "project": project,
        "customProperties": custom_properties,
    }


def reveal(secret: SecretText | None) -> str | None:
    """A secret as the service needs it, taken out at the last moment."""
    return secret.get_secret_value() if isinstance(secret, SecretStr) else secret

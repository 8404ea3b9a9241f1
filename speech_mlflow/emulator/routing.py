"""What all routes share: the call and its answer, finding entities, following references, paging, refusing."""

from __future__ import annotations

import re
import urllib.parse
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from speech_mlflow.emulator.filters import parse_date, parse_filter
from speech_mlflow.emulator.payloads import Reference, Update, changes
from speech_mlflow.emulator.problems import (
    DEFAULT_PAGE_SIZE,
    MAX_PAGE_SIZE,
    RETRY_AFTER_SECONDS,
    SAS_HOURS,
    SAS_MAX_MINUTES,
    conflict,
    invalid,
    not_found,
    wrong_reference,
)
from speech_mlflow.emulator.recognition import BASE, BaseModel
from speech_mlflow.emulator.rendering import API_VERSION, PREFIX, Links, render, render_file
from speech_mlflow.emulator.store import Record

if TYPE_CHECKING:
    from speech_mlflow.emulator.core import Emulator

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
OCTETS = "application/octet-stream"
INT32 = 2**31 - 1
T = TypeVar("T")
SINGULAR: Mapping[str, str] = {
    "projects": "project",
    "datasets": "dataset",
    "models": "model",
    "evaluations": "evaluation",
    "endpoints": "endpoint",
    "transcriptions": "transcription",
    "webhooks": "web hook",
    "operations": "operation",
}


@dataclass(frozen=True)
class Call:
    """One request, read and authenticated."""

    core: Emulator
    method: str
    path: str
    params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    origin: str
    stale_seconds: float = 0
    stored: tuple[str, int] = ("", 0)
    """Name and size of the blob that a streamed body was written to."""

    @property
    def links(self) -> Links:
        """URLs on the host that the client used."""
        return Links(self.origin)

    @property
    def id(self) -> str:
        """The id in the path, in the form in which ids are kept."""
        try:
            return str(uuid.UUID(self.params["id"]))
        except ValueError:
            return self.params["id"]


@dataclass(frozen=True)
class Answer:
    """One response. ``body`` is JSON; None: empty."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Call], Answer]


@dataclass(frozen=True)
class Route:
    """One operation: its name in the specification, and who answers it.

    With ``before``, which checks what can be checked without the body, the body is streamed to disk instead of into memory.
    """

    method: str
    path: str
    operation: str
    handler: Handler
    consumes: tuple[str, ...] = ()
    before: Callable[[Call], object] | None = None


# finding


def find(call: Call, kind: str) -> Record:
    """The entity that the path names. Raises Problem 404."""
    record = call.core.get(kind, call.id)
    if record is None:
        raise not_found(f"The {SINGULAR[kind]} {call.id}")
    return record


def show(call: Call, record: Record, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An entity as an answer; Retry-After while it is at work."""
    extra = {} if record.terminal or status == 201 else {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return Answer(status, render(call.core, record, call.links), {**extra, **(headers or {})})


def created(call: Call, record: Record) -> Answer:
    """201 with Location."""
    return show(call, record, status=201, headers={"Location": call.links.entity(record.path)})


def get(kind: str) -> Handler:
    """A handler that shows one entity."""

    def handler(call: Call) -> Answer:
        record = find(call, kind)
        call.core.jobs.gate.read(record)
        return show(call, record)

    return handler


# references


def reference_path(call: Call, reference: Reference, where: str) -> str:
    """``datasets/<id>`` from a reference. The host must be the one of the request. Raises Problem 400."""
    try:
        url = urllib.parse.urlsplit(reference.self_)
        same = f"{url.scheme}://{url.netloc}".lower() == call.origin.lower()
    except ValueError:
        raise wrong_reference(where) from None
    if not same or not url.path.startswith(f"{PREFIX}/"):
        raise wrong_reference(where)
    collection, _, id = url.path[len(PREFIX) + 1 :].rpartition("/")
    try:
        return f"{collection}/{uuid.UUID(id)}"
    except ValueError:
        raise wrong_reference(where) from None


def refer(call: Call, reference: Reference, kind: str, where: str) -> Record:
    """The entity that a reference names, which must be of ``kind``. Raises Problem 400."""
    collection, _, id = reference_path(call, reference, where).rpartition("/")
    record = call.core.store.get(kind, id) if collection == kind else None
    if record is None:
        raise wrong_reference(where)
    return record


def refer_model(call: Call, reference: Reference, where: str) -> Record | BaseModel:
    """The custom or base model that a reference names. Raises Problem 400."""
    collection, _, id = reference_path(call, reference, where).rpartition("/")
    model: Record | BaseModel | None = None
    if collection == BASE:
        model = call.core.models.base(id)
    elif collection == "models":
        model = call.core.store.get("models", id)
    if model is None:
        raise wrong_reference(where)
    return model


def model_locale(model: Record | BaseModel) -> str:
    """The locale of a model."""
    return model.spec.locale if isinstance(model, BaseModel) else str(model.body["locale"])


def refer_project(call: Call, reference: Reference | None, locale: str) -> str | None:
    """The path of the project, whose locale must agree. Raises Problem 400."""
    if reference is None:
        return None
    record = refer(call, reference, "projects", "project")
    same_locale(record.body["locale"], locale, "project")
    return record.path


def same_locale(one: str, other: str, what: str) -> None:
    """Refuse entities of different locales."""
    if one.lower() != other.lower():
        raise invalid("InvalidLocale", f"The locale {other!r} does not match the locale {one!r} of the {what}.", f"$.{what}")


def known_locale(call: Call, locale: str) -> str:
    """The locale as the models spell it. Raises Problem 400 ``InvalidLocale`` where no model speaks it."""
    for known in call.core.models.locales():
        if known.lower() == locale.lower():
            return known
    supported = ", ".join(call.core.models.locales())
    raise invalid("InvalidLocale", f"The locale {locale!r} is not supported. Supported are: {supported}.", "$.locale")


# lists


def _integer(text: str, least: int, most: int) -> int | None:
    """The number that ``text`` writes in digits; None where it is none, or not from ``least`` to ``most``."""
    if not re.fullmatch("[0-9]{1,10}", text):
        return None
    return int(text) if least <= int(text) <= most else None


def _number(call: Call, name: str, default: int, least: int) -> int:
    text = call.query.get(name)
    number = default if text is None else _integer(text, least, INT32)
    if number is None:
        raise invalid("UnsupportedPagination", f"{name} must be an integer from {least} to {INT32}.", name)
    return number


def page(call: Call, items: Sequence[T], show: Callable[[T], dict[str, Any]], filter_kind: str) -> Answer:
    """One page of a list, its items as ``show`` makes them, with the link to the next page."""
    skip, top = _number(call, "skip", 0, 0), min(_number(call, "top", DEFAULT_PAGE_SIZE, 1), MAX_PAGE_SIZE)
    predicate = parse_filter(call.query.get("filter"), filter_kind)
    if predicate is not None:
        items = [item for item in items if predicate(show(item))]
    if call.stale_seconds:
        items = [item for item in items if not _stale(call, show(item))]
    values = [show(item) for item in items[skip : skip + top]]
    answer: dict[str, Any] = {"values": values}
    if len(items) > skip + top:
        kept = {name: call.query[name] for name in ("sasLifetimeMinutes", "filter") if name in call.query}
        query = urllib.parse.urlencode({"skip": skip + top, "top": top, **kept, "api-version": API_VERSION})
        answer["@nextLink"] = f"{call.origin}{urllib.parse.quote(call.path)}?{query}"
    working = any(item.get("status") in ("NotStarted", "Running") for item in values)
    return Answer(200, answer, {"Retry-After": str(RETRY_AFTER_SECONDS)} if working else {})


def _stale(call: Call, item: Mapping[str, Any]) -> bool:
    made = parse_date(str(item["createdDateTime"]))
    return made is not None and (call.core.now() - made).total_seconds() < call.stale_seconds


def listing(kind: str) -> Handler:
    """A handler that lists the entities of a kind."""

    def handler(call: Call) -> Answer:
        records = call.core.entities(kind)
        for record in records:
            call.core.jobs.gate.read(record)
        return page(call, records, lambda record: render(call.core, record, call.links), kind)

    return handler


def minutes(call: Call, *, required: bool = False) -> int:
    """``sasLifetimeMinutes``. Raises Problem 400 ``InvalidSasValidityDuration``."""
    text = call.query.get("sasLifetimeMinutes")
    if text is None and not required:
        return SAS_HOURS * 60
    lifetime = None if text is None else _integer(text, 1, SAS_MAX_MINUTES)
    if lifetime is None:
        message = f"sasLifetimeMinutes must be an integer from 1 to {SAS_MAX_MINUTES}."
        raise invalid("InvalidSasValidityDuration", message, "sasLifetimeMinutes")
    return lifetime


def list_files(kind: str) -> Handler:
    """A handler that lists the files of an entity."""

    def handler(call: Call) -> Answer:
        record, lifetime = find(call, kind), minutes(call)
        files = [file for file in call.core.store.files(record) if not file.kind.startswith("_")]
        answer = page(call, files, lambda file: render_file(call.core, file, call.links, lifetime), "files")
        return answer if record.terminal else Answer(200, answer.body, {"Retry-After": str(RETRY_AFTER_SECONDS)})

    return handler


def get_file(kind: str) -> Handler:
    """A handler that shows one file."""

    def handler(call: Call) -> Answer:
        record, lifetime = find(call, kind), minutes(call)
        file = call.core.store.file(call.params["file"].lower())
        if file is None or file.owner != record.path or file.kind.startswith("_"):
            raise not_found(f"The file {call.params['file']}")
        return Answer(200, render_file(call.core, file, call.links, lifetime))

    return handler


def locales(call: Call) -> Answer:
    """Every locale that can be recognised."""
    return Answer(200, call.core.models.locales())


# changing


def update_body(call: Call, record: Record, update: Update) -> dict[str, Any]:
    """The properties that a PATCH sets, the project among them."""
    body = changes(update)
    if "project" in update.model_fields_set:
        body["project"] = refer_project(call, update.project, str(record.body["locale"]))
    return body


def patch(kind: str) -> Handler:
    """A handler for the plain update: names, description, custom properties, project."""
    from speech_mlflow.emulator.payloads import parse

    def handler(call: Call) -> Answer:
        record, update = find(call, kind), parse(Update, call.body)
        with call.core.store.transaction():
            return show(call, call.core.store.update(find(call, record.kind), update_body(call, record, update)))

    return handler


def must_be_done(record: Record) -> None:
    """Only an entity that is not at work can be deleted. Raises Problem 409."""
    if not record.terminal:
        raise conflict(
            "DeleteNotAllowed", f"The {SINGULAR[record.kind]} cannot be deleted while its status is {record.status}."
        )


def must_succeed(record: Record, inner: str, where: str) -> None:
    """An entity that is used must have succeeded. Raises Problem 400."""
    if record.status != "Succeeded":
        raise invalid(inner, f"The {SINGULAR[record.kind]} {record.id} has status {record.status}.", where)

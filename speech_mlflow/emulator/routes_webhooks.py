"""Web hooks: registration, change, ping and test."""

from __future__ import annotations

from typing import Any

from speech_mlflow.emulator.payloads import WebHookCreate, WebHookUpdate, changes, parse
from speech_mlflow.emulator.problems import RETRY_AFTER_SECONDS, conflict, invalid
from speech_mlflow.emulator.routing import JSON, MERGE_PATCH, Answer, Call, Route, created, find, get, listing, show
from speech_mlflow.emulator.store import NOT_STARTED, SUCCEEDED, Record
from speech_mlflow.emulator.webhooks import EVENTS


def _events(events: dict[str, Any]) -> dict[str, bool]:
    """The events asked for. Raises Problem 400 ``InvalidWebHookEventKind``."""
    unknown = sorted(set(events) - set(EVENTS))
    if unknown:
        raise invalid("InvalidWebHookEventKind", f"Unknown events: {', '.join(unknown)}.", "$.events")
    if not all(isinstance(value, bool) for value in events.values()):
        raise invalid("InvalidPayload", "Every event must be true or false.", "$.events")
    if not any(events.values()):
        raise invalid("InvalidWebHookEventKind", "At least one event must be true.", "$.events")
    return events


def create(call: Call) -> Answer:
    """POST /webhooks: the challenge follows."""
    wanted = parse(WebHookCreate, call.body)
    secret = wanted.properties.secret if wanted.properties else None
    body = {**changes(wanted), "events": _events(wanted.events), "secret": secret or None, "origin": call.origin}
    with call.core.store.transaction():
        record = call.core.create("webhooks", body)
        call.core.hooks.owe_to(record, "challenge", record.path)
    call.core.hooks.wake()
    return created(call, record)


def update(call: Call) -> Answer:
    """PATCH /webhooks/{id}: another URL needs another challenge; properties without a secret end the signing."""
    wanted = parse(WebHookUpdate, call.body)
    core = call.core
    with core.store.transaction():
        record = find(call, "webhooks")
        body = changes(wanted)
        if wanted.events is not None:
            body["events"] = _events(wanted.events)
        if wanted.properties is not None:
            body["secret"] = wanted.properties.secret or None
        moved = "webUrl" in body and body["webUrl"] != record.body["webUrl"]
        if moved:
            record = core.store.update(record, {**body, "error": None}, status=NOT_STARTED, now=core.now())
            core.hooks.owe_to(record, "challenge", record.path)
        else:
            record = core.store.update(record, body)
    core.hooks.wake()
    return show(call, record)


def delete(call: Call) -> Answer:
    """DELETE /webhooks/{id}."""
    record = call.core.store.get("webhooks", call.id)
    if record is not None:
        call.core.store.delete(record)
    return Answer(204)


def _usable(record: Record) -> None:
    if record.status != SUCCEEDED:
        raise conflict("InvalidPrerequisite", f"The web hook has status {record.status}: the challenge has not been answered.")


def ping(call: Call) -> Answer:
    """POST /webhooks/{id}:ping."""
    record = find(call, "webhooks")
    _usable(record)
    call.core.hooks.owe_to(record, "ping", record.path)
    call.core.hooks.wake()
    return Answer(202, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def test(call: Call) -> Answer:
    """POST /webhooks/{id}:test: the last event that the hook was called for, or would have been, again."""
    record = find(call, "webhooks")
    _usable(record)
    last = record.body.get("lastEvent")
    if last is None:
        return Answer(204)
    call.core.hooks.owe_to(record, last[0], last[1])
    call.core.hooks.wake()
    return Answer(202, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


ROUTES = (
    Route("GET", "/webhooks", "WebHooks_List", listing("webhooks")),
    Route("POST", "/webhooks", "WebHooks_Create", create, (JSON,)),
    Route("POST", "/webhooks/{id}:ping", "WebHooks_Ping", ping),
    Route("POST", "/webhooks/{id}:test", "WebHooks_Test", test),
    Route("GET", "/webhooks/{id}", "WebHooks_Get", get("webhooks")),
    Route("PATCH", "/webhooks/{id}", "WebHooks_Update", update, (JSON, MERGE_PATCH)),
    Route("DELETE", "/webhooks/{id}", "WebHooks_Delete", delete),
)

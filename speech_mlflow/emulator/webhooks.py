"""Web hooks: a challenge before anything else, then one signed call for each event, tried again when the receiver fails.

Events are owed in the transaction that causes them, so a restart loses none. Each hook's events are sent by a thread of their
own, in order, so a receiver that hangs delays nobody else.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import logging
import secrets
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from speech_mlflow.emulator.store import FAILED, SUCCEEDED, Event, Record

if TYPE_CHECKING:
    from speech_mlflow.emulator.core import Emulator

log = logging.getLogger(__name__)

ENTITIES: Mapping[str, str] = {
    "datasets": "dataset",
    "models": "model",
    "evaluations": "evaluation",
    "transcriptions": "transcription",
    "endpoints": "endpoint",
}
MOMENTS = ("Creation", "Processing", "Completion", "Deletion")
EVENTS = (*(f"{entity}{moment}" for entity in ENTITIES.values() for moment in MOMENTS), "ping", "challenge")
TRIES = 5
FIRST_DELAY_SECONDS = 1.0
TIMEOUT_SECONDS = 10
STOP_SECONDS = 1
"""Seconds that calls get to end when the service stops; one that has not is made again after the next start."""
SIGNATURE = "X-MicrosoftSpeechServices-Signature"
EVENT = "X-MicrosoftSpeechServices-Event"


def sign(secret: str, payload: bytes) -> str:
    """The signature of a payload: base64 of its HMAC-SHA256."""
    return base64.b64encode(hmac.new(secret.encode(), payload, hashlib.sha256).digest()).decode()


class WebHookSender:
    """Sends what is owed."""

    def __init__(self, core: Emulator) -> None:
        self._core = core
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="web hooks", daemon=True)
        self._sending: dict[str, threading.Thread] = {}

    def start(self) -> None:
        """Begin sending."""
        self._thread.start()
        self.wake()

    def stop(self) -> None:
        """Send nothing more; what is owed is sent after the next start."""
        self._stopping.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        deadline = time.monotonic() + STOP_SECONDS
        for thread in list(self._sending.values()):
            thread.join(max(0, deadline - time.monotonic()))

    def wake(self) -> None:
        """Something may be due."""
        self._wake.set()

    def owe(self, record: Record, moment: str) -> None:
        """Owe every hook that asked for it the event of an entity. Part of the caller's transaction."""
        entity = ENTITIES.get(record.kind)
        if entity is None:
            return
        name = f"{entity}{moment}"
        for hook in self._core.store.entities("webhooks"):
            if hook.body["events"].get(name) and hook.status == SUCCEEDED:
                self.owe_to(hook, name, record.path)
            if hook.body["events"].get(name):
                self._core.store.update(hook, {"lastEvent": [name, record.path]})

    def owe_to(self, hook: Record, event: str, entity: str) -> None:
        """Owe one hook one event."""
        origin = hook.body["origin"]
        detail = {"invocationId": secrets.token_hex(16), "origin": origin}
        if event == "challenge":
            detail["token"] = secrets.token_urlsafe(24)
        self._core.store.add_event(hook.id, event, entity, time.time(), detail)

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._wake.wait(0.5)
            self._wake.clear()
            try:
                due: dict[str, list[Event]] = defaultdict(list)
                for event in self._core.store.due_events(time.time()):
                    due[event.hook].append(event)
                for hook in due.keys() - self._sending.keys():
                    thread = threading.Thread(target=self._send, args=(hook, due[hook]), name=f"web hook {hook}", daemon=True)
                    self._sending[hook] = thread
                    thread.start()
            except Exception:
                log.exception("web hooks")

    def _send(self, hook: str, events: list[Event]) -> None:
        """Make the calls that one hook is owed now."""
        try:
            for event in events:
                if self._stopping.is_set():
                    return
                self._deliver(event)
        except Exception:
            if not self._stopping.is_set():
                log.exception("web hook %s", hook)
                self._stopping.wait(FIRST_DELAY_SECONDS)
        del self._sending[hook]
        self._wake.set()  # for what came meanwhile

    def _deliver(self, event: Event) -> None:
        store = self._core.store
        hook = store.get("webhooks", event.hook)
        if hook is None:
            store.end_event(event)
            return
        problem: str | None
        if event.event == "challenge":
            problem = self._challenge(hook, event)
        elif hook.status == SUCCEEDED:
            problem = self._notify(hook, event)
        else:
            problem = "the URL has changed, and its challenge has not been answered yet"
        if problem is not None and event.tries + 1 < TRIES:
            store.delay_event(event, time.time() + FIRST_DELAY_SECONDS * 2**event.tries)
            return
        with store.transaction():
            store.end_event(event)
            if event.event == "challenge":
                self._challenged(hook, problem)

    def _challenged(self, hook: Record, problem: str | None) -> None:
        """Note how a challenge ended, unless the hook has gone or moved to another URL meanwhile."""
        store = self._core.store
        current = store.get("webhooks", hook.id)
        if current is None or current.body["webUrl"] != hook.body["webUrl"]:
            return
        error = {"code": "InvalidCallbackUri", "message": f"The challenge failed: {problem}"} if problem else None
        store.update(hook, {"error": error}, status=FAILED if problem else SUCCEEDED, now=self._core.now())

    def _challenge(self, hook: Record, event: Event) -> str | None:
        token = str(event.detail["token"])
        parts = urllib.parse.urlsplit(hook.body["webUrl"])
        query = "&".join(part for part in (parts.query, urllib.parse.urlencode({"validationToken": token})) if part)
        url = urllib.parse.urlunsplit(parts._replace(query=query))
        status, body = _post(url, b"", self._headers(hook, "Challenge", token.encode()))
        if status != 200:
            return f"the receiver answered {status}" if status else body.decode(errors="replace")
        return None if body.decode(errors="replace").strip().strip('"') == token else "the receiver did not return the token"

    def _notify(self, hook: Record, event: Event) -> str | None:
        payload = json.dumps(self._payload(hook, event)).encode()
        name = event.event[0].upper() + event.event[1:]
        status, body = _post(hook.body["webUrl"], payload, self._headers(hook, name, payload))
        if 200 <= status < 300:
            return None
        return f"the receiver answered {status}" if status else body.decode(errors="replace")

    def _payload(self, hook: Record, event: Event) -> Mapping[str, Any]:
        from speech_mlflow.emulator.rendering import Links, render

        links = Links(str(event.detail["origin"]))
        if event.event == "ping":
            return {**render(self._core, hook, links), "invocationId": event.detail["invocationId"]}
        return {"self": links.entity(event.entity), "invocationId": event.detail["invocationId"]}

    def _headers(self, hook: Record, event: str, payload: bytes) -> dict[str, str]:
        headers = {EVENT: event, "Content-Type": "application/json"}
        secret = hook.body.get("secret")
        if secret:
            headers[SIGNATURE] = sign(str(secret), payload)
        return headers


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _post(url: str, payload: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
    """Status and body of the answer; status 0 and the reason where there was none."""
    opener = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))
    try:
        request = urllib.request.Request(url, data=payload, headers=dict(headers), method="POST")  # noqa: S310 - payloads admit http(s) only
        with opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
            return answer.status, answer.read(65536)
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            return error.code, b""
    except (OSError, ValueError, http.client.HTTPException) as error:
        return 0, f"{type(error).__name__}: {error}".encode()

"""Events as CloudEvents 1.0 over HTTP: one JSON document a POST (structured mode), signed, from a thread of its own.

A sink that is slow or down holds up nothing: events wait and are sent again, with pauses that double, until the sink answers 2xx.
The event of a promotion is marked in the promotion's run until then, so that it outlives the process (:func:`resend`); events
without a run (drift, an error) are told again by the next controller, if they still hold.

Each request has the headers of *Standard Webhooks*: ``webhook-id`` (the same for each repetition), ``webhook-timestamp`` and
``webhook-signature``, ``v1,`` and the base64 of the HMAC-SHA256 of ``<id>.<timestamp>.<body>`` under ``events_secret``.
"""

from __future__ import annotations

import atexit
import json
import logging
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from speech_mlflow.errors import SettingsError
from speech_mlflow.promotion import journal
from speech_mlflow.promotion.events import PromotionEvent
from speech_mlflow.promotion.posting import Address
from speech_mlflow.promotion.signatures import SIGNATURE, signed_headers

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from speech_mlflow.settings import Settings

CONTENT_TYPE = "application/cloudevents+json"
TYPE_PREFIX = "speech-mlflow.promotion."
TIMEOUT_SECONDS = 10.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0
"""Seconds between attempts, doubled each time."""
MOST_WAITING = 10_000
"""Events that wait in memory; beyond, the oldest goes (one of a promotion is sent again after a restart)."""
LAST_SECONDS = 5.0
"""How long a process that ends gives to what waits."""
log = logging.getLogger("speech_mlflow.promotion")


def document(event: PromotionEvent) -> dict[str, Any]:
    """The event as a CloudEvent."""
    target = f"{event.registered_model}/{event.target}".strip("/")
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": "speech-mlflow",
        "type": TYPE_PREFIX + event.kind.replace(" ", "_"),
        **({"subject": target} if target else {}),
        "time": event.time.isoformat(),
        "datacontenttype": "application/json",
        "data": {key: value for key, value in event.to_dict().items() if key not in {"id", "time"}},
    }


class _RefusedError(ConnectionError):
    """The sink is there, and does not take the event."""


class Outbox:
    """Events on their way to one sink, in order; each is sent until the sink takes it. One that it refuses (4xx) lets others pass."""

    def __init__(self, url: str, secret: SecretStr | None, *, first_pause: float = FIRST_PAUSE) -> None:
        self._address = Address.of(url, setting="events_url")
        if secret is None or not secret.get_secret_value():
            raise SettingsError("events_url without events_secret: events are signed", hint="set SPEECH_MLFLOW_EVENTS_SECRET")
        self._secret = secret
        self._first_pause = first_pause
        self._lock = threading.Condition()
        self._waiting: dict[str, PromotionEvent] = {}
        self._when_sent: dict[str, Callable[[], None]] = {}
        self._thread: threading.Thread | None = None
        self._closed = False

    def put(self, event: PromotionEvent, when_sent: Callable[[], None] | None = None) -> None:
        """Have an event sent; returns at once. One that waits already is not sent twice."""
        with self._lock:
            if when_sent is not None:
                self._when_sent[event.id] = when_sent
            self._waiting.setdefault(event.id, event)
            while len(self._waiting) > MOST_WAITING:
                dropped = next(iter(self._waiting))
                del self._waiting[dropped]
                self._when_sent.pop(dropped, None)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="speech-mlflow events", daemon=True)
                self._thread.start()
                atexit.register(self.flush, LAST_SECONDS)
            self._lock.notify_all()

    def expect(self, event_id: str, when_sent: Callable[[], None]) -> None:
        """Call ``when_sent`` once the event of this id was taken, which is put by somebody else."""
        with self._lock:
            self._when_sent[event_id] = when_sent

    def flush(self, seconds: float) -> bool:
        """Wait until nothing waits any more; False where something still does."""
        with self._lock:
            return self._lock.wait_for(lambda: not self._waiting, seconds)

    def close(self) -> None:
        """Send nothing more, and forget what waits."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            self._lock.notify_all()

    def send(self, event: PromotionEvent) -> None:
        """Send one event now. OSError or HTTPException where no answer comes, ConnectionError where it is no 2xx."""
        body = json.dumps(document(event), default=str).encode()
        delivery, seconds = event.id.replace(".", "-"), int(time.time())
        signed = signed_headers(self._secret.get_secret_value(), delivery, seconds, body)
        headers = {
            "Content-Type": CONTENT_TYPE,
            "webhook-id": delivery,
            "webhook-timestamp": str(seconds),
            "webhook-signature": signed[SIGNATURE],
        }
        status = self._address.post(body, headers, timeout=TIMEOUT_SECONDS)
        if not 200 <= status < 300:
            refused = 400 <= status < 500 and status not in {408, 429}
            raise (_RefusedError if refused else ConnectionError)(f"the sink answered {status}")

    def _run(self) -> None:
        pause = self._first_pause
        while True:
            with self._lock:
                self._lock.wait_for(lambda: bool(self._waiting) or self._closed)
                if self._closed:
                    return
                event = next(iter(self._waiting.values()))
            try:
                self.send(event)
            except Exception as error:  # whatever it is, it is tried again
                log.warning(
                    "an event for %s is sent again in %.0f s: %s: %s", self._address.host, pause, type(error).__name__, error
                )
                with self._lock:
                    if isinstance(error, _RefusedError) and event.id in self._waiting:  # it may be this one alone: others first
                        self._waiting[event.id] = self._waiting.pop(event.id)
                    self._lock.wait_for(lambda: self._closed, pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause = self._first_pause
            self._sent(event)

    def _sent(self, event: PromotionEvent) -> None:
        with self._lock:
            when_sent = self._when_sent.pop(event.id, None)
        try:
            if when_sent is not None:
                when_sent()
        except Exception as error:  # it stays marked, and is sent once more after a restart
            log.warning("event %s was sent, and MLflow could not be told so: %s", event.id, error)
        with self._lock:
            self._waiting.pop(event.id, None)
            self._lock.notify_all()


def outbox_of(settings: Settings) -> Outbox | None:
    """The outbox of the settings, None where they name no sink. SettingsError where they are wrong."""
    return Outbox(settings.events_url, settings.events_secret) if settings.events_url else None


@lru_cache(maxsize=1)
def outbox() -> Outbox | None:
    """The outbox of this process, made on first use from the settings of its working directory and environment."""
    from speech_mlflow.settings import Settings

    return outbox_of(Settings.load())


def mark(client: MlflowClient, run_id: str, event_id: str) -> None:
    """Note in a promotion's run that its event is on its way; the note goes when the sink has taken it."""
    box = outbox()
    if box is not None:
        journal.sending(client, run_id)
        box.expect(event_id, lambda: journal.sent(client, run_id))


def resend(client: MlflowClient) -> int:
    """Send what an earlier process left unsent; how many events that are."""
    box = outbox()
    if box is None:
        return 0
    left = journal.unsent(client, journal.experiment(client))
    for run in left:
        box.put(journal.event_of(run), _noting(client, run.info.run_id))
    return len(left)


def _noting(client: MlflowClient, run_id: str) -> Callable[[], None]:
    return lambda: journal.sent(client, run_id)

"""Telling a controller in another process to look now: a small signed request to its receiver.

To wake is to say "look", no more: a wake that is lost costs one poll interval. So nothing here blocks, retries or raises.
"""

from __future__ import annotations

import http.client
import json
import logging
import threading
import time
import uuid
from datetime import datetime, timezone

from pydantic import SecretStr

from speech_mlflow.errors import SettingsError
from speech_mlflow.promotion.posting import Address
from speech_mlflow.promotion.signatures import signed_headers

PATH = "/mlflow"
"""Where the receiver takes MLflow's webhooks and these wakes, which look the same."""
TIMEOUT_SECONDS = 2.0
MOST_WAITING = 1000
log = logging.getLogger(__name__)


class Waker:
    """Sends wakes from a thread of its own, made at the first one (a server may fork before)."""

    def __init__(self, url: str, secret: SecretStr, *, timeout: float = TIMEOUT_SECONDS) -> None:
        """``url`` is the receiver's, ``http(s)://HOST:PORT``. Raises SettingsError where it is none."""
        self._address = Address.of(url, setting="receiver_url", below=PATH, hint="for example http://127.0.0.1:8765")
        if not secret.get_secret_value():
            raise SettingsError("receiver_secret is empty", hint="set the one that `speech-mlflow watch` was given")
        self._secret = secret
        self._timeout = timeout
        self._lock = threading.Lock()
        self._waiting: dict[str, str] = {}
        self._something = threading.Event()
        self._thread: threading.Thread | None = None

    def wake(self, name: str, action: str) -> None:
        """Have the receiver told that something happened to a registered model. Returns at once."""
        with self._lock:
            if len(self._waiting) < MOST_WAITING:
                self._waiting[name] = action
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="speech-mlflow wake", daemon=True)
                self._thread.start()
        self._something.set()

    def send(self, name: str, action: str) -> int:
        """Send one wake now; the status of the answer. Raises OSError or HTTPException where there is none."""
        body = json.dumps(
            {
                "entity": "model_version",
                "action": action,
                "timestamp": datetime.now(timezone.utc).isoformat(),
                "data": {"name": name},
            }
        ).encode()
        headers = signed_headers(self._secret.get_secret_value(), uuid.uuid4().hex, int(time.time()), body)
        return self._address.post(body, {"Content-Type": "application/json", **headers}, timeout=self._timeout)

    def _run(self) -> None:
        while True:
            self._something.wait()
            self._something.clear()
            with self._lock:
                waiting, self._waiting = self._waiting, {}
            for name, action in waiting.items():
                try:
                    status = self.send(name, action)
                except (OSError, http.client.HTTPException) as error:
                    log.warning("the controller is not woken: %s: %s", type(error).__name__, error)
                    break  # the others would wait as long; it polls anyway
                if status >= 300:
                    log.warning("the controller is not woken: its receiver answered %s", status)

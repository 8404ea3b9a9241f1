"""Where a controller listens: MLflow's webhooks and wakes, the speech service's web hooks, and who asks how it does.

================  ====================================================================================================
``POST /mlflow``   a webhook of MLflow's, or a wake from an MLflow server with our app; signed
``POST /speech``   a web hook of the speech service's, its challenge too; signed
``GET /healthz``   200 while the controller turns
``GET /readyz``    200 while MLflow and the speech service are reached, else 503 and why
``GET /metrics``   for Prometheus
================  ====================================================================================================

What is sent is a hint and nothing else: the controller looks at the registry and decides by what it finds there. So a forged,
replayed or lying call can make it look, never write. Nobody is let in without a signature, bodies are small, a connection is good
for one request and a few seconds.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from pydantic import SecretStr

from speech_mlflow.errors import SettingsError
from speech_mlflow.promotion.counts import Metric, render
from speech_mlflow.promotion.signatures import Seen, UnsignedError, check_mlflow, check_speech, headers_of, names_in

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

MOST_BYTES = 256 * 1024
ENTITIES = frozenset({"registered_model", "model_version", "model_version_tag", "model_version_alias"})
"""What MLflow's webhooks may be about, as far as promotion cares."""
QUIET_SECONDS = 60.0
SPEECH_EVENT = "x-microsoftspeechservices-event"
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,512}")
PLAIN = "text/plain; version=0.0.4; charset=utf-8"
log = logging.getLogger(__name__)


class Woken(Protocol):
    """What the receiver does to a controller, and asks of it."""

    def wake(self, name: str | None = None) -> None:
        """Look at one registered model, or at what changed."""

    def wake_all(self) -> None:
        """Compare everything."""

    def stuck(self) -> str | None:
        """Why it must be started anew."""

    def problems(self) -> list[str]:
        """Why it cannot work just now."""

    def metrics(self) -> list[Metric]:
        """What it counted."""


class Receiver:
    """The answers. ``secrets`` are those that senders may sign with: the present one, and the one before."""

    def __init__(self, controller: Woken, secrets: Sequence[SecretStr]) -> None:
        """Raises SettingsError without a secret: whoever reached the port could keep the controller busy."""
        self._secrets = [secret.get_secret_value() for secret in secrets]
        if not self._secrets or not all(self._secrets):
            raise SettingsError(
                "the receiver needs a secret, to know who calls",
                hint="set SPEECH_MLFLOW_RECEIVER_SECRET, here and where the calls come from: openssl rand -hex 32",
            )
        self._controller = controller
        self._seen = Seen()
        self._said = float("-inf")
        self._outcomes: Counter[tuple[str, str]] = Counter()

    def app(self) -> Starlette:
        """The ASGI application."""
        from starlette.applications import Starlette
        from starlette.routing import Route

        return Starlette(
            routes=[
                Route("/mlflow", self._mlflow, methods=["POST"]),
                Route("/speech", self._speech, methods=["POST"]),
                Route("/healthz", self._healthz),
                Route("/readyz", self._readyz),
                Route("/metrics", self._metrics),
            ]
        )

    # --- calls -----------------------------------------------------------------------------------------------------------

    async def _mlflow(self, request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return self._answer("mlflow", "too large", 413)
        now = time.time()
        try:
            delivery_id = check_mlflow(headers_of(request.headers.raw), body, self._secrets, now=now)
        except UnsignedError as error:
            return self._stranger("mlflow", error)
        if not self._seen.add(f"mlflow {delivery_id}", now):
            return self._answer("mlflow", "seen before", 202)
        document = _json(body)
        entity = document.get("entity") if isinstance(document, dict) else None
        if isinstance(entity, str) and entity in ENTITIES:
            for name in names_in(document) or (None,):
                self._controller.wake(name)
        return self._answer("mlflow", "taken", 202)

    async def _speech(self, request: Request) -> Response:
        body = await _body(request)
        if body is None:
            return self._answer("speech", "too large", 413)
        headers = headers_of(request.headers.raw)
        event = next((value.lower() for name, value in headers if name == SPEECH_EVENT), "")
        token = request.query_params.get("validationToken") if event == "challenge" else None
        now = time.time()
        try:
            call_id = check_speech(headers, body if token is None else token.encode(), self._secrets)
        except UnsignedError as error:
            return self._stranger("speech", error)
        if token is not None:
            if not _TOKEN.fullmatch(token):
                return self._answer("speech", "refused", 400)
            return self._answer("speech", "challenge", 200, token)
        if not self._seen.add(f"speech {call_id}", now):
            return self._answer("speech", "seen before", 202)
        if event.startswith("endpoint") or event == "modeldeletion":
            self._controller.wake_all()
        return self._answer("speech", "taken", 202)

    # --- how it does -----------------------------------------------------------------------------------------------------

    async def _healthz(self, request: Request) -> Response:
        problem = self._controller.stuck()
        return _report([problem] if problem else [])

    async def _readyz(self, request: Request) -> Response:
        return _report(self._controller.problems())

    async def _metrics(self, request: Request) -> Response:
        from starlette.responses import Response

        outcomes = sorted(self._outcomes.items())
        calls = Metric(
            "receiver_calls_total",
            "counter",
            "Calls to the receiver, by sender and what became of them.",
            [("", {"from": sender, "outcome": outcome}, count) for (sender, outcome), count in outcomes],
        )
        return Response(render([*self._controller.metrics(), calls]), headers={**CLOSE, "content-type": PLAIN})

    # --- small things ----------------------------------------------------------------------------------------------------

    def _stranger(self, sender: str, error: UnsignedError) -> Response:
        """The same answer whatever was wrong; the log says what, of a flood once a minute."""
        loud = time.monotonic() - self._said > QUIET_SECONDS
        log.log(logging.WARNING if loud else logging.DEBUG, "a call to /%s is refused: %s", sender, error)
        if loud:
            self._said = time.monotonic()
        return self._answer(sender, "unsigned", 401, "not signed by a secret of this receiver\n")

    def _answer(self, sender: str, outcome: str, status: int, text: str = "") -> Response:
        from starlette.responses import PlainTextResponse

        self._outcomes[sender, outcome] += 1
        return PlainTextResponse(text, status, headers=CLOSE)


CLOSE = {"connection": "close", "cache-control": "no-store"}


def _report(problems: list[str]) -> Response:
    from starlette.responses import JSONResponse

    document = {"status": "unwell" if problems else "ok", "problems": problems}
    return JSONResponse(document, 503 if problems else 200, headers=CLOSE)


async def _body(request: Request) -> bytes | None:
    """The body; None where it is longer than what anybody has to say."""
    from starlette.requests import ClientDisconnect

    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > MOST_BYTES:
                return None
            parts.append(part)
    except ClientDisconnect:
        return None
    return b"".join(parts)


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):  # signed, and still no JSON: a hint without content
        return None

"""The HTTP side: who may call, what every answer carries, and which handler answers."""

from __future__ import annotations

import contextlib
import hmac
import json
import logging
import sqlite3
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route as HttpRoute
from starlette.types import ASGIApp

from speech_mlflow.emulator import (
    routes_datasets,
    routes_endpoints,
    routes_evaluations,
    routes_models,
    routes_projects,
    routes_recognition,
    routes_transcriptions,
    routes_webhooks,
)
from speech_mlflow.emulator.copying import MAX_COPY_BYTES, RECEIVE, authorized, receive
from speech_mlflow.emulator.core import Emulator
from speech_mlflow.emulator.disturb import STALE, disturbed
from speech_mlflow.emulator.problems import (
    BLOCK_BYTES,
    BODY_BYTES,
    SHORT_AUDIO_BYTES,
    Problem,
    cannot_write,
    forbidden,
    gateway,
    invalid,
    refuse,
    unauthorized,
)
from speech_mlflow.emulator.rendering import API_VERSION, PREFIX
from speech_mlflow.emulator.routing import JSON, OCTETS, Answer, Call, Route
from speech_mlflow.emulator.sas import CONTENT, check

log = logging.getLogger(__name__)

MANAGEMENT: tuple[Route, ...] = (
    *routes_projects.ROUTES,
    *routes_datasets.ROUTES,
    *routes_models.ROUTES,
    *routes_evaluations.ROUTES,
    *routes_endpoints.ROUTES,
    *routes_transcriptions.ROUTES,
    *routes_webhooks.ROUTES,
)
HEALTH = "/health"
COMMON_HEADERS = {
    "api-supported-versions": API_VERSION,
    "x-content-type-options": "nosniff",
    "Cache-Control": "no-store",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
}
RECOGNITIONS_AT_ONCE = 200
READ_METHODS = ("GET", "HEAD", "OPTIONS")


class Activity:
    """When the last request came and whether any is being answered, for the end after idle time."""

    def __init__(self) -> None:
        self.last = time.monotonic()
        self.open = 0

    def idle_seconds(self) -> float:
        """Seconds since the last request ended; 0 while one is being answered."""
        return 0.0 if self.open else time.monotonic() - self.last

    @contextlib.contextmanager
    def request(self) -> Any:
        """Count a request."""
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1
            self.last = time.monotonic()


def create_app(core: Emulator, *, health: Mapping[str, Any] | None = None, activity: Activity | None = None) -> ASGIApp:
    """The service as an ASGI application. ``health`` is what ``GET /health`` tells whoever holds the key."""
    activity = activity or Activity()
    server = _Server(core, activity, dict(health or {}))
    routes = [
        HttpRoute(PREFIX + route.path, server.management(route), methods=[route.method], name=route.operation)
        for route in MANAGEMENT
    ]
    routes += [
        HttpRoute(route.path, server.recognition(route), methods=[route.method], name=route.operation)
        for route in routes_recognition.ROUTES
    ]
    routes.append(HttpRoute(CONTENT + "/{id}/{name:path}", server.content, methods=["GET"]))
    routes.append(HttpRoute(RECEIVE + "/{id}", server.receive, methods=["PUT"]))
    routes.append(HttpRoute(HEALTH, server.health, methods=["GET"]))
    app = Starlette(routes=routes, exception_handlers={HTTPException: server.refused, 404: server.refused, 405: server.refused})
    app.router.redirect_slashes = False
    return disturbed(app, core.options.faults)


def origin_of(request: Request) -> str:
    """Scheme and host as the client wrote them."""
    return f"{request.url.scheme}://{request.url.netloc}"


class _Server:
    def __init__(self, core: Emulator, activity: Activity, health: dict[str, Any]) -> None:
        self.core = core
        self.activity = activity
        self._health = health
        self._recognitions: anyio.CapacityLimiter | None = None

    # endpoints of the application

    def management(self, route: Route) -> Callable[[Request], Awaitable[Response]]:
        """The answer to one operation of the management API."""

        async def answer(request: Request) -> Response:
            self._authorize(request)
            self._check_version(request)
            self.core.rate.check()
            self._check_content_type(request, route)
            if route.before is not None:
                return self._respond(await self._streamed(request, route, route.before))
            call = self._call(request, await _body(request, BODY_BYTES))
            return self._respond(await run_in_threadpool(route.handler, call))

        return self._guard(answer)

    def recognition(self, route: Route) -> Callable[[Request], Awaitable[Response]]:
        """The answer to audio. It has threads of its own, so that recognition never holds up management."""

        async def answer(request: Request) -> Response:
            self._authorize(request, reading=True)
            self._check_content_type(request, route)
            call = self._call(request, await _body(request, SHORT_AUDIO_BYTES))
            self._recognitions = self._recognitions or anyio.CapacityLimiter(RECOGNITIONS_AT_ONCE)
            return self._respond(await anyio.to_thread.run_sync(route.handler, call, limiter=self._recognitions))

        return self._guard(answer)

    @property
    def content(self) -> Callable[[Request], Awaitable[Response]]:
        """Contents behind signed URLs."""

        async def answer(request: Request) -> Response:
            id = request.path_params["id"]
            signed = check(self.core, id, request.query_params.get("se", ""), request.query_params.get("sig", ""))
            file = self.core.store.file(id) if signed else None
            if not signed:
                return _storage_error(403, "AuthenticationFailed", "Server failed to authenticate the request.")
            if file is None or not self.core.blobs.path(file.blob).exists():
                return _storage_error(404, "BlobNotFound", "The specified blob does not exist.")
            media = "application/json" if file.name.endswith(".json") else OCTETS
            return FileResponse(self.core.blobs.path(file.blob), media_type=media)

        return self._guard(answer)

    @property
    def receive(self) -> Callable[[Request], Awaitable[Response]]:
        """A model that another offline service sends."""

        async def answer(request: Request) -> Response:
            call = self._call(request, b"")
            authorized(call)
            with tempfile.NamedTemporaryFile(dir=self.core.blobs.work, delete=False) as file:
                try:
                    await _stream(request, file, MAX_COPY_BYTES)  # type: ignore[arg-type]
                    file.flush()
                    return self._respond(await run_in_threadpool(receive, call, Path(file.name)))
                finally:
                    Path(file.name).unlink(missing_ok=True)

        return self._guard(answer)

    @property
    def health(self) -> Callable[[Request], Awaitable[Response]]:
        """Who this is, for whoever holds the key."""

        async def answer(request: Request) -> Response:
            self._authorize(request)
            return self._respond(Answer(200, {"status": "ok", "resource": self.core.resource, **self._health}))

        return self._guard(answer)

    async def refused(self, request: Request, error: Exception) -> Response:
        """No such route, or not with this method: the gateway says it."""
        assert isinstance(error, HTTPException)
        words = {404: "Resource not found", 405: "Method not allowed"}
        problem = gateway(error.status_code, words.get(error.status_code, str(error.detail)), error.headers)
        return self._respond(problem)

    # steps

    def _guard(self, answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """Turn what an answer raises into an answer."""

        async def guarded(request: Request) -> Response:
            with self.activity.request():
                try:
                    return await answer(request)
                except Problem as problem:
                    return self._respond(problem)
                except ClientDisconnect:
                    return Response()  # nobody is there to read it
                except (OSError, sqlite3.OperationalError) as error:
                    log.exception("%s %s", request.method, request.url.path)
                    message = cannot_write(self.core.options.state_dir, error)
                    return self._respond(refuse(503, "ServiceUnavailable", message, headers={"Retry-After": "30"}))
                except Exception as error:
                    log.exception("%s %s", request.method, request.url.path)
                    message = f"An unexpected error occurred: {type(error).__name__}."
                    return self._respond(refuse(500, "InternalServerError", message, inner="UnexpectedError"))

        return guarded

    def _authorize(self, request: Request, *, reading: bool = False) -> None:
        options = self.core.options
        key = request.headers.get("Ocp-Apim-Subscription-Key")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if key is not None:
            if not _same(key, options.key.get_secret_value()):
                raise unauthorized()
            return
        if scheme.lower() != "bearer":
            raise unauthorized()
        if any(_same(token, known.get_secret_value()) for known in options.tokens):
            return
        if not any(_same(token, known.get_secret_value()) for known in options.read_only_tokens):
            raise unauthorized()
        if request.method not in READ_METHODS and not reading:
            raise forbidden()

    def _check_version(self, request: Request) -> None:
        versions = request.query_params.getlist("api-version")
        if not versions:
            raise refuse(
                400, "InvalidArgument", "The parameter api-version is required.", inner="InvalidParameter", target="api-version"
            )
        if versions != [API_VERSION]:
            message = f"The api-version {versions[-1][:40]!r} is not supported; supported is {API_VERSION}."
            raise refuse(400, "InvalidArgument", message, inner="InvalidParameterValue", target="api-version")

    def _check_content_type(self, request: Request, route: Route) -> None:
        if not route.consumes:
            return
        kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind not in route.consumes:
            raise refuse(
                415, "UnsupportedMediaType", f"The content type {kind!r} is not supported; use {', '.join(route.consumes)}."
            )

    def _call(self, request: Request, body: bytes) -> Call:
        return Call(
            self.core,
            request.method,
            request.url.path,
            request.path_params,
            dict(request.query_params),
            request.headers,
            body,
            origin_of(request),
            request.scope.get(STALE, 0),
        )

    async def _streamed(self, request: Request, route: Route, before: Callable[[Call], object]) -> Answer:
        call = self._call(request, b"")
        await run_in_threadpool(before, call)
        with self.core.blobs.create() as (blob, file):
            size = await _stream(request, file, BLOCK_BYTES)
        try:
            return await run_in_threadpool(route.handler, replace(call, stored=(blob, size)))
        except BaseException:
            self.core.blobs.delete([blob])
            raise

    def _respond(self, answer: Answer | Problem) -> Response:
        headers = {**COMMON_HEADERS, "apim-request-id": str(uuid.uuid4()), **answer.headers}
        if answer.body is None:
            return Response(status_code=answer.status, headers=headers)
        content = json.dumps(answer.body, ensure_ascii=False, separators=(",", ":")).encode()
        return Response(content, answer.status, headers, media_type=JSON)


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


async def _chunks(request: Request, limit: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise refuse(413, "InvalidRequest", f"The body has more than {limit} bytes.", inner="InvalidPayload")
        yield chunk


async def _body(request: Request, limit: int) -> bytes:
    return b"".join([chunk async for chunk in _chunks(request, limit)])


async def _stream(request: Request, file: BinaryIO, limit: int) -> int:
    size = 0
    async for chunk in _chunks(request, limit):
        file.write(chunk)
        size += len(chunk)
    if size == 0:
        raise invalid("EmptyRequest", "The request has no body.")
    return size


def _storage_error(status: int, code: str, message: str) -> Response:
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Response(body, status, {"x-ms-error-code": code}, media_type="application/xml")

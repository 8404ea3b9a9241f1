"""The faults of a :class:`~speech_mlflow.emulator.faults.FaultPlan`, carried out around the application."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from speech_mlflow.emulator.faults import Fault, FaultPlan

STALE = "speech.stale_seconds"
"""Key in the ASGI scope: entities younger than this are left out of lists."""


class CutError(Exception):
    """The connection was cut on purpose."""


def disturbed(app: ASGIApp, plan: FaultPlan) -> ASGIApp:
    """The application with the faults of ``plan`` around it."""

    async def disturb(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        faults = plan.take(scope["method"], scope["path"])
        if not faults:
            await app(scope, receive, send)
            return
        with contextlib.suppress(CutError):
            await _disturb(app, faults, scope, receive, send)

    return disturb


async def _disturb(app: ASGIApp, faults: list[Fault], scope: Scope, receive: Receive, send: Send) -> None:
    transport = _transport(receive)
    for fault in faults:
        if fault.kind == "delay":
            await asyncio.sleep(fault.seconds)
        elif fault.kind == "stale-list":
            scope[STALE] = fault.seconds
        elif fault.kind == "reset":
            await _drain(receive)  # a client that is still sending would see a broken pipe instead
            await _cut(transport, receive)
            return
        elif fault.kind == "status":
            await _drain(receive)
            await _answer(send, fault, fault.status)
            return
    for fault in faults:
        if fault.kind in ("lost", "truncate", "slice", "body", "late-status"):
            send = _Spoiled(send, fault, transport, receive)
    if any(fault.kind == "duplicate" for fault in faults):
        body = await _drain(receive)
        await app(dict(scope), _replay(body), _discard)
        receive = _replay(body)
    await app(scope, receive, send)


class _Spoiled:
    """A ``send`` that loses, cuts, slices or replaces the answer."""

    def __init__(self, send: Send, fault: Fault, transport: Any, receive: Receive) -> None:
        self.send, self.fault, self.transport, self.receive = send, fault, transport, receive
        self.left = fault.after_bytes
        self.start: Message | None = None

    async def __call__(self, message: Message) -> None:
        if self.fault.kind == "lost":
            await asyncio.sleep(self.fault.seconds)
            await _cut(self.transport, self.receive)
            raise CutError
        if message["type"] == "http.response.start":
            self.start = message
            if self.fault.kind not in ("body", "late-status"):
                await self.send(message)
        elif self.fault.kind in ("body", "late-status"):
            assert self.start is not None
            if not message.get("more_body"):
                late = self.fault.kind == "late-status"
                await _answer(self.send, self.fault, self.fault.status if late else self.start["status"])
        elif self.fault.kind == "truncate":
            await self._truncate(message)
        else:
            await self._slice(message)

    async def _truncate(self, message: Message) -> None:
        body = message.get("body", b"")
        if len(body) < self.left:
            self.left -= len(body)
            await self.send(message)
            return
        await self.send({"type": "http.response.body", "body": body[: self.left], "more_body": True})
        if self.transport is not None:
            self.transport.close()  # what was written arrives, then the connection ends
        raise CutError

    async def _slice(self, message: Message) -> None:
        body = message.get("body", b"")
        for place in range(len(body)):
            await self.send({"type": "http.response.body", "body": body[place : place + 1], "more_body": True})
            await asyncio.sleep(self.fault.seconds)
        await self.send({"type": "http.response.body", "body": b"", "more_body": bool(message.get("more_body"))})


async def _answer(send: Send, fault: Fault, status: int) -> None:
    headers = [(name.lower().encode(), value.encode()) for name, value in fault.headers.items()]
    if not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(len(fault.body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": fault.body})


async def _drain(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            break
    return b"".join(parts)


def _replay(body: bytes) -> Receive:
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


async def _discard(message: MutableMapping[str, Any]) -> None:
    return None


def _transport(receive: Receive) -> Any:
    """The connection's transport. uvicorn hands a bound method of the object that holds it."""
    return getattr(getattr(receive, "__self__", None), "transport", None)


async def _cut(transport: Any, receive: Receive) -> None:
    """Cut the connection so that the client sees a reset, not an end, and wait until it is gone."""
    if transport is None:
        raise CutError
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    while (await receive())["type"] != "http.disconnect":
        pass

"""A small HTTP server on a real socket that answers as a test tells it, and fails on the wire as a test tells it."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """What arrived. Header names are lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    target: str

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What to answer, and what goes wrong on the wire.

    ``slice_bytes`` and ``pause``: the answer is written in such pieces with pauses (seconds) between. ``cut_at``: the
    connection ends after that many bytes of the answer. ``reset``: it ends with a RST, before any answer. ``silent``: there
    is never an answer. ``delay``: seconds before the answer begins.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    slice_bytes: int | None = None
    pause: float = 0.0
    cut_at: int | None = None
    reset: bool = False
    silent: bool = False
    delay: float = 0.0
    close: bool = False

    def content(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        return b"" if self.body is None else json.dumps(self.body).encode()

    def wire(self, head_only: bool = False) -> bytes:
        content = self.content()
        kind = "application/octet-stream" if isinstance(self.body, bytes) else "application/json"
        headers = {"Content-Type": kind, "Content-Length": str(len(content)), **self.headers}
        lines = [f"HTTP/1.1 {self.status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + content


Handler = Callable[[Request], Reply]


class ScriptedServer:
    """Answers with ``handler``, or one after another with what `script` was given (the last for all that follow)."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.handler: Handler = lambda request: Reply(404, {"code": "NotFound", "message": "nothing is scripted"})
        self.received = 0  # bytes
        self.read_pause = 0.0  # seconds after each 64 KB, for a slow line
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: dict[threading.Thread, socket.socket] = {}
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def api(self, path: str) -> str:
        """The full URL of an entity here."""
        return f"{self.url}/speechtotext{path}?api-version=2025-10-15"

    def script(self, *replies: Reply) -> None:
        left = list(replies)

        def handler(request: Request) -> Reply:
            with self._lock:
                return left.pop(0) if len(left) > 1 else left[0]

        self.handler = handler

    def close(self) -> None:
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._acceptor.join()
        self._listener.close()
        for thread, connection in list(self._open.items()):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)  # wakes who reads
            thread.join(5)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._open[thread] = connection
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, _Gone):
            received = bytearray()
            while True:
                request = self._read(connection, received)
                with self._lock:
                    self.requests.append(request)
                reply = self.handler(request)
                if not self._answer(connection, reply) or reply.close:
                    return

    def _read(self, connection: socket.socket, received: bytearray) -> Request:
        while b"\r\n\r\n" not in received:
            received += self._some(connection)
        head, _, rest = bytes(received).partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        pieces, got = [rest], len(rest)
        while got < length:
            pieces.append(self._some(connection))
            got += len(pieces[-1])
        body = b"".join(pieces)
        received[:] = body[length:]
        method, target, _ = first.split(" ")
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        return Request(method, parts.path, query, headers, body[:length], target)

    def _some(self, connection: socket.socket) -> bytes:
        data = connection.recv(1 << 16 if self.read_pause else 1 << 20)
        if not data:
            raise _Gone
        self.received += len(data)
        self._stopping.wait(self.read_pause)
        return data

    def _answer(self, connection: socket.socket, reply: Reply) -> bool:
        """Write the answer; False where the connection ends with it."""
        if reply.silent:
            self._some(connection)  # until the other side gives up
            return False
        if reply.reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return False
        self._stopping.wait(reply.delay)
        wire = reply.wire() if reply.cut_at is None else reply.wire()[: reply.cut_at]
        step = reply.slice_bytes or len(wire) or 1
        for start in range(0, len(wire), step):
            connection.sendall(wire[start : start + step])
            if reply.pause:
                self._stopping.wait(reply.pause)
        return reply.cut_at is None


class _Gone(Exception):
    """The client closed the connection, or the test is over."""


@contextlib.contextmanager
def scripted_server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    try:
        yield server
    finally:
        server.close()

"""A small HTTP server in a thread beside the controller."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from speech_mlflow.errors import SettingsError
from speech_mlflow.sockets import listen, url_of

if TYPE_CHECKING:
    from starlette.applications import Starlette

CONNECTIONS = 64
"""At once; further ones are answered 503."""
CONNECTION_SECONDS = 10.0
"""How long a connection may live. It is good for one request, so that a slow sender costs no more than this."""


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT`` (``[::1]:8765`` for IPv6). SettingsError where it is none."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise SettingsError(f"{text!r} is no HOST:PORT", hint="for example 127.0.0.1:8765")
    return host.strip("[]"), int(port)


@contextlib.contextmanager
def listening(app: Starlette, address: str) -> Iterator[str]:
    """Serve ``app`` at ``HOST:PORT`` (port 0: a free one) for a while; gives the URL. SettingsError where the port is taken."""
    import uvicorn

    host, port = parse_address(address)
    with contextlib.closing(listen(host, port, backlog=128, error=SettingsError)) as listener:
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=_protocol(),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=CONNECTIONS,
                timeout_graceful_shutdown=2,
                h11_max_incomplete_event_size=16 * 1024,
            )
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="receiver", daemon=True)
        thread.start()
        try:
            yield url_of(listener, host)
        finally:
            server.should_exit = True
            thread.join(10)


def _protocol() -> type[Any]:
    """uvicorn's protocol, with an end to each connection: uvicorn waits for a request for ever."""
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class ShortLived(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self._end = self.loop.call_later(CONNECTION_SECONDS, transport.abort)

        def connection_lost(self, exc: Exception | None) -> None:
            self._end.cancel()
            super().connection_lost(exc)

    return ShortLived

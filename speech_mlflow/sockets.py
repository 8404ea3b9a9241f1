"""A socket to serve at, for the offline service and the controller's receiver."""

from __future__ import annotations

import socket

from speech_mlflow.errors import SpeechMlflowError


def listen(host: str, port: int, *, backlog: int, error: type[SpeechMlflowError]) -> socket.socket:
    """Listen at a host and port (0: a free one). Raises ``error`` where that cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends what it has at once only on sockets that name their protocol: without it each answer takes 40 ms
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as problem:
        listener.close()
        raise error(
            f"cannot listen on {host}:{port}: {problem.strerror or problem}", hint="choose another port, or host"
        ) from None
    listener.listen(backlog)
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket, host: str) -> str:
    """The URL at which ``host`` is served by a listening socket."""
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}"

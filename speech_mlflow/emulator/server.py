"""Running the offline service: in the foreground, or in a thread of a test."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn
from pydantic import SecretStr

from speech_mlflow.emulator.address import (
    Address,
    StateLock,
    build,
    read_key,
    remove_address,
    version,
    write_address,
    write_key,
)
from speech_mlflow.emulator.app import Activity, create_app
from speech_mlflow.emulator.core import Emulator
from speech_mlflow.emulator.options import Options
from speech_mlflow.errors import EmulatorError
from speech_mlflow.sockets import listen, url_of

log = logging.getLogger(__name__)
GRACE_SECONDS = 3
OnReady = Callable[[Address], None]


def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    state_dir: str | Path = ".speech-mlflow",
    key: str | SecretStr | None = None,
    *,
    idle_seconds: float | None = None,
    on_ready: OnReady | None = None,
    options: Options | None = None,
) -> None:
    """Run the service until it is told to stop (SIGINT, SIGTERM) or has been idle for ``idle_seconds``.

    ``port`` 0 takes a free one; ``key`` None takes the one that the state directory remembers, or makes one. ``options``
    gives all other choices (its directory and key give way to those named here). ``on_ready`` is called with the address as
    soon as requests are taken. Raises EmulatorError when the directory is used by another service or the port is taken.
    """
    directory = Path(state_dir).absolute()
    with running(host, port, directory, key, options=options) as service:
        if on_ready is not None:
            on_ready(service.address)
        service.run(idle_seconds)


class Service:
    """One running service: its core, its address, and the server in front of it."""

    def __init__(
        self, core: Emulator, address: Address, listener: socket.socket, activity: Activity, server: uvicorn.Server
    ) -> None:
        self.core = core
        self.address = address
        self._listener = listener
        self._activity = activity
        self._server = server

    def run(self, idle_seconds: float | None = None) -> None:
        """Answer requests until told to stop."""
        if idle_seconds is not None:
            threading.Thread(target=self._watch, args=(idle_seconds,), daemon=True).start()
        with _quiet_signals():
            self._server.run(sockets=[self._listener])

    def stop(self) -> None:
        """Tell :meth:`run` to return."""
        self._server.should_exit = True

    def _watch(self, idle_seconds: float) -> None:
        while not self._server.should_exit:
            time.sleep(min(1.0, idle_seconds / 4))
            if self.core.jobs.busy:
                self._activity.last = time.monotonic()
            elif self._activity.idle_seconds() > idle_seconds:
                log.info("idle for %s s: the service ends", idle_seconds)
                self.stop()


@contextlib.contextmanager
def running(
    host: str, port: int, directory: Path, key: str | SecretStr | None, *, options: Options | None = None
) -> Iterator[Service]:
    """A service with its directory locked, its socket bound and its address written; everything is undone at the end."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = StateLock(directory)
    except OSError as error:
        raise EmulatorError(
            f"the state directory {directory} cannot be used: {error}", hint="choose another directory"
        ) from None
    with contextlib.ExitStack() as stack:
        if not lock.take():
            raise EmulatorError(f"another offline service is using {directory}", hint="stop it, or choose another directory")
        stack.callback(lock.release)
        remove_address(directory)
        secret = _key(directory, key)
        listener = listen(host, port, backlog=256, error=EmulatorError)
        stack.callback(listener.close)
        chosen = replace(options, state_dir=directory, key=secret) if options else Options(directory, secret)
        core = Emulator(chosen)
        stack.callback(core.stop)
        activity = Activity()
        address = _address(core, listener, host, secret)
        app = create_app(core, health=_health(address), activity=activity)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                lifespan="off",
                timeout_graceful_shutdown=GRACE_SECONDS,
                timeout_keep_alive=30,
                server_header=False,
            )
        )
        core.start()
        write_address(directory, address)
        stack.callback(remove_address, directory)
        yield Service(core, address, listener, activity, server)


@contextlib.contextmanager
def _quiet_signals() -> Iterator[None]:
    """uvicorn raises the signal that ended it once more when it is done; here that must not end the process before it has
    cleaned up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {name: signal.signal(name, lambda *_: None) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _health(address: Address) -> dict[str, Any]:
    return {"pid": address.pid, "version": address.version, "build": address.build}


def _address(core: Emulator, listener: socket.socket, host: str, key: SecretStr) -> Address:
    return Address(url_of(listener, host), key, core.resource, os.getpid(), core.resource_id, version(), build())


def _key(directory: Path, given: str | SecretStr | None) -> SecretStr:
    """The key to use; one that was not given is remembered, so that it stays when the service is started again."""
    if given is not None:
        return given if isinstance(given, SecretStr) else SecretStr(given)
    return read_key(directory) or write_key(directory, SecretStr(secrets.token_hex(16)))

"""One detached service for each state directory: started on first use, found by everybody else, gone after some idle time.

The running service holds a file lock, so whether one runs is never guessed from a process id. A stale address file left by
``kill -9`` is therefore harmless. A service of an older version of the package is replaced; what it was doing goes on in
the new one.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from speech_mlflow.emulator.address import Address, StateLock, build, is_locked, read_address, version
from speech_mlflow.errors import EmulatorError

IDLE_SECONDS = 1800
START_SECONDS = 60
STOP_SECONDS = 15
HEALTH_SECONDS = 5
LOG = "service.log"
STARTING = "starting.lock"
READY = b"ready\n"
_TICK = 0.05
_SECRET_VARIABLES = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|SAS|CREDENTIAL)", re.IGNORECASE)


def ensure_running(state_dir: str | Path, *, idle_seconds: float = IDLE_SECONDS) -> Address:
    """The service of ``state_dir``, started when there is none. It outlives this process.

    Several processes may ask at once and get the same one. Raises EmulatorError when it cannot be started.
    """
    directory = _prepare(state_dir)
    found = find(directory)
    if found is not None and not _outdated(found):
        return found
    deadline = time.monotonic() + START_SECONDS
    with _starting(directory, deadline):
        while time.monotonic() < deadline:
            if not is_locked(directory):
                _start(directory, idle_seconds)
            found = find(directory)
            if found is not None and not _outdated(found):
                return found
            if found is not None:
                stop(directory)
            time.sleep(_TICK)
    hanging = read_address(directory)
    hint = f"end process {hanging.pid} and try again" if hanging else f"see {directory / LOG}"
    raise EmulatorError(f"the offline service in {directory} does not answer", hint=hint)


def find(state_dir: str | Path) -> Address | None:
    """The service of ``state_dir`` if one runs and answers."""
    directory = Path(state_dir).absolute()
    address = read_address(directory)
    if address is None or not is_locked(directory):
        return None
    health = _health(address)
    if health is None or health.get("resource") != address.resource or health.get("pid") != address.pid:
        return None
    return address


def stop(state_dir: str | Path) -> bool:
    """End the service of ``state_dir`` and wait until it is gone. False where none was running.

    Raises EmulatorError when it does not end.
    """
    directory = Path(state_dir).absolute()
    deadline = time.monotonic() + STOP_SECONDS
    if not is_locked(directory):
        return False
    told: int | None = None
    while time.monotonic() < deadline:
        if not is_locked(directory):
            return True
        address = read_address(directory)
        if address is not None and told is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(address.pid, signal.SIGTERM)
            told = address.pid
        time.sleep(_TICK)
    raise EmulatorError(
        f"the offline service in {directory} does not end", hint=f"end process {told} by force" if told else None
    )


def _prepare(state_dir: str | Path) -> Path:
    directory = Path(state_dir).absolute()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EmulatorError(
            f"the state directory {directory} cannot be made: {error}", hint="choose another directory"
        ) from None
    return directory


@contextlib.contextmanager
def _starting(directory: Path, deadline: float) -> Iterator[None]:
    """Only one process at a time starts a service."""
    while True:
        try:
            lock = StateLock(directory, STARTING)
        except OSError as error:
            raise EmulatorError(
                f"the state directory {directory} cannot be used: {error}", hint="choose another directory"
            ) from None
        if lock.take():
            break
        if time.monotonic() > deadline:
            raise EmulatorError(f"another process has been starting the offline service in {directory} for too long")
        time.sleep(_TICK)
    try:
        yield
    finally:
        lock.release()


def _start(directory: Path, idle_seconds: float) -> None:
    """Start a detached service and wait until it takes requests. Raises EmulatorError with the end of its log."""
    log = directory / LOG
    reading, writing = os.pipe()
    try:
        with open(log, "ab") as output:
            output.write(b"--\n")
            place = output.tell()
            try:
                subprocess.run(
                    [sys.executable, "-m", "speech_mlflow.emulator.process", str(directory), str(idle_seconds), str(writing)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    cwd=directory,
                    env=_environment(),
                    pass_fds=(writing,),
                    start_new_session=True,
                    check=False,
                )
            finally:
                os.close(writing)
        ready, _, _ = select.select([reading], [], [], START_SECONDS)
        if ready and os.read(reading, len(READY)) == READY:
            return
    finally:
        os.close(reading)
    if is_locked(directory):
        return  # another service took the directory first: it is the one to use
    with open(log, "rb") as file:
        file.seek(place)
        lines = file.read().decode(errors="replace").strip().splitlines()
    reason = lines[-1] if lines else "it ended without a word"
    raise EmulatorError(f"the offline service could not be started: {reason}", hint=f"see {log}")


def _environment() -> dict[str, str]:
    """The caller's environment without its secrets, and with this package importable."""
    kept = {name: value for name, value in os.environ.items() if not _SECRET_VARIABLES.search(name)}
    root = str(Path(__file__).parents[2])
    kept["PYTHONPATH"] = os.pathsep.join([root, *(part for part in [kept.get("PYTHONPATH", "")] if part)])
    return kept


def _outdated(found: Address) -> bool:
    """Whether the service is older than this code, or another state of the same version. A newer one is used as it is."""
    if found.version == version():
        return found.build != build()
    return _release(found.version) < _release(version())


def _release(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text.partition("+")[0])[:3])


def _health(address: Address) -> dict[str, Any] | None:
    url = urllib.parse.urlsplit(address.url)
    connection = http.client.HTTPConnection(url.hostname or "127.0.0.1", url.port, timeout=HEALTH_SECONDS)
    try:
        connection.request("GET", "/health", headers={"Ocp-Apim-Subscription-Key": address.key.get_secret_value()})
        answer = connection.getresponse()
        body = answer.read(65536)
        value = json.loads(body) if answer.status == 200 else None
        return value if isinstance(value, dict) else None
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _main(directory: str, idle_seconds: str, ready: str) -> None:
    """The detached process: fork once more, so that nobody has to wait for it, then serve."""
    if os.fork():
        os._exit(0)
    import logging

    from speech_mlflow.emulator.server import serve

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)

    def tell(address: Address) -> None:
        os.write(int(ready), READY)
        os.close(int(ready))

    try:
        serve(state_dir=directory, idle_seconds=float(idle_seconds), on_ready=tell)
    except EmulatorError as error:
        sys.exit(f"{error.message}{f' ({error.hint})' if error.hint else ''}")


if __name__ == "__main__":
    _main(*sys.argv[1:])

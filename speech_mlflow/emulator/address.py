"""Where the service of a state directory is: the lock that it holds, the file that tells its address, and its key."""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib.metadata
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from speech_mlflow.files import replacing

LOCK, ADDRESS, KEY = "service.lock", "address.json", "key"


@dataclass(frozen=True)
class Address:
    """How to reach a service. ``resource`` is its identity, which stays when port and process change."""

    url: str
    key: SecretStr
    resource: str
    pid: int
    resource_id: str = ""
    version: str = ""
    build: str = ""


class StateLock:
    """Held by the process that serves a directory, for as long as it lives; the system releases it however the process ends."""

    def __init__(self, directory: Path, name: str = LOCK) -> None:
        self._file = open(directory / name, "a")  # noqa: SIM115 - the lock lives as long as the file is open

    def take(self) -> bool:
        """Take the lock; False when another process has it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            return False
        return True

    def release(self) -> None:
        """Give the lock back."""
        self._file.close()


def is_locked(directory: Path) -> bool:
    """Whether some process holds the lock."""
    if not (directory / LOCK).exists():
        return False
    lock = StateLock(directory)
    taken = lock.take()
    lock.release()
    return not taken


def read_address(directory: Path) -> Address | None:
    """What the address file says; None where it is missing or unreadable."""
    try:
        value: dict[str, Any] = json.loads((directory / ADDRESS).read_text())
        return Address(
            str(value["url"]),
            SecretStr(value["key"]),
            str(value["resource"]),
            int(value["pid"]),
            str(value["resource_id"]),
            str(value["version"]),
            str(value["build"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_address(directory: Path, address: Address) -> None:
    """Write the address file, readable by its owner only."""
    value = {**vars(address), "key": address.key.get_secret_value()}
    _write_private(directory / ADDRESS, json.dumps(value, indent=1))


def remove_address(directory: Path) -> None:
    """The service is gone."""
    (directory / ADDRESS).unlink(missing_ok=True)


def read_key(directory: Path) -> SecretStr | None:
    """The key that the directory remembers."""
    try:
        text = (directory / KEY).read_text().strip()
    except OSError:
        return None
    return SecretStr(text) if text else None


def write_key(directory: Path, key: SecretStr) -> SecretStr:
    """Remember a key."""
    _write_private(directory / KEY, key.get_secret_value())
    return key


def _write_private(path: Path, content: str) -> None:
    with replacing(path) as file:
        file.write(content.encode())


@functools.lru_cache(maxsize=1)
def version() -> str:
    """Version of the installed package."""
    try:
        return importlib.metadata.version("speech-mlflow")
    except importlib.metadata.PackageNotFoundError:
        return "0"


@functools.lru_cache(maxsize=1)
def build() -> str:
    """Digest of the service's own source, which tells two states of one version apart."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]

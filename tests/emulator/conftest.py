"""Services with the test engines, in processes that can be killed, and helpers to talk to them."""

from __future__ import annotations

import base64
import io
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from speech_mlflow.emulator.address import read_address
from speech_mlflow.emulator.process import find
from tests.fixtures.emulator import RunningEmulator

HERE = Path(__file__).parent
PLUGIN = HERE / "tone_plugin"
sys.path.insert(0, str(PLUGIN))


class ToneService(RunningEmulator):
    """A service process with an engine of tones."""

    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.close()


def start_tone_service(directory: Path, engine: str = "tone", environ: dict[str, str] | None = None) -> ToneService:
    """Start a service process and wait until it answers."""
    paths = os.pathsep.join([str(HERE.parents[1]), str(PLUGIN)])
    env = {**os.environ, "PYTHONPATH": paths, "SPEECH_MLFLOW_DISABLED_PLUGINS": "", **(environ or {})}
    command = [sys.executable, str(HERE / "run_service.py"), str(directory), engine]
    directory.mkdir(exist_ok=True)
    with open(directory / "output.log", "ab") as log:
        process = subprocess.Popen(command, env=env, stdout=log, stderr=log)
    deadline = time.monotonic() + 120
    while True:
        address = read_address(directory)
        if address is not None and address.pid == process.pid and find(directory) is not None:
            break
        assert process.poll() is None, (directory / "output.log").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    service = ToneService(address.url, address.key, address.resource, address.resource_id, directory)
    service.process = process
    return service


def stop_tone_service(service: ToneService) -> None:
    """Stop the process and wait for it."""
    service.close()
    if service.process.poll() is None:
        service.process.terminate()
        service.process.wait(timeout=30)


@pytest.fixture(scope="session")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ToneService]:
    """One service with the engine of tones for the whole session."""
    service = start_tone_service(tmp_path_factory.mktemp("tones"))
    yield service
    stop_tone_service(service)


def archive(utterances: dict[str, str], *, transcript: bool = True, extra: dict[str, bytes] | None = None) -> bytes:
    """A zip of spoken utterances, by file name, with their transcript."""
    from tone_engine import speak

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, text in utterances.items():
            file.writestr(name, speak(text))
        if transcript:
            lines = "".join(f"{name}\t{text}\n" for name, text in utterances.items())
            file.writestr("trans.txt", "\ufeff" + lines)
        for name, content in (extra or {}).items():
            file.writestr(name, content)
    return out.getvalue()


def id_of(entity: dict[str, Any]) -> str:
    """The id of an entity."""
    return str(entity["self"].partition("?")[0].rpartition("/")[2])


def create(service: RunningEmulator, path: str, **body: Any) -> dict[str, Any]:
    """POST an entity; it must be accepted."""
    answer = service.api.post(path, json={"displayName": "a name", "locale": "en-US", **body})
    assert answer.status_code == 201, answer.text
    entity: dict[str, Any] = answer.json()
    assert answer.headers["Location"] == entity["self"]
    return entity


def put_blocks(service: RunningEmulator, dataset: dict[str, Any], content: bytes, size: int = 1 << 20) -> list[str]:
    """Upload content in blocks; returns their ids."""
    ids = []
    for place in range(0, max(len(content), 1), size):
        name = base64.b64encode(b"%08d" % place).decode()
        answer = service.api.put(
            f"/datasets/{id_of(dataset)}/blocks",
            params={"blockid": name},
            content=content[place : place + size],
            headers={"Content-Type": "application/octet-stream"},
        )
        assert answer.status_code == 201, answer.text
        ids.append(name)
    return ids


def commit(service: RunningEmulator, dataset: dict[str, Any], ids: list[str]) -> None:
    """Commit a block list."""
    answer = service.api.post(
        f"/datasets/{id_of(dataset)}/blocks:commit", json=[{"kind": "Latest", "id": name} for name in ids]
    )
    assert answer.status_code == 200, answer.text


def upload(service: RunningEmulator, kind: str, content: bytes | str, **body: Any) -> dict[str, Any]:
    """Make a data set of ``content`` and wait until it is imported."""
    dataset = create(service, "/datasets", kind=kind, **body)
    raw = content.encode("utf-8-sig") if isinstance(content, str) else content
    commit(service, dataset, put_blocks(service, dataset, raw))
    return service.wait(dataset)


def base_model(service: RunningEmulator, name: str = "20250115") -> dict[str, Any]:
    """A base model by its name."""
    values = service.api.get("/models/base").json()["values"]
    return next(model for model in values if model["displayName"] == name)


def ref(entity: dict[str, Any]) -> dict[str, str]:
    """A reference to an entity."""
    return {"self": entity["self"]}


def files_of(service: RunningEmulator, entity: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Files of an entity by name, over all pages."""
    found: dict[str, dict[str, Any]] = {}
    url = entity["links"]["files"]
    while url:
        page = service.follow(url)
        found.update({file["name"]: file for file in page["values"]})
        url = page.get("@nextLink")
    return found


def error_of(answer: Any, status: int, code: str, inner: str | None = None) -> dict[str, Any]:
    """Check that an answer is this error of the service."""
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    assert (body["code"], body.get("innerError", {}).get("code")) == (code, inner), answer.text
    return body

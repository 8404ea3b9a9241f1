"""kill -9 in the middle of work: after a restart the work goes on, and nothing is half made."""

from __future__ import annotations

import contextlib
import http.server
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from speech_mlflow.emulator.core import Emulator
from speech_mlflow.emulator.options import Options
from speech_mlflow.emulator.store import NewFile
from tests.emulator.conftest import (
    ToneService,
    archive,
    base_model,
    commit,
    create,
    files_of,
    id_of,
    put_blocks,
    ref,
    start_tone_service,
    stop_tone_service,
    upload,
)
from tests.waiting import until


@contextmanager
def crashed(service: ToneService, entity: dict[str, Any], environ: dict[str, str]) -> Iterator[ToneService]:
    """Kill the service while ``entity`` is at work, release what held the work up, and start it again."""
    until(lambda: service.follow(entity["self"])["status"] == "Running")
    time.sleep(0.2)
    service.kill()
    for path in environ.values():
        os.unlink(path)
    again = start_tone_service(service.state_dir, environ=environ)
    try:
        assert again.resource == service.resource
        yield again
    finally:
        stop_tone_service(again)


@pytest.fixture
def held(tmp_path: Path) -> dict[str, str]:
    """Files that hold up training and recognition for as long as they are there."""
    names = {name: str(tmp_path / name) for name in ("SLOW_TRAINING", "SLOW_RECOGNITION")}
    for path in names.values():
        Path(path).touch()
    return names


def url_on(service: ToneService, entity: dict[str, Any]) -> str:
    """The entity's URL on a service whose port has changed."""
    return f"{service.url}/speechtotext/{entity['self'].partition('/speechtotext/')[2]}"


def children(parent: int) -> list[str]:
    """Process ids of the children of a process, whichever thread started them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(path.parent.name)
    return found


def no_garbage(service: ToneService) -> None:
    """Nothing is left in the work folder."""
    assert list((service.state_dir / "work").iterdir()) == []


def test_training_goes_on(tmp_path: Path, held: dict[str, str]) -> None:
    service = start_tone_service(tmp_path / "state", environ=held)
    text = upload(service, "Language", "the gastric ward\n")
    model = create(service, "/models", baseModel=ref(base_model(service)), datasets=[ref(text)])
    with crashed(service, model, held) as again:
        done = again.wait(again.follow(url_on(again, model)))
        assert done["status"] == "Succeeded"
        assert "report.json" in files_of(again, done)
        assert len(again.api.get("/models").json()["values"]) == 1
        no_garbage(again)


@pytest.mark.slow
def test_evaluation_goes_on(tmp_path: Path, held: dict[str, str]) -> None:
    service = start_tone_service(tmp_path / "state", environ=held)
    dataset = upload(service, "Acoustic", archive({"a.wav": "one two", "b.wav": "three"}))
    base = ref(base_model(service))
    evaluation = create(service, "/evaluations", model1=base, model2=base, dataset=ref(dataset))
    with crashed(service, evaluation, held) as again:
        done = again.wait(again.follow(url_on(again, evaluation)))
        assert done["properties"]["wordCount1"] == 3
        assert done["properties"]["wordErrorRate1"] == 0
        assert len(files_of(again, done)) == 4
        assert {t["status"] for t in again.api.get("/transcriptions").json()["values"]} == {"Succeeded"}
        no_garbage(again)


def test_import_goes_on(tmp_path: Path) -> None:
    content, hold = archive({"a.wav": "one two", "b.wav": "three"}), threading.Event()

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hold.wait(180)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args: Any) -> None:
            pass

    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    try:
        service = start_tone_service(tmp_path / "state")
        url = f"http://127.0.0.1:{web.server_port}/data.zip"
        dataset = create(service, "/datasets", kind="Acoustic", contentUrl=url)
        with crashed(service, dataset, {}) as again:
            hold.set()
            done = again.wait(again.follow(url_on(again, dataset)))
            assert (done["status"], done["properties"]["acceptedLineCount"]) == ("Succeeded", 2)
            no_garbage(again)
    finally:
        hold.set()
        web.shutdown()
        web.server_close()


@pytest.mark.slow
def test_uploaded_blocks_survive(tmp_path: Path) -> None:
    service = start_tone_service(tmp_path / "state")
    dataset = create(service, "/datasets", kind="Language")
    ids = put_blocks(service, dataset, b"the first line\nthe sec", 100)
    service.kill()
    again = start_tone_service(service.state_dir)
    try:
        blocks = again.api.get(f"/datasets/{id_of(dataset)}/blocks").json()
        assert [block["name"] for block in blocks["uncommittedBlocks"]] == ids
        commit(again, dataset, ids)
        done = again.wait(again.follow(url_on(again, dataset)))
        assert done["properties"]["acceptedLineCount"] == 2
    finally:
        stop_tone_service(again)


def test_workers_end_with_a_killed_service(tmp_path: Path, held: dict[str, str]) -> None:
    service = start_tone_service(tmp_path / "state", environ=held)
    text = upload(service, "Language", "the gastric ward\n")
    model = create(service, "/models", datasets=[ref(text)])
    until(lambda: children(service.process.pid))
    workers = children(service.process.pid)
    assert model["status"] == "NotStarted"
    service.kill()
    os.unlink(held["SLOW_TRAINING"])
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))


@pytest.mark.slow
def test_a_stopped_service_takes_up_its_work_at_the_next_start(tmp_path: Path, held: dict[str, str]) -> None:
    service = start_tone_service(tmp_path / "state", environ=held)
    text = upload(service, "Language", "the gastric ward\n")
    model = create(service, "/models", datasets=[ref(text)])
    until(lambda: service.follow(model["self"])["status"] == "Running")
    stop_tone_service(service)
    os.unlink(held["SLOW_TRAINING"])
    again = start_tone_service(service.state_dir, environ=held)
    try:
        assert again.wait(again.follow(url_on(again, model)))["status"] == "Succeeded"
    finally:
        stop_tone_service(again)


def test_a_full_disk_is_named_and_leaves_nothing_half_made(tmp_path: Path) -> None:
    service = start_tone_service(tmp_path / "state", environ={"FILE_LIMIT": str(1 << 20)})
    try:
        dataset = create(service, "/datasets", kind="Language")
        path, octets = f"/datasets/{id_of(dataset)}/blocks", {"Content-Type": "application/octet-stream"}
        for size in (2 << 20, (1 << 20) + 1):
            answer = service.api.put(path, params={"blockid": "AAAA"}, content=b"x" * size, headers=octets)
            assert answer.status_code == 503
        assert str(service.state_dir) in answer.json()["message"]
        assert "Retry-After" in answer.headers
        assert service.api.get(path).json() == {"committedBlocks": [], "uncommittedBlocks": []}
        no_garbage(service)
        names = ["AAAA", "AAAB"]
        for name in names:  # each fits, but not both together
            content = b"one sentence of many\n" * 40_000
            assert service.api.put(path, params={"blockid": name}, content=content, headers=octets).status_code == 201
        commit(service, dataset, names)
        failed = service.wait(dataset)
        assert (failed["status"], failed["properties"]["error"]["code"]) == ("Failed", "ServiceUnavailable")
        no_garbage(service)
    finally:
        stop_tone_service(service)


def test_what_nothing_refers_to_is_removed_at_the_start(tmp_path: Path) -> None:
    service = start_tone_service(tmp_path / "state")
    dataset = upload(service, "Language", "one sentence\n")
    service.kill()
    orphans = [service.state_dir / path for path in ("blobs/00/00aa", "work/half", "models/1234/words.json")]
    for path in orphans:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"left by a process that was killed")
    again = start_tone_service(service.state_dir)
    try:
        assert not any(path.exists() for path in orphans)
        assert not orphans[-1].parent.exists()
        file = files_of(again, again.follow(url_on(again, dataset)))["languagedata"]
        assert again.web.get(file["links"]["contentUrl"]).status_code == 200
    finally:
        stop_tone_service(again)


def test_contents_go_only_when_the_deletion_is_certain(tmp_path: Path) -> None:
    core = Emulator(Options(tmp_path, SecretStr("k")))
    record = core.create("datasets", {"displayName": "a"})
    blob = core.blobs.put(b"one sentence")
    core.store.add_files(record, [NewFile("a.txt", "LanguageData", blob, 12)], core.now())
    with contextlib.suppress(InterruptedError), core.store.transaction():
        core.delete(record)
        raise InterruptedError
    assert core.store.get("datasets", record.id) == record
    assert core.blobs.read(blob) == b"one sentence"
    core.delete(record)
    assert core.store.get("datasets", record.id) is None
    assert not core.blobs.path(blob).exists()
    core.stop()

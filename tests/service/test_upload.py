"""Uploads: in blocks, resumed, once for the same content, with bounded memory."""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from speech_mlflow.corpus import read_corpus
from speech_mlflow.errors import DataError, OperationFailedError, PermissionDeniedError, SettingsError
from speech_mlflow.progress import ProgressEvent
from speech_mlflow.service import SpeechClient
from speech_mlflow.service.upload import BLOCK, block_id_of, import_dataset, name_with, upload_dataset
from speech_mlflow.workflow.data import upload as upload_corpus
from tests.service.block_service import BlockService
from tests.service.scripted import Reply, Request, ScriptedServer
from tests.waiting import PATIENCE, until

FINGERPRINT = hashlib.sha256(b"content").hexdigest()
SORT: dict[str, Any] = {"kind": "Acoustic", "locale": "en-US", "display_name": "train", "fingerprint": FINGERPRINT}


@pytest.fixture
def service(server: ScriptedServer) -> BlockService:
    return BlockService(server)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Three blocks and a bit, no two alike."""
    path = tmp_path / "train.zip"
    with path.open("wb") as out:
        for number in range(3):
            out.write(bytes([number]) * BLOCK)
        out.write(b"the rest")
    return path


def test_blocks_arrive_whole_and_in_order(speech: SpeechClient, service: BlockService, archive: Path) -> None:
    dataset = upload_dataset(speech, archive, description="d", custom_properties={"plan": "p"}, **SORT)
    assert dataset.status == "Succeeded"
    made = service.datasets[0]
    assert made["displayName"] == f"train [{FINGERPRINT[:12]}]"
    assert made["description"] == "d"
    assert made["customProperties"]["fingerprint"] == FINGERPRINT
    assert made["customProperties"]["managed-by"] == "speech-mlflow"
    assert made["customProperties"]["plan"] == "p"
    content = archive.read_bytes()
    blocks = [content[start : start + BLOCK] for start in range(0, len(content), BLOCK)]
    arrived = service.uncommitted["id-0"]
    assert [arrived[id] for id in service.committed["id-0"]] == [
        (len(block), hashlib.sha256(block).hexdigest()) for block in blocks
    ]


def test_the_service_takes_our_block_ids() -> None:
    ids = [block_id_of(index, b"x" * index) for index in (0, 1, 255, 49_999)]
    assert len({len(id) for id in ids}) == 1
    assert len(base64.b64decode(ids[0])) <= 64
    assert block_id_of(1, b"same") != block_id_of(2, b"same")
    assert block_id_of(1, b"same") == block_id_of(1, memoryview(b"same"))


def test_the_same_content_is_uploaded_once(speech: SpeechClient, service: BlockService, archive: Path) -> None:
    first = upload_dataset(speech, archive, **SORT)
    puts = len(service.puts)
    again = upload_dataset(speech, archive, **SORT)
    under_another_name = upload_dataset(speech, archive, **{**SORT, "display_name": "my copy"})
    assert first.id == again.id == under_another_name.id
    assert len(service.puts) == puts == 4
    assert len(service.datasets) == 1


def test_other_content_kind_or_locale_is_another_data_set(speech: SpeechClient, service: BlockService, archive: Path) -> None:
    for change in ({}, {"fingerprint": "0" * 64}, {"kind": "AudioFiles"}, {"locale": "de-DE"}):
        upload_dataset(speech, archive, **{**SORT, **change})
    assert len(service.datasets) == 4


def test_a_name_alone_proves_nothing(speech: SpeechClient, service: BlockService, archive: Path) -> None:
    """Somebody else's data set of the same name, or of a fingerprint that only begins alike, is not taken."""
    own = service.server.api("/datasets/foreign")
    name = name_with("train", FINGERPRINT)
    foreign = {"self": own, "displayName": name, "kind": "Acoustic", "locale": "en-US", "status": "Succeeded"}
    service.datasets.append({**foreign, "customProperties": {"fingerprint": FINGERPRINT[:12] + "0" * 52}})
    assert upload_dataset(speech, archive, **SORT).id != "foreign"


def test_content_that_was_refused_before_is_not_uploaded_again(
    speech: SpeechClient, service: BlockService, archive: Path
) -> None:
    service.import_ends_as = "Failed"
    with pytest.raises(OperationFailedError, match="data set train"):
        upload_dataset(speech, archive, **SORT)
    with pytest.raises(OperationFailedError, match="refused this content before, in data set id-0"):
        upload_dataset(speech, archive, **SORT)
    assert len(service.puts) == 4
    speech.datasets.delete("id-0")
    service.import_ends_as = "Succeeded"
    assert upload_dataset(speech, archive, **SORT).status == "Succeeded"


@pytest.mark.parametrize("status", ["Failed", "NotStarted"])
def test_what_was_imported_goes_before_what_failed_or_waits(
    speech: SpeechClient, service: BlockService, archive: Path, status: str
) -> None:
    """An older attempt under the same name came to nothing; somebody else's, under another, did not."""
    mark = {"customProperties": {"fingerprint": FINGERPRINT}, "kind": "Acoustic", "locale": "en-US"}
    for id, name, state in (("old", "train", status), ("theirs", "my copy", "Succeeded")):
        own = service.server.api(f"/datasets/{id}")
        made = f"2026-02-0{1 if id == 'old' else 2}T12:00:00Z"
        shown = {"self": own, "displayName": name_with(name, FINGERPRINT), "status": state, "createdDateTime": made}
        service.datasets.append({**mark, **shown})
    assert upload_dataset(speech, archive, **SORT).id == "theirs"
    assert service.puts == []


def test_an_interrupted_upload_is_taken_up_where_it_stopped(speech: SpeechClient, service: BlockService, archive: Path) -> None:
    arrived: list[Request] = []

    def fault(request: Request) -> Reply | None:
        if request.method == "PUT":
            arrived.append(request)
            return None if len(arrived) <= 2 else Reply(403, {"code": "Forbidden", "message": "the key was renewed"})
        return None

    service.fault = fault
    with pytest.raises(PermissionDeniedError):
        upload_dataset(speech, archive, **SORT)
    there = dict(service.uncommitted["id-0"])
    assert 1 <= len(there) <= 2
    service.fault = lambda request: None
    service.puts.clear()
    events: list[ProgressEvent] = []
    assert upload_dataset(speech, archive, progress=events.append, **SORT).id == "id-0"
    assert set(service.puts).isdisjoint(there)
    assert len(service.puts) == 4 - len(there)
    assert len(service.datasets) == 1
    bytes_done = [event for event in events if event.unit == "bytes"]
    assert bytes_done[-1].done == bytes_done[-1].total == archive.stat().st_size


def test_content_that_changed_since_the_interruption_is_sent(
    speech: SpeechClient, service: BlockService, archive: Path
) -> None:
    """A block is known by its hash: one that is other now is not taken for the one that is there."""
    stale = block_id_of(0, b"other" * 10)
    speech.datasets.create(
        kind="Acoustic",
        locale="en-US",
        display_name=name_with("train", FINGERPRINT),
        custom_properties={"fingerprint": FINGERPRINT},
    )
    service.uncommitted["id-0"] = {stale: (50, "h"), block_id_of(1, b"\x01" * BLOCK): (17, "cut short")}
    upload_dataset(speech, archive, **SORT)
    assert len(service.puts) == 4
    assert stale not in service.committed["id-0"]


@pytest.mark.parametrize("fault", [Reply(503), Reply(reset=True), Reply(429, None, {"Retry-After": "3"})])
def test_single_faults_are_survived(speech: SpeechClient, service: BlockService, archive: Path, fault: Reply) -> None:
    """Each request fails at its first try; a block also where the service had taken it."""
    seen: set[tuple[str, str, str]] = set()

    def once(request: Request) -> Reply | None:
        key = (request.method, request.path, str(sorted(request.query.items())))
        if key in seen:
            return None
        seen.add(key)
        return fault

    service.fault = once
    events: list[ProgressEvent] = []
    assert upload_dataset(speech, archive, progress=events.append, **SORT).status == "Succeeded"
    assert len(service.datasets) == 1
    done = [event.done for event in events if event.unit == "bytes"]
    assert done[-1] == max(done) == archive.stat().st_size  # what was sent twice is counted once


def test_progress_is_in_bytes(speech: SpeechClient, service: BlockService, archive: Path) -> None:
    events: list[ProgressEvent] = []
    upload_dataset(speech, archive, progress=events.append, **SORT)
    sent = [event for event in events if event.unit == "bytes"]
    size = archive.stat().st_size
    assert {event.total for event in sent} == {size}
    assert sent[-1].done == size
    assert len(sent) > 50
    assert {event.step for event in sent} == {"upload train.zip"}


def test_of_two_that_upload_at_once_the_older_data_set_stays(
    speech: SpeechClient, service: BlockService, archive: Path
) -> None:
    """Another machine has made the data set between our look and our create."""
    raced: list[Request] = []

    def fault(request: Request) -> Reply | None:
        if request.method == "POST" and request.path.endswith("/datasets") and not raced:
            raced.append(request)
            other = {**request.json(), "customProperties": {"fingerprint": FINGERPRINT}}
            own = service.server.api("/datasets/theirs")
            created = "2026-03-01T11:59:59Z"
            links = {"uploadBlocks": own}
            service.datasets.append({**other, "self": own, "status": "NotStarted", "createdDateTime": created, "links": links})
        return None

    service.fault = fault
    assert upload_dataset(speech, archive, **SORT).id == "theirs"
    assert [dataset["self"] for dataset in service.datasets] == [service.server.api("/datasets/theirs")]
    assert "theirs" in service.committed


def test_a_data_set_that_the_service_made_twice_stays_once(speech: SpeechClient, service: BlockService, archive: Path) -> None:
    """The same create has arrived twice, as behind a proxy that sends again; only the second answer came back."""
    twice: list[Request] = []

    def fault(request: Request) -> Reply | None:
        if request.method == "POST" and request.path.endswith("/datasets") and not twice:
            twice.append(request)
            service.handle(request)
        return None

    service.fault = fault
    assert upload_dataset(speech, archive, **SORT).id == "id-0"
    assert [dataset["self"] for dataset in service.datasets] == [service.server.api("/datasets/id-0")]


def test_whoever_commits_second_is_content(speech: SpeechClient, service: BlockService, archive: Path) -> None:
    def fault(request: Request) -> Reply | None:
        if request.path.endswith(":commit"):
            service.datasets[0]["status"] = "Running"  # the other was faster
        if request.method == "GET" and service.datasets and service.datasets[0]["status"] == "Running":
            service.datasets[0]["status"] = "Succeeded"
        return None

    service.fault = fault
    assert upload_dataset(speech, archive, **SORT).status == "Succeeded"


def test_without_waiting_the_import_is_left_to_itself(speech: SpeechClient, service: BlockService, archive: Path) -> None:
    service.import_ends_as = "Running"
    assert upload_dataset(speech, archive, wait=False, **SORT).status == "Running"


def test_a_data_set_that_is_found_is_put_into_the_project(speech: SpeechClient, service: BlockService, archive: Path) -> None:
    upload_dataset(speech, archive, **SORT)
    upload_dataset(speech, archive, project="my-project", **SORT)
    assert service.datasets[0]["project"] == {"self": service.server.api("/projects/my-project")}
    speech.datasets.delete("id-0")
    for project in (None, "my-project"):
        import_dataset(speech, "https://files.example/1.zip", wait=False, project=project, **SORT)
    assert [one["project"] for one in service.datasets] == [{"self": service.server.api("/projects/my-project")}]


def test_so_is_a_corpus_that_was_uploaded_before_there_was_a_project(
    speech: SpeechClient, service: BlockService, tmp_path: Path
) -> None:
    (tmp_path / "terms.txt").write_text("take two tablets\nrest\n")
    corpus = read_corpus(tmp_path / "terms.txt", locale="en-US")
    upload_corpus(speech, corpus)
    assert upload_corpus(speech, corpus, project="my-project").project is not None
    assert len(service.puts) == 1


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [(b"", DataError, "is empty"), (None, DataError, "cannot be read"), ("folder", SettingsError, "is not a file")],
)
def test_what_is_no_file_to_upload(
    speech: SpeechClient,
    service: BlockService,
    tmp_path: Path,
    content: bytes | str | None,
    error: type[Exception],
    message: str,
) -> None:
    path = tmp_path / "file"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
        (path / "x").write_text("x")
    with pytest.raises(error, match=message):
        upload_dataset(speech, path, **SORT)
    assert service.datasets == []


def test_a_file_that_changes_meanwhile_is_not_committed(speech: SpeechClient, service: BlockService, archive: Path) -> None:
    def fault(request: Request) -> Reply | None:
        if request.method == "PUT":
            os.utime(archive, (1, 1))
        return None

    service.fault = fault
    with pytest.raises(DataError, match="changed while it was uploaded"):
        upload_dataset(speech, archive, **SORT)
    assert service.committed == {}


def test_a_file_that_shrinks_meanwhile_is_an_error(speech: SpeechClient, service: BlockService, archive: Path) -> None:
    def fault(request: Request) -> Reply | None:
        if request.method == "PUT":
            os.truncate(archive, BLOCK + 5)
        return None

    service.fault = fault
    with pytest.raises(DataError, match=r"changed|shorter"):
        upload_dataset(speech, archive, **SORT)
    assert service.committed == {}


@pytest.mark.parametrize(
    "url",
    [
        "https://account.blob.core.windows.net/c/train.zip?sv=1&sig=abc",
        "https://account.blob.core.windows.net/c/train.zip",
        "https://files.example/train.zip",
    ],
)
def test_content_by_url(speech: SpeechClient, service: BlockService, url: str) -> None:
    dataset = import_dataset(speech, url, kind="Acoustic", locale="en-US", display_name="by url", wait=False)
    assert service.datasets[0]["contentUrl"] == url
    assert service.datasets[0]["displayName"] == "by url"
    assert dataset.status == "NotStarted"


def test_content_by_url_is_imported_once_where_its_fingerprint_is_known(
    speech: SpeechClient, service: BlockService, archive: Path
) -> None:
    first = import_dataset(speech, "https://files.example/1.zip", wait=False, **SORT)
    again = import_dataset(speech, "https://files.example/moved.zip", wait=False, **SORT)
    assert first.id == again.id
    service.datasets[0]["status"] = "Succeeded"
    assert upload_dataset(speech, archive, **SORT).id == first.id
    assert service.puts == []


def test_an_import_does_not_wait_for_an_upload_that_was_interrupted(speech: SpeechClient, service: BlockService) -> None:
    speech.datasets.create(
        kind="Acoustic",
        locale="en-US",
        display_name=name_with("train", FINGERPRINT),
        custom_properties={"fingerprint": FINGERPRINT},
    )
    assert import_dataset(speech, "https://files.example/1.zip", wait=False, **SORT).id == "id-1"
    assert len(service.datasets) == 2


PROGRAM = """
import sys
from speech_mlflow.service import SpeechClient
from speech_mlflow.service.upload import upload_dataset
import resource
url, path = sys.argv[1:3]
with SpeechClient(url, "k") as speech:
    list(speech.datasets.list())  # all is imported and connected: the baseline
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print("begins", flush=True)
    upload_dataset(speech, path, kind="Acoustic", locale="en-US", display_name="big", fingerprint="f" * 64)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print((after - before) * 1024)
"""


def test_memory_does_not_grow_with_the_file(server: ScriptedServer, service: BlockService, tmp_path: Path) -> None:
    """A sparse file of 256 MB through a process of its own, which measures itself."""
    path = tmp_path / "big.zip"
    with path.open("wb") as out:
        out.truncate(256 * 2**20)
    done = subprocess.run([sys.executable, "-c", PROGRAM, server.url, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) < 100 * 2**20
    assert len(service.committed["id-0"]) == 32
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


def test_ctrl_c_ends_an_upload_soon_and_the_next_one_goes_on(
    server: ScriptedServer, service: BlockService, speech: SpeechClient, tmp_path: Path
) -> None:
    path = tmp_path / "big.zip"
    with path.open("wb") as out:
        for number in range(8):
            out.write(bytes([number]) * BLOCK)

    numbers, waiting, over = itertools.count(1), threading.Event(), threading.Event()

    def hold(request: Request) -> Reply | None:
        if request.method != "PUT" or next(numbers) <= 2:
            return None
        waiting.set()
        over.wait(PATIENCE)
        return Reply(reset=True)

    service.fault = hold
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, server.url, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until(lambda: waiting.is_set() and len(service.puts) == 2)
    process.send_signal(signal.SIGINT)
    over.set()
    _, errors = process.communicate(timeout=120)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in errors
    assert service.committed == {}
    there = set(service.uncommitted["id-0"])
    assert len(there) == 2
    service.fault = lambda request: None
    service.puts.clear()
    upload_dataset(speech, path, kind="Acoustic", locale="en-US", display_name="big", fingerprint="f" * 64)
    assert set(service.puts) == set(service.committed["id-0"]) - there


@pytest.mark.parametrize("answer", [Reply(503, None, {"Retry-After": "110"}), Reply(silent=True)], ids=["pausing", "silence"])
def test_ctrl_c_does_not_wait_for_a_service_that_is_away(
    server: ScriptedServer, service: BlockService, tmp_path: Path, answer: Reply
) -> None:
    path = tmp_path / "big.zip"
    with path.open("wb") as out:
        out.truncate(4 * BLOCK)
    service.fault = lambda request: answer if request.method == "PUT" else None
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, server.url, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until(lambda: sum(request.method == "PUT" for request in server.requests) >= 4)
    process.send_signal(signal.SIGINT)
    try:
        process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGINT


def test_ctrl_c_does_not_wait_for_blocks_on_a_slow_line(server: ScriptedServer, service: BlockService, tmp_path: Path) -> None:
    path = tmp_path / "big.zip"
    with path.open("wb") as out:
        out.truncate(4 * BLOCK)
    server.read_pause = 0.1  # a block takes 13 s
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, server.url, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    until(lambda: server.received >= 2**20)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == -signal.SIGINT
    assert service.puts == []

"""The client on the real offline service while the service misbehaves: whatever is lost, nothing is made twice."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from speech_mlflow.emulator.faults import Fault
from speech_mlflow.errors import ServiceError
from speech_mlflow.service import SpeechClient, Timing
from speech_mlflow.service.upload import upload_dataset
from tests.fixtures.emulator import RunningEmulator

FASTER = 50  # pauses are that much shorter than in earnest

Start = Callable[..., RunningEmulator]


@pytest.fixture(scope="module")
def service(emulator_factory: Start) -> RunningEmulator:
    return emulator_factory()


@pytest.fixture
def speech(service: RunningEmulator) -> Iterator[SpeechClient]:
    assert service.faults is not None
    service.faults.clear()
    timing = Timing(sleep=lambda seconds: time.sleep(seconds / FASTER))
    with SpeechClient(service.url, service.key, resource=service.resource, timing=timing) as speech:
        for one in list(speech.projects.list()):
            speech.projects.delete(one)
        yield speech
    service.faults.clear()


def disturb(service: RunningEmulator, *faults: Fault) -> None:
    assert service.faults is not None
    for fault in faults:
        service.faults.add(fault)


LOST_CREATES = {
    "lost after the work": (Fault("lost", "POST"),),
    "cut in the answer": (Fault("truncate", "POST", after_bytes=20),),
    "a page instead of the answer": (Fault("body", "POST", body=b"<html>welcome</html>"),),
    "before any work": (Fault("reset", "POST"),),
    "503 before any work": (Fault("status", "POST", status=503, headers={"Retry-After": "1"}),),
    "429 before any work": (Fault("status", "POST", status=429, headers={"Retry-After": "1"}),),
    "lost, and a list that lags": (Fault("lost", "POST"), Fault("stale-list", "GET", times=None, seconds=0.1)),
    "lost, and a list that fails": (Fault("lost", "POST"), Fault("status", "GET", r"/projects$", times=2, status=502)),
}


@pytest.mark.parametrize("name", LOST_CREATES)
def test_a_project_is_made_once(speech: SpeechClient, service: RunningEmulator, name: str) -> None:
    disturb(service, *LOST_CREATES[name])
    made = speech.projects.create(display_name="wanted", locale="en-US")
    assert service.faults is not None
    service.faults.clear()
    assert [one.id for one in speech.projects.list()] == [made.id]


READS = {
    "reset": Fault("reset", "GET", times=3),
    "cut": Fault("truncate", "GET", after_bytes=30, times=2),
    "byte by byte": Fault("slice", "GET"),
    "late": Fault("delay", "GET", seconds=0.3),
    "busy": Fault("status", "GET", times=4, status=503, headers={"Retry-After": "2"}),
    "not even an error": Fault("status", "GET", times=2, status=500, body=b""),
}


@pytest.mark.parametrize("name", READS)
def test_a_read_succeeds_in_the_end(speech: SpeechClient, service: RunningEmulator, name: str) -> None:
    made = speech.projects.create(display_name="wanted", locale="en-US")
    disturb(service, READS[name])
    assert speech.projects.get(made).display_name == "wanted"


@pytest.mark.parametrize("kind", ["reset", "lost"])
def test_changes_and_deletions_are_sent_again(speech: SpeechClient, service: RunningEmulator, kind: Any) -> None:
    made = speech.projects.create(display_name="wanted", locale="en-US")
    disturb(service, Fault(kind, "PATCH", times=2), Fault(kind, "DELETE", times=2))
    assert speech.projects.update(made, description="changed").description == "changed"
    speech.projects.delete(made)
    assert list(speech.projects.list()) == []


def test_what_does_not_get_better_is_an_error_of_ours(speech: SpeechClient, service: RunningEmulator) -> None:
    disturb(service, Fault("body", "GET", times=None, body=b"<html>login</html>"))
    with pytest.raises(ServiceError):
        list(speech.projects.list())


UPLOADS = {
    "creates and blocks that are lost": (Fault("lost", "POST"), Fault("lost", "PUT", times=2)),
    "a create that happens twice": (Fault("duplicate", "POST", r"/datasets$"),),
    "a commit that is lost": (Fault("lost", "POST", "commit$"),),
    "a commit that happens twice": (Fault("duplicate", "POST", "commit$"),),
    "a busy service": (Fault("status", None, times=5, status=429, headers={"Retry-After": "1"}),),
}


@pytest.mark.parametrize("name", UPLOADS)
def test_an_upload_makes_one_data_set(speech: SpeechClient, service: RunningEmulator, tmp_path: Path, name: str) -> None:
    path = tmp_path / "text.txt"
    path.write_text("\ufeffTake one tablet daily.\nCall the ward tomorrow.\n", encoding="utf-8")
    fingerprint = name.encode().hex().ljust(64, "0")[:64]
    disturb(service, *UPLOADS[name])
    dataset = upload_dataset(speech, path, kind="Language", locale="en-US", display_name=name, fingerprint=fingerprint)
    assert dataset.properties is not None
    assert dataset.properties.accepted_line_count == 2
    there = [one for one in speech.datasets.list() if (one.custom_properties or {}).get("fingerprint") == fingerprint]
    assert [one.id for one in there] == [dataset.id]

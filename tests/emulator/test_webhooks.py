"""Web hooks against a real receiver: challenge, signature, events, ping, test, retries."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import http.server
import json
import socket
import threading
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest

from tests.emulator.conftest import create, error_of, id_of, upload
from tests.fixtures.emulator import RunningEmulator, StartEmulator
from tests.waiting import PATIENCE, until


class Receiver:
    """A receiver that keeps what it gets.

    ``refuse`` is the number of notifications that it answers with 500; it answers nothing while ``open`` is not set.
    """

    def __init__(self) -> None:
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                event = self.headers["X-MicrosoftSpeechServices-Event"]
                signature = self.headers.get("X-MicrosoftSpeechServices-Signature")
                outer.got.append({"event": event, "body": body, "signature": signature, "query": query})
                outer.open.wait(60)
                answer, status = b"", 200
                if event == "Challenge":
                    answer = query["validationToken"][0].encode() if outer.honest else b"no"
                elif outer.refuse:
                    outer.refuse -= 1
                    status = 500
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: Any) -> None:
                pass

        self.honest, self.refuse = True, 0
        self.open = threading.Event()
        self.open.set()
        self.got: list[dict[str, Any]] = []
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?mine=1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def events(self) -> list[str]:
        return [item["event"] for item in self.got]

    def wait_for(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        until(lambda: self.events().count(event) >= count)
        return [item for item in self.got if item["event"] == event]


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    started = Receiver()
    yield started
    started.open.set()
    started.server.shutdown()
    started.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


@pytest.fixture(scope="module")
def service(emulator_factory: StartEmulator) -> Iterator[RunningEmulator]:
    started = emulator_factory()
    yield started
    started.stop()


def register(service: RunningEmulator, receiver: Receiver, *events: str, **body: Any) -> dict[str, Any]:
    hook = create(service, "/webhooks", webUrl=receiver.url, events=dict.fromkeys(events, True), **body)
    assert hook["status"] == "NotStarted"
    return service.wait(hook)


def signed(secret: str, payload: bytes) -> str:
    return base64.b64encode(hmac.new(secret.encode(), payload, hashlib.sha256).digest()).decode()


def test_events_are_signed_and_sent_once_the_challenge_is_answered(service: RunningEmulator, receiver: Receiver) -> None:
    hook = register(service, receiver, "datasetCreation", "datasetCompletion", properties={"secret": "s3cret"})
    assert hook["status"] == "Succeeded"
    assert hook["properties"] == {"apiVersion": "2025-10-15"}  # the secret is not shown
    (challenge,) = receiver.wait_for("Challenge")
    assert challenge["query"]["mine"] == ["1"]
    assert challenge["signature"] == signed("s3cret", challenge["query"]["validationToken"][0].encode())

    dataset = upload(service, "Language", "one sentence\n")
    (created,), (completed,) = receiver.wait_for("DatasetCreation"), receiver.wait_for("DatasetCompletion")
    for item in (created, completed):
        assert item["signature"] == signed("s3cret", item["body"])
        assert json.loads(item["body"])["self"] == dataset["self"]
    assert json.loads(created["body"])["invocationId"] != json.loads(completed["body"])["invocationId"]
    assert "DatasetProcessing" not in receiver.events()
    service.api.delete(f"/webhooks/{id_of(hook)}")


def test_a_failed_entity_is_completed_too_and_a_deleted_one_is_told(service: RunningEmulator, receiver: Receiver) -> None:
    hook = register(service, receiver, "datasetProcessing", "datasetCompletion", "datasetDeletion")
    failed = upload(service, "Language", "aaaa\n")
    assert failed["status"] == "Failed"
    receiver.wait_for("DatasetProcessing")
    (item,) = receiver.wait_for("DatasetCompletion")
    assert item["signature"] is None  # no secret
    service.api.delete(f"/datasets/{id_of(failed)}")
    receiver.wait_for("DatasetDeletion")
    service.api.delete(f"/webhooks/{id_of(hook)}")


def test_a_receiver_that_fails_is_tried_again(service: RunningEmulator, receiver: Receiver) -> None:
    hook = register(service, receiver, "datasetCreation")
    receiver.refuse = 1
    create(service, "/datasets", kind="Language")
    first, second = receiver.wait_for("DatasetCreation", 2)
    assert first["body"] == second["body"]
    service.api.delete(f"/webhooks/{id_of(hook)}")


def test_ping_and_test(service: RunningEmulator, receiver: Receiver) -> None:
    hook = register(service, receiver, "modelCompletion", "ping")
    path = f"/webhooks/{id_of(hook)}"
    assert service.api.post(f"{path}:test").status_code == 204  # nothing has happened
    assert service.api.post(f"{path}:ping").status_code == 202
    (ping,) = receiver.wait_for("Ping")
    assert json.loads(ping["body"])["self"] == hook["self"]
    service.api.patch(path, json={"events": {"datasetCreation": True}})
    dataset = create(service, "/datasets", kind="Language")
    receiver.wait_for("DatasetCreation")
    assert service.api.post(f"{path}:test").status_code == 202
    again = receiver.wait_for("DatasetCreation", 2)
    assert json.loads(again[1]["body"])["self"] == dataset["self"]
    service.api.delete(path)
    assert service.api.post(f"{path}:ping").status_code == 404


def test_a_challenge_that_is_not_answered_leaves_the_hook_unusable(service: RunningEmulator, receiver: Receiver) -> None:
    receiver.honest = False
    hook = create(service, "/webhooks", webUrl=receiver.url, events={"datasetCreation": True})
    path = f"/webhooks/{id_of(hook)}"
    error_of(service.api.post(f"{path}:ping"), 409, "Conflict", "InvalidPrerequisite")
    create(service, "/datasets", kind="Language")
    receiver.wait_for("Challenge", 2)  # tried again
    receiver.honest = True
    done = service.wait(hook)
    assert done["status"] == "Succeeded"
    assert "DatasetCreation" not in receiver.events()
    service.api.delete(path)


def test_another_url_needs_another_challenge_and_a_secret_can_be_taken_back(
    service: RunningEmulator, receiver: Receiver
) -> None:
    hook = register(service, receiver, "datasetCreation", properties={"secret": "s"})
    path = f"/webhooks/{id_of(hook)}"
    moved = service.api.patch(path, json={"webUrl": receiver.url + "&moved=1", "properties": {"secret": ""}}).json()
    assert moved["status"] == "NotStarted"
    assert service.wait(moved)["status"] == "Succeeded"
    challenge = receiver.wait_for("Challenge", 2)[1]
    assert (challenge["query"]["moved"], challenge["signature"]) == (["1"], None)
    service.api.delete(path)


@pytest.mark.parametrize(
    ("events", "inner"),
    [
        ({}, "InvalidWebHookEventKind"),
        ({"datasetBirth": True}, "InvalidWebHookEventKind"),
        ({"ping": False}, "InvalidWebHookEventKind"),
        ({"ping": "yes"}, "InvalidPayload"),
    ],
)
def test_events_that_are_none(service: RunningEmulator, events: dict[str, Any], inner: str) -> None:
    body = {"displayName": "a", "webUrl": "http://127.0.0.1:9/", "events": events}
    error_of(service.api.post("/webhooks", json=body), 400, "InvalidRequest", inner)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://", "http://[a", "http://a:port/", "http://a b/"])
def test_a_url_that_is_none(service: RunningEmulator, url: str) -> None:
    body = {"displayName": "a", "webUrl": url, "events": {"ping": True}}
    error_of(service.api.post("/webhooks", json=body), 400, "InvalidRequest", "InvalidPayload")


def test_a_receiver_that_talks_nonsense_stops_nobody_else(service: RunningEmulator, receiver: Receiver) -> None:
    def answer() -> None:
        with contextlib.suppress(OSError):  # the end of the test
            while True:
                with listener.accept()[0] as connection:
                    connection.recv(65536)
                    connection.sendall(b"nonsense\r\n\r\n")
                    spoken.set()

    spoken = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=answer, daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        other = create(service, "/webhooks", webUrl=url, events={"datasetCreation": True})
        assert spoken.wait(PATIENCE)
        hook = register(service, receiver, "datasetCreation")
        create(service, "/datasets", kind="Language")
        receiver.wait_for("DatasetCreation")
        for made in (other, hook):
            service.api.delete(f"/webhooks/{id_of(made)}")
        listener.shutdown(socket.SHUT_RDWR)


def test_a_receiver_that_hangs_delays_nobody_else(service: RunningEmulator, receiver: Receiver) -> None:
    with receiving() as other:
        hanging, hook = register(service, other, "datasetCreation"), register(service, receiver, "datasetCreation")
        other.open.clear()
        create(service, "/datasets", kind="Language")
        other.wait_for("DatasetCreation")
        receiver.wait_for("DatasetCreation")
        assert other.events().count("DatasetCreation") == 1  # still held: nobody gave up on it first
        for made in (hanging, hook):
            service.api.delete(f"/webhooks/{id_of(made)}")


def test_an_answer_for_the_url_before_says_nothing_about_the_new_one(service: RunningEmulator, receiver: Receiver) -> None:
    with receiving() as before:
        before.open.clear()
        receiver.open.clear()
        hook = create(service, "/webhooks", webUrl=before.url, events={"datasetCreation": True})
        path = f"/webhooks/{id_of(hook)}"
        before.wait_for("Challenge")
        service.api.patch(path, json={"webUrl": receiver.url})
        before.open.set()
        receiver.wait_for("Challenge")  # the one before has been dealt with
        assert service.follow(hook["self"])["status"] == "NotStarted"
        receiver.open.set()
        assert service.wait(hook)["status"] == "Succeeded"
        service.api.delete(path)


def test_an_event_that_is_tried_again_does_not_go_to_a_url_that_has_not_answered(
    service: RunningEmulator, receiver: Receiver
) -> None:
    with receiving() as before:
        hook = register(service, before, "datasetCreation")
        before.refuse = 100
        create(service, "/datasets", kind="Language")
        before.wait_for("DatasetCreation")
        receiver.honest = False
        path = f"/webhooks/{id_of(hook)}"
        service.api.patch(path, json={"webUrl": receiver.url})
        receiver.wait_for("Challenge", 3)  # by then the event is due as well
        assert "DatasetCreation" not in receiver.events()
        service.api.delete(path)

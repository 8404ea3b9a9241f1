"""The receiver on a real socket: who is let in, what a call sets off, and what it can never do."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import httpx
import pytest
from pydantic import SecretStr

from speech_mlflow.emulator.webhooks import sign
from speech_mlflow.errors import SettingsError
from speech_mlflow.promotion import listening as server
from speech_mlflow.promotion.controller import Controller
from speech_mlflow.promotion.counts import Metric
from speech_mlflow.promotion.options import Options
from speech_mlflow.promotion.receiver import MOST_BYTES, Receiver
from speech_mlflow.promotion.signatures import signed_headers
from speech_mlflow.promotion.target import Target
from speech_mlflow.promotion.wake import Waker
from tests.promotion.world import NAME, World, versions_served
from tests.waiting import until

SECRET = "a shared secret"
CANARY = SecretStr(SECRET)


@dataclass
class Told:
    """Who is woken, for tests of the receiver alone."""

    woken: list[str | None] = field(default_factory=list)
    all: int = 0
    wrong: list[str] = field(default_factory=list)

    def wake(self, name: str | None = None) -> None:
        self.woken.append(name)

    def wake_all(self) -> None:
        self.all += 1

    def stuck(self) -> str | None:
        return self.wrong[0] if "stuck" in self.wrong else None

    def problems(self) -> list[str]:
        return self.wrong

    def metrics(self) -> list[Metric]:
        return [Metric("models", "gauge", "Models.", [("", {}, 7)])]


@dataclass
class Ears:
    """A receiver that listens, and a caller who knows the secret."""

    url: str
    told: Told
    client: httpx.Client

    def call(
        self, body: object, *, secret: str = SECRET, delivery_id: str | None = None, seconds: int | None = None
    ) -> httpx.Response:
        """A webhook of MLflow's."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        stamp = int(time.time()) if seconds is None else seconds
        headers = signed_headers(secret, delivery_id or uuid.uuid4().hex, stamp, content)
        return self.client.post(f"{self.url}/mlflow", content=content, headers=headers)

    def speech(self, event: str, body: bytes = b"{}", *, secret: str = SECRET, query: str = "") -> httpx.Response:
        """A web hook of the speech service's."""
        signed = query.partition("=")[2].encode() if query else body
        headers = {
            "X-MicrosoftSpeechServices-Event": event,
            "X-MicrosoftSpeechServices-Signature": sign(secret, signed),
        }
        return self.client.post(f"{self.url}/speech{'?' + query if query else ''}", content=body, headers=headers)


@contextmanager
def ears(controller: Controller | Told, *secrets: str) -> Iterator[Ears]:
    receiver = Receiver(controller, [SecretStr(one) for one in secrets or (SECRET,)])
    with server.listening(receiver.app(), "127.0.0.1:0") as url, httpx.Client(trust_env=False) as client:
        yield Ears(url, controller if isinstance(controller, Told) else Told(), client)


@pytest.fixture
def heard() -> Iterator[Ears]:
    with ears(Told()) as one:
        yield one


def about(name: object, entity: str = "model_version_alias") -> dict[str, object]:
    return {"entity": entity, "action": "created", "timestamp": "2026-01-01T00:00:00Z", "data": {"name": name}}


# --- who is let in -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secrets", [[], [""], ["good", ""]])
def test_without_a_secret_it_does_not_start(secrets: list[str]) -> None:
    with pytest.raises(SettingsError, match="needs a secret"):
        Receiver(Told(), [SecretStr(one) for one in secrets])


def test_a_signed_call_wakes_for_the_model_it_names(heard: Ears) -> None:
    assert heard.call(about("clinic")).status_code == 202
    assert heard.told.woken == ["clinic"]


def test_a_forged_call_does_nothing_and_learns_nothing(heard: Ears, caplog: pytest.LogCaptureFixture) -> None:
    body = json.dumps(about("clinic")).encode()
    good = signed_headers(SECRET, "an-id", int(time.time()), body)
    answers = [
        heard.call(about("clinic"), secret="another"),
        heard.call(about("clinic"), seconds=int(time.time()) - 1000),
        heard.call(about("clinic"), seconds=int(time.time()) + 1000),
        heard.client.post(f"{heard.url}/mlflow", content=body),
        heard.client.post(f"{heard.url}/mlflow", content=body + b" ", headers=good),
        heard.client.post(f"{heard.url}/mlflow", content=body, headers=[*good.items(), *good.items()]),
        heard.speech("EndpointDeletion", secret="another"),
        heard.speech("Challenge", secret="another", query="validationToken=reflect-me"),
    ]
    assert {one.status_code for one in answers} == {401}
    assert len({one.text for one in answers}) == 1
    assert heard.told.woken == []
    assert heard.told.all == 0
    assert len([one for one in caplog.records if one.levelno >= logging.WARNING]) == 1  # a flood fills no disk
    assert SECRET not in caplog.text


def test_a_replay_is_answered_and_ignored(heard: Ears) -> None:
    assert [heard.call(about("clinic"), delivery_id="one").status_code for _ in range(20)] == [202] * 20
    assert heard.told.woken == ["clinic"]
    body = b'{"self": "x", "invocationId": "1"}'
    assert [heard.speech("EndpointDeletion", body).status_code for _ in range(3)] == [202] * 3
    assert heard.told.all == 1


@pytest.mark.parametrize(
    ("body", "woken"),
    [
        (about("clinic", "model_version_tag"), ["clinic"]),
        (about("a model's name with 256 characters".ljust(256, "x")), ["a model's name with 256 characters".ljust(256, "x")]),
        (about("x" * 257), [None]),
        (about(["clinic"]), [None]),
        (about(None), [None]),
        ({"entity": "registered_model", "data": "clinic"}, [None]),
        (about("clinic", "prompt"), []),
        ({"entity": ["registered_model"]}, []),
        (about("clinic", "budget_policy"), []),
        ([], []),
        (b"", []),
        (b"\xff\xfe", []),
        (b"[" * 200_000, []),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_signed_call_that_says_nonsense_breaks_nothing(heard: Ears, body: object, woken: list[str | None]) -> None:
    assert heard.call(body).status_code == 202
    assert heard.told.woken == woken


def test_the_old_secret_is_taken_as_long_as_it_is_named() -> None:
    with ears(Told(), "the new one", "the old one") as heard:
        assert [heard.call(about("a"), secret=one).status_code for one in ("the new one", "the old one", "older")] == [
            202,
            202,
            401,
        ]


def test_long_bodies_are_refused(heard: Ears) -> None:
    assert heard.call(b"x" * MOST_BYTES).status_code == 202
    assert heard.call(b"x" * (MOST_BYTES + 1)).status_code == 413

    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            yield b"x" * 65536

    try:
        status = heard.client.post(f"{heard.url}/mlflow", content=endless()).status_code
    except httpx.TransportError:  # it hung up before all was sent
        status = 413
    assert status == 413
    assert heard.told.woken == []


def test_slow_callers_are_hung_up_on_and_hold_nobody_up(heard: Ears, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTION_SECONDS", 1.0)
    host, port = heard.url.removeprefix("http://").split(":")
    slow = [socket.create_connection((host, int(port))) for _ in range(20)]
    for number, one in enumerate(slow):
        one.settimeout(30)
        one.sendall(b"POST /mlflow HTTP/1.1\r\nHost: x\r\n" if number % 2 else b"")
    until(lambda: answered(heard) == 202)
    for one in slow:
        with suppress(ConnectionResetError):
            assert one.recv(1) == b""
        one.close()


def answered(heard: Ears) -> int | None:
    """The status of a good call, None where it was too slow itself: the machine may be busy."""
    try:
        return heard.call(about("clinic")).status_code
    except httpx.TransportError:
        return None


def test_other_ways_in_are_closed(heard: Ears) -> None:
    assert heard.client.get(f"{heard.url}/mlflow").status_code == 405
    assert heard.client.post(f"{heard.url}/healthz").status_code == 405
    assert heard.client.get(f"{heard.url}/").status_code == 404


@pytest.mark.parametrize("address", ["8765", "127.0.0.1", "127.0.0.1:", ":8765", "127.0.0.1:99999", "127.0.0.1:http"])
def test_an_address_that_is_none_is_named(address: str) -> None:
    with pytest.raises(SettingsError, match="is no HOST:PORT"):
        server.parse_address(address)


def test_a_port_that_is_taken_is_named(heard: Ears) -> None:
    with pytest.raises(SettingsError, match="cannot listen"), server.listening(Receiver(Told(), [CANARY]).app(), heard.url[7:]):
        pass


# --- the speech service ---------------------------------------------------------------------------------------------------


def test_the_services_challenge_is_met_and_its_events_are_heard(heard: Ears, world: World) -> None:
    hook = world.speech.webhooks.create(
        display_name="controller", web_url=f"{heard.url}/speech", events=["endpointCompletion", "ping"], secret=SECRET
    )
    hook = world.speech.wait(hook)
    assert hook.status == "Succeeded"
    world.register()
    world.move("1")
    world.apply()
    until(lambda: heard.told.all == 1)
    world.speech.webhooks.delete(hook.id)


def test_a_token_that_is_no_token_is_not_given_back(heard: Ears) -> None:
    assert heard.speech("Challenge", query="validationToken=abc").text == "abc"
    assert heard.speech("Challenge", query="validationToken=<script>").status_code in {400, 401}
    assert heard.speech("Challenge", query="validationToken=" + "a" * 600).status_code == 400


# --- how it does ---------------------------------------------------------------------------------------------------------


def test_health_and_metrics(heard: Ears) -> None:
    assert heard.client.get(f"{heard.url}/readyz").json() == {"status": "ok", "problems": []}
    heard.told.wrong.append("MLflow was not read for 61 s")
    ready = heard.client.get(f"{heard.url}/readyz")
    assert (ready.status_code, ready.json()["problems"]) == (503, ["MLflow was not read for 61 s"])
    assert heard.client.get(f"{heard.url}/healthz").status_code == 200
    heard.told.wrong[:] = ["stuck"]
    assert heard.client.get(f"{heard.url}/healthz").status_code == 503
    heard.call(about("clinic"))
    heard.call(about("clinic"), secret="another")
    found = heard.client.get(f"{heard.url}/metrics")
    assert found.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'speech_mlflow_receiver_calls_total{from="mlflow",outcome="taken"} 1' in found.text
    assert 'speech_mlflow_receiver_calls_total{from="mlflow",outcome="unsigned"} 1' in found.text
    assert "speech_mlflow_models 7" in found.text
    assert SECRET not in found.text


# --- a wake from another process ---------------------------------------------------------------------------------------------


def test_a_wake_is_taken_and_a_receiver_that_is_not_there_costs_nothing(heard: Ears) -> None:
    waker = Waker(heard.url, CANARY)
    waker.wake("clinic", "stage_changed")
    until(lambda: heard.told.woken == ["clinic"])
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        gone = Waker(f"http://127.0.0.1:{nobody.getsockname()[1]}", CANARY, timeout=0.2)
        for number in range(5000):
            gone.wake(f"model {number}", "stage_changed")
        assert len(gone._waiting) <= 1000
    for url in ("file:///etc/passwd", "http://controller:99999"):
        with pytest.raises(SettingsError, match="no http"):
            Waker(url, CANARY)


# --- what a call can do to the world -------------------------------------------------------------------------------------------


@contextmanager
def controlled(world: World) -> Iterator[Ears]:
    """A controller that looks only when it is woken, with its receiver."""
    options = Options(who="watch", on_event=world.events.append, look_after=(0.0, 0.2))
    with world.service.connect() as speech:
        controller = Controller(
            speech, world.client, lambda name: Target(), poll_seconds=3600, resync_seconds=3600, options=options
        )
        thread = threading.Thread(target=controller.run)
        thread.start()
        try:
            with ears(controller) as heard:
                until(lambda: controller.counts.resyncs > 0)
                yield heard
        finally:
            controller.stop()
            thread.join(30)


def served(world: World, version: str) -> Callable[[], bool]:
    return lambda: (
        world.tag("speech.served_version") == version and all(run.data.tags["speech.open"] == "false" for run in world.runs())
    )


def test_a_call_deploys_what_the_registry_says_once_and_never_what_it_says_itself(world: World) -> None:
    world.register()
    with controlled(world) as heard:
        world.move("1")
        assert heard.call(about(NAME), delivery_id="first").status_code == 202
        until(served(world, "1"))
        # replayed, forged, and signed lies: another version, another model, other people's
        for _ in range(10):
            assert heard.call(about(NAME), delivery_id="first").status_code == 202
            assert heard.call(about(NAME), secret="forged").status_code == 401
        lie = {"name": NAME, "version": "3", "alias": "production", "key": "speech.served_version", "value": "3"}
        assert heard.call({**about(NAME), "data": lie}).status_code == 202
        assert heard.call(about("example_model")).status_code == 202
        assert heard.speech("EndpointDeletion", b'{"self": "x"}').status_code == 202
        # what comes after all of it was heard shows that nothing came of it
        world.move("2")
        assert heard.call(about(NAME)).status_code == 202
        until(served(world, "2"))
        assert [event.kind for event in world.events if event.kind not in {"idle", "served"}] == []
    versions_served(world, "2")
    assert world.results() == ["served", "served"]
    assert len(list(world.speech.endpoints.list())) == 1


def test_the_services_own_event_heals_drift_at_once(world: World) -> None:
    world.register()
    world.move("1")
    world.apply()
    with controlled(world) as heard:
        world.speech.endpoints.delete(world.endpoint().id)
        assert heard.speech("EndpointDeletion", b'{"self": "x", "invocationId": "2"}').status_code == 202
        until(lambda: len(world.results()) == 2 and served(world, "1")())
    versions_served(world, "1")

"""Events over HTTP: what arrives at a real sink, that nothing is lost, and that a sink that is down holds nothing up."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.server
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr

from speech_mlflow.errors import SettingsError
from speech_mlflow.promotion import cloudevents
from speech_mlflow.promotion.cloudevents import Outbox
from speech_mlflow.promotion.controller import Controller
from speech_mlflow.promotion.events import PromotionEvent
from speech_mlflow.promotion.options import Options
from speech_mlflow.promotion.target import Target
from tests.promotion.world import World, versions_served

SECRET = "canary-events-secret"


@dataclass
class Sink:
    """An HTTP server that keeps what it is sent; ``answers`` are the statuses of the next answers, then 204."""

    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.got]


@pytest.fixture
def sink() -> Iterator[Sink]:
    kept = Sink()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(kept.answers.pop(0) if kept.answers else 204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        kept.url = f"http://127.0.0.1:{server.server_address[1]}/hook?team=a"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield kept
        server.shutdown()
        thread.join()


@pytest.fixture
def configured(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sink]:
    """The sink is that of the settings of this process."""
    monkeypatch.setenv("SPEECH_MLFLOW_EVENTS_URL", sink.url)
    monkeypatch.setenv("SPEECH_MLFLOW_EVENTS_SECRET", SECRET)
    cloudevents.outbox.cache_clear()
    yield sink
    if (box := _box()) is not None:
        box.close()
    cloudevents.outbox.cache_clear()


def _box() -> Outbox | None:
    try:
        return cloudevents.outbox()
    except SettingsError:
        return None


def flushed() -> bool:
    box = _box()
    return box is not None and box.flush(120)


def event(number: int = 1) -> PromotionEvent:
    return PromotionEvent("rolled back", "clinic", "default", "it fell over", "2", "e", "r", id=f"run{number}.rolled-back")


def test_an_event_is_a_signed_cloudevent(sink: Sink) -> None:
    Outbox(sink.url, SecretStr(SECRET)).send(event())
    ((headers, body),) = sink.got
    told = json.loads(body)
    assert headers["content-type"] == "application/cloudevents+json"
    assert {key: told[key] for key in ("specversion", "id", "source", "type", "subject")} == {
        "specversion": "1.0",
        "id": "run1.rolled-back",
        "source": "speech-mlflow",
        "type": "speech-mlflow.promotion.rolled_back",
        "subject": "clinic/default",
    }
    assert told["data"]["reason"] == "it fell over"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"
    assert abs(time.time() - int(headers["webhook-timestamp"])) < 60


@pytest.mark.parametrize(
    ("url", "secret"),
    [("ftp://sink", SECRET), ("sink", SECRET), ("http://sink:port", SECRET), ("http://sink", ""), ("http://sink", None)],
)
def test_no_events_are_sent_unsigned_or_to_no_url(url: str, secret: str | None) -> None:
    with pytest.raises(SettingsError, match="events_"):
        Outbox(url, SecretStr(secret) if secret is not None else None)


def test_an_event_that_the_sink_refuses_holds_no_other_up(sink: Sink) -> None:
    sink.answers = [400]
    box = Outbox(sink.url, SecretStr(SECRET), first_pause=0.05)
    with box._lock:  # both are there before the first one is sent
        box.put(event(1))
        box.put(event(2))
    assert box.flush(120)
    assert [told["id"] for told in sink.documents] == ["run1.rolled-back", "run2.rolled-back", "run1.rolled-back"]


def test_events_are_sent_again_in_order_until_they_are_taken(sink: Sink, caplog: pytest.LogCaptureFixture) -> None:
    sink.answers = [500, 503]
    box, noted = Outbox(sink.url, SecretStr(SECRET), first_pause=0.05), []
    for number in (1, 2, 2):
        box.put(event(number), lambda number=number: noted.append(number))
    assert box.flush(120)
    assert [told["id"] for told in sink.documents] == ["run1.rolled-back"] * 3 + ["run2.rolled-back"]
    assert noted == [1, 2]
    assert "503" in caplog.text
    assert SECRET not in caplog.text + repr(vars(box))


def test_a_promotion_is_told_to_the_sink_and_the_run_knows(world: World, configured: Sink) -> None:
    world.register()
    world.move("1")
    applied = world.apply()
    assert flushed()
    (told,) = configured.documents
    assert (told["type"], told["data"]["version"]) == ("speech-mlflow.promotion.served", "1")
    assert told["data"]["run_id"] == applied.run_id
    assert world.runs()[-1].data.tags["speech.event"] == "sent"


def test_a_sink_that_is_down_holds_up_nothing_and_misses_nothing(
    world: World, configured: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.register()
    monkeypatch.setenv("SPEECH_MLFLOW_EVENTS_URL", "http://127.0.0.1:9/nobody")
    cloudevents.outbox.cache_clear()
    for version in ("1", "2"):
        world.move(version)
        assert world.apply().result == "served"
    versions_served(world, "2")
    assert [run.data.tags["speech.event"] for run in world.runs()] == ["sending", "sending"]
    assert configured.got == []
    down = _box()
    assert down is not None
    down.close()
    # another process, with the sink there again
    monkeypatch.setenv("SPEECH_MLFLOW_EVENTS_URL", configured.url)
    cloudevents.outbox.cache_clear()
    heard: list[PromotionEvent] = []
    controller = Controller(
        world.speech,
        world.client,
        lambda name: Target(),
        options=Options(on_event=lambda event: _end(controller, heard, event)),
    )
    controller.run()
    assert flushed()
    assert [told["data"]["version"] for told in configured.documents] == ["1", "2"]
    assert [run.data.tags["speech.event"] for run in world.runs()] == ["sent", "sent"]
    assert cloudevents.resend(world.client) == 0


def test_an_event_lost_by_a_crash_is_told_with_the_same_id(world: World, configured: Sink) -> None:
    world.register()
    world.move("1")
    world.apply()
    assert flushed()
    run = world.runs()[-1]
    world.client.set_tag(run.info.run_id, "speech.open", "true")  # killed after it was closed, before it was told
    world.client.delete_tag(run.info.run_id, "speech.event")
    assert world.apply().result == "unchanged"
    assert flushed()
    first, again = configured.documents
    assert first["id"] == again["id"]
    assert first["time"] == again["time"]
    assert world.runs()[-1].data.tags["speech.open"] == "false"


def test_settings_that_would_send_unsigned_events_end_the_controller_and_no_promotion(
    world: World, configured: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    from speech_mlflow.promotion.controller import watch

    monkeypatch.delenv("SPEECH_MLFLOW_EVENTS_SECRET")
    cloudevents.outbox.cache_clear()
    with pytest.raises(SettingsError, match="events_secret"):
        watch(world.speech, world.client)
    world.register()
    world.move("1")
    assert world.apply().result == "served"
    assert configured.got == []


def _end(controller: Controller, heard: list[PromotionEvent], event: PromotionEvent) -> None:
    heard.append(event)
    if event.kind == "idle":
        controller.stop()

"""Messages posted to a real socket, by events as the promotion makes them."""

from __future__ import annotations

import http.server
import json
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pytest
import speech_mlflow_notify as plugin
from pydantic import SecretStr

from speech_mlflow.promotion.events import EventKind, PromotionEvent

PATH = "/hook/canary-4711"


@dataclass
class Channel:
    """A web hook that answers with the statuses given, then with 200, and keeps what was posted."""

    url: str = ""
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    posted: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def channel() -> Iterator[Channel]:
    made = Channel()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            made.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            status, headers = made.answers.pop(0) if made.answers else (200, {})
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_address[1]}{PATH}"
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (plugin.TEAMS, plugin.SLACK, plugin.EVENTS):
        monkeypatch.delenv(name, raising=False)


def event(kind: Any = "refused", reason: str = "WER <b>0.5</b> & rising") -> PromotionEvent:
    return PromotionEvent(kind, "clinic", "default", reason, version="2", endpoint_id="e-1", run_id="r-1")


def test_slack_hears_once_of_an_event_and_reads_no_markup(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugin.SLACK, channel.url)
    told = event()
    plugin.promotion_event(told)
    plugin.promotion_event(told)
    (message,) = channel.posted
    assert message["text"] == "clinic version 2: refused: WER &lt;b&gt;0.5&lt;/b&gt; &amp; rising"
    assert "endpoint: e-1\npromotion run: r-1" in message["blocks"][1]["elements"][0]["text"]


def test_teams_gets_a_card(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugin.TEAMS, channel.url)
    plugin.promotion_event(event("served", "version 2 is served"))
    (message,) = channel.posted
    (card,) = [attachment["content"] for attachment in message["attachments"]]
    texts = [run["text"] for block in card["body"][:2] for run in block["inlines"]]
    assert texts == ["clinic version 2: served", "version 2 is served"]
    assert card["body"][0]["inlines"][0]["color"] == "good"
    assert {"title": "endpoint", "value": "e-1"} in card["body"][2]["facts"]


def test_only_chosen_kinds_are_told(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(plugin.SLACK, channel.url)
    plugin.promotion_event(event("idle"))
    monkeypatch.setenv(plugin.EVENTS, "drift, idle")
    plugin.promotion_event(event("served"))
    plugin.promotion_event(event("idle", "nothing to do"))
    assert [message["text"] for message in channel.posted] == ["clinic version 2: idle: nothing to do"]


def test_the_readme_lists_the_kinds_that_are_told_by_default() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text("utf-8")
    listed = [kind.strip() for kind in readme.partition("The default is `")[2].partition("`")[0].split(",")]
    assert listed == [kind for kind in get_args(EventKind) if plugin.is_wanted(kind, {})]


def test_it_is_tried_again_and_waits_as_asked(channel: Channel) -> None:
    channel.answers = [(503, {}), (429, {"Retry-After": "2"})]
    pauses: list[float] = []
    plugin.post(SecretStr(channel.url), {"text": "x"}, sleep=pauses.append)
    assert len(channel.posted) == 3
    assert pauses == [1.0, 2.0]


@pytest.mark.parametrize(
    ("answers", "posts", "said"),
    [
        ([(503, {})] * 9, plugin.TRIES, "answered 503"),
        ([(404, {})], 1, "answered 404"),
        ([(429, {"Retry-After": "3600"})], 1, "answered 429"),
        ([(302, {"Location": "http://127.0.0.1:9/elsewhere"})], 1, "redirects"),
    ],
    ids=["broken", "gone", "throttled for an hour", "redirected"],
)
def test_what_cannot_be_posted_is_given_up(
    channel: Channel, answers: list[tuple[int, dict[str, str]]], posts: int, said: str
) -> None:
    channel.answers = list(answers)
    with pytest.raises(plugin.NotDelivered, match=said) as caught:
        plugin.post(SecretStr(channel.url), {"text": "x"}, sleep=lambda seconds: None)
    assert len(channel.posted) == posts
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://hooks.example.org/canary-4711", "https://[canary-4711", "http://127.0.0.1:9/canary-4711"]
)
def test_a_wrong_url_is_a_warning_without_the_url(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(plugin.SLACK, url)
    monkeypatch.setattr(plugin, "TRIES", 1)
    with caplog.at_level(logging.WARNING):
        plugin.promotion_event(event())
    assert "was not posted to NOTIFY_SLACK_URL" in caplog.text
    assert "canary" not in caplog.text


def test_one_channel_that_fails_does_not_keep_the_other_from_hearing(
    channel: Channel, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(plugin.TEAMS, "ftp://nowhere")
    monkeypatch.setenv(plugin.SLACK, channel.url)
    plugin.promotion_event(event())
    assert len(channel.posted) == 1
    assert "NOTIFY_TEAMS_URL" in caplog.text

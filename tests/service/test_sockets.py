"""Faults on the wire, on real sockets: slow, silent, cut, reset, sliced; and answers that are none."""

from __future__ import annotations

import time

import pytest

from speech_mlflow.errors import ApiError, NotFoundError, ServerError, TransportError, UnknownOutcomeError
from speech_mlflow.service import SpeechClient, Timing
from speech_mlflow.service.credentials import KeyCredential
from speech_mlflow.service.transport import ANSWER_MAX, Transport
from tests.service.conftest import JumpingClock
from tests.service.scripted import Reply, Request, ScriptedServer

ID = "11111111-2222-3333-4444-555555555555"
NAME = {"displayName": "e", "locale": "en-US"}


def entity(server: ScriptedServer, **more: object) -> dict[str, object]:
    return {"self": server.api(f"/endpoints/{ID}"), **NAME, "status": "Succeeded", **more}


@pytest.mark.parametrize(
    "fault",
    [Reply(reset=True), Reply(200, {"a": 1}, cut_at=20), Reply(200, {"a": "b" * 500}, cut_at=200), Reply(cut_at=0)],
    ids=["reset", "cut in the head", "cut in the body", "closed"],
)
def test_a_read_survives_one_fault(speech: SpeechClient, server: ScriptedServer, fault: Reply) -> None:
    server.script(fault, Reply(200, entity(server)))
    assert speech.endpoints.get(ID).display_name == "e"
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "reply",
    [
        Reply(200, slice_bytes=1),
        Reply(200, slice_bytes=100, pause=0.01),
        Reply(200, delay=0.3),
        Reply(200, close=True),
    ],
    ids=["byte by byte", "slow", "late", "closes after"],
)
def test_what_is_only_slow_is_waited_for(speech: SpeechClient, server: ScriptedServer, reply: Reply) -> None:
    body = entity(server, description="x" * 600)
    server.script(Reply(**{**vars(reply), "body": body}))
    assert speech.endpoints.get(ID).description == "x" * 600
    assert speech.endpoints.get(ID).id == ID
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "reply",
    [Reply(silent=True), Reply(200, "x" * 10_000, slice_bytes=20, pause=0.05)],
    ids=["never answers", "a few bytes now and then"],
)
def test_the_deadline_holds(server: ScriptedServer, reply: Reply) -> None:
    """Each read arrives in time, the answer as a whole does not."""
    server.script(reply)
    transport = Transport(server.url, KeyCredential("some-key"))
    started = time.monotonic()
    with pytest.raises(TransportError, match="did not answer in full"):
        transport.call("GET", "/endpoints/1", deadline=0.5)
    assert 0.4 < time.monotonic() - started < 10  # without the deadline it is 25 s and more
    transport.close()


def test_the_deadline_holds_while_an_error_is_read(server: ScriptedServer) -> None:
    server.script(Reply(404, "x" * 20_000, slice_bytes=20, pause=0.05))
    transport = Transport(server.url, KeyCredential("some-key"))
    started = time.monotonic()
    with pytest.raises(NotFoundError, match="xxx"):
        transport.call("GET", "/endpoints/1", deadline=2)
    assert time.monotonic() - started < 25  # without the deadline it is 50 s and more
    transport.close()


@pytest.mark.parametrize("body", [b"", b'{"code": "NotFo'], ids=["nothing", "a part"])
def test_an_error_whose_body_is_cut_is_the_error_that_its_status_says(
    speech: SpeechClient, server: ScriptedServer, clock: JumpingClock, body: bytes
) -> None:
    cut = {"Content-Length": "5000"}
    server.script(Reply(404, body, cut, close=True))
    with pytest.raises(NotFoundError):
        speech.endpoints.get(ID)
    server.script(Reply(429, body, {**cut, "Retry-After": "3"}, close=True), Reply(201, entity(server)))
    speech.endpoints.create(display_name="e", locale="en-US", model=ID)
    assert [request.method for request in server.requests] == ["GET", "POST", "POST"]
    assert clock.slept == [3.0]


def created_but_lost(server: ScriptedServer, fault: Reply) -> list[dict[str, object]]:
    """A service that makes what it is asked to make, and loses its first answer to ``fault``."""
    made: list[dict[str, object]] = []

    def handler(request: Request) -> Reply:
        if request.method == "POST":
            path = f"/endpoints/{ID[:-1]}{len(made)}"
            made.append({**request.json(), "self": server.api(path), "createdDateTime": f"2026-03-01T12:00:0{len(made)}Z"})
            return fault if len(made) == 1 else Reply(201, made[-1])
        return Reply(200, {"values": made})

    server.handler = handler
    return made


@pytest.mark.parametrize(
    "fault",
    [
        Reply(reset=True),
        Reply(201, {"self": "x"}, cut_at=60),
        Reply(504, b"<html><title>Gateway Timeout</title></html>"),
        Reply(500, {"code": "InternalServerError", "message": "oops"}),
        Reply(408),
    ],
    ids=["reset", "cut", "504", "500", "408"],
)
def test_a_create_whose_answer_is_lost_is_found_and_not_repeated(
    speech: SpeechClient, server: ScriptedServer, clock: JumpingClock, fault: Reply
) -> None:
    made = created_but_lost(server, fault)
    endpoint = speech.endpoints.create(display_name="e", locale="en-US", model=ID)
    assert endpoint.self_ == made[0]["self"]
    assert len(made) == 1
    assert clock.slept == [2.0]


def test_what_was_created_is_looked_for_where_its_location_cannot_be_read(speech: SpeechClient, server: ScriptedServer) -> None:
    made: list[dict[str, object]] = []

    def handler(request: Request) -> Reply:
        if request.method == "POST":
            made.append({**request.json(), "self": server.api(f"/endpoints/{ID}")})
            return Reply(201, None, {"Location": server.api(f"/endpoints/{ID}")})
        return Reply(200, {"values": made}) if request.path.endswith("/endpoints") else Reply(reset=True)

    server.handler = handler
    assert speech.endpoints.create(display_name="e", locale="en-US", model=ID).id == ID
    assert len(made) == 1


def test_a_namesake_is_not_taken_for_ours(speech: SpeechClient, server: ScriptedServer) -> None:
    posts = []

    def handler(request: Request) -> Reply:
        if request.method == "POST":
            posts.append(request.json())
            return Reply(500) if len(posts) == 1 else Reply(201, entity(server))
        return Reply(200, {"values": [entity(server, customProperties={"create-id": "somebody else's"})]})

    server.handler = handler
    speech.endpoints.create(display_name="e", locale="en-US", model=ID)
    assert len(posts) == 2
    assert posts[0] == posts[1]  # the same mark, so that a late trace of the first would still be found


def test_a_list_that_lags_is_asked_three_times(speech: SpeechClient, server: ScriptedServer, clock: JumpingClock) -> None:
    made = created_but_lost(server, Reply(reset=True))
    late = server.handler

    def handler(request: Request) -> Reply:
        stale = request.method == "GET" and sum(clock.slept) < 15
        return Reply(200, {"values": []}) if stale else late(request)

    server.handler = handler
    speech.endpoints.create(display_name="e", locale="en-US", model=ID)
    assert len(made) == 1
    assert clock.slept == [2.0, 5.0, 10.0]


def test_an_outcome_that_cannot_be_looked_up_is_said_to_be_unknown(speech: SpeechClient, server: ScriptedServer) -> None:
    server.handler = lambda request: Reply(500) if request.method == "POST" else Reply(403, {"message": "no list"})
    with pytest.raises(UnknownOutcomeError, match="may or may not have been made"):
        speech.endpoints.create(display_name="e", locale="en-US", model=ID)
    assert [request.method for request in server.requests].count("POST") == 1


def test_without_room_for_a_mark_a_namesake_makes_the_outcome_unknown(speech: SpeechClient, server: ScriptedServer) -> None:
    full = {f"key{number}": "x" for number in range(10)}
    lists = Reply(200, {"values": [entity(server)]})
    server.handler = lambda request: Reply(500) if request.method == "POST" else lists
    with pytest.raises(UnknownOutcomeError, match=ID):
        speech.endpoints.create(display_name="e", locale="en-US", model=ID, custom_properties=full)
    assert server.requests[0].json()["customProperties"] == full


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        (Reply(200, b"<html>hello</html>", {"Content-Type": "text/html"}), "not JSON .text/html"),
        (Reply(200, b'{"self": "htt', {"Content-Type": "application/json"}), "not JSON"),
        (Reply(200, ["a", "list"]), "not a JSON object"),
        (Reply(200, {"displayName": "no self"}), "has no self"),
        (Reply(200, b""), "not a JSON object"),
        (Reply(200, b"[" * 100_000), "not JSON"),
        (Reply(200, {"self": "s", "createdDateTime": "yesterday"}), "createdDateTime"),
    ],
    ids=["html", "truncated json", "a list", "no self", "empty", "too deep", "bad date"],
)
def test_a_success_that_cannot_be_read_is_an_error_of_ours(
    speech: SpeechClient, server: ScriptedServer, reply: Reply, message: str
) -> None:
    server.script(reply)
    with pytest.raises(ApiError, match=message):
        speech.endpoints.get(ID)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"<html><head><title>502 Bad Gateway</title></head></html>", "502 Bad Gateway"),
        (b"", "the answer is empty"),
        (b"upstream connect error", "upstream connect error"),
        (b'<?xml version="1.0"?><Error><Code>ServerBusy</Code><Message>sig=abc</Message></Error>', "ServerBusy"),
        (b'"just a string"', "just a string"),
        (b"<p>" + b"a" * 10_000_000, "the answer is a page"),
        (b'{"error": {"code": "502", "message": "gateway words"}}', "502 gateway words"),
        (b'{"error": "not an object", "message": 7}', "502 7"),
        (b"\xff\xfe\x00", "502 "),
    ],
    ids=["html", "empty", "text", "xml", "string", "10 MB", "gateway", "odd types", "binary"],
)
def test_any_error_body_makes_one_kind_of_error(
    speech: SpeechClient, server: ScriptedServer, body: bytes, message: str
) -> None:
    server.script(Reply(502, body))
    with pytest.raises(ServerError, match=message):
        speech.endpoints.get(ID)


def test_both_shapes_of_errors(speech: SpeechClient, server: ScriptedServer) -> None:
    gateway = {"error": {"code": "401", "message": "Access denied due to invalid subscription key"}}
    server.script(Reply(401, gateway, {"apim-request-id": "r-1"}))
    with pytest.raises(ApiError) as caught:
        speech.endpoints.get(ID)
    assert (caught.value.code, caught.value.inner_code, caught.value.request_id) == ("401", None, "r-1")
    assert caught.value.hint is not None
    server.script(Reply(400, {"Message": "Invalid CID or language"}))
    with pytest.raises(ApiError, match="Invalid CID or language"):
        speech.endpoints.get(ID)


def test_an_endless_answer_is_not_held_in_memory(server: ScriptedServer, clock: JumpingClock) -> None:
    server.script(Reply(200, b" " * (ANSWER_MAX + 10)))
    with SpeechClient(server.url, "k", timing=clock.timing()) as speech, pytest.raises(TransportError, match="longer than"):
        speech.endpoints.get(ID)
    assert len(server.requests) == 1


def test_an_unknown_word_and_unknown_fields_are_taken(speech: SpeechClient, server: ScriptedServer) -> None:
    odd = entity(server, status="Hibernating", newThing={"deep": [1, 2]}, properties={"futureFlag": True})
    server.script(Reply(200, odd))
    endpoint = speech.endpoints.get(ID)
    assert not endpoint.done
    assert endpoint.to_json() == odd


def test_an_interrupted_sleep_ends_the_call(server: ScriptedServer) -> None:
    class Stop(Exception):
        pass

    def sleep(seconds: float) -> None:
        raise Stop

    server.script(Reply(503))
    with SpeechClient(server.url, "some-key", timing=Timing(sleep=sleep)) as speech, pytest.raises(Stop):
        speech.endpoints.get(ID)


def test_a_host_that_does_not_exist_cannot_be_reached(clock: JumpingClock) -> None:
    speech = SpeechClient("https://no-such-host.invalid", "some-key", timing=clock.timing())
    with speech, pytest.raises(TransportError, match=r"no-such-host\.invalid cannot be reached"):
        speech.endpoints.get(ID)

"""What is sent again, when, and what never is: the table of statuses, methods and forms of Retry-After, over real sockets."""

from __future__ import annotations

from datetime import timedelta
from email.utils import format_datetime

import pytest

from speech_mlflow.errors import ApiError, BadRequestError, RateLimitError, ServerError, TransportError
from speech_mlflow.service import SpeechClient
from speech_mlflow.service.retry import (
    BACKOFF_FIRST,
    TABLE,
    TRIES,
    Action,
    Failure,
    Safety,
    backoff,
    retry_after_seconds,
)
from tests.service.conftest import START, JumpingClock
from tests.service.scripted import Reply, Request, ScriptedServer

STATUSES = (408, 429, 500, 502, 503, 504)
METHODS = ("GET", "POST", "PATCH", "DELETE")
# the header as sent, and the seconds it asks for; None where it asks for nothing usable
RETRY_AFTER: dict[str, tuple[dict[str, str], float | None]] = {
    "none": ({}, None),
    "seconds": ({"Retry-After": "7"}, 7.0),
    "date": ({"Retry-After": format_datetime(START + timedelta(seconds=9), usegmt=True)}, 9.0),
    "milliseconds": ({"retry-after-ms": "2500"}, 2.5),
    "past date": ({"Retry-After": format_datetime(START - timedelta(hours=1), usegmt=True)}, None),
    "negative": ({"Retry-After": "-5"}, None),
    "nan": ({"Retry-After": "nan"}, None),
    "far too long": ({"Retry-After": "1000000000"}, 1e9),
    "junk": ({"Retry-After": "soon, I hope"}, None),
}
ID = "11111111-2222-3333-4444-555555555555"


def entity(server: ScriptedServer, **more: object) -> dict[str, object]:
    return {"self": server.api(f"/endpoints/{ID}"), "displayName": "e", "locale": "en-US", "status": "Succeeded", **more}


def send(speech: SpeechClient, method: str) -> None:
    if method == "GET":
        speech.endpoints.get(ID)
    elif method == "POST":
        speech.endpoints.create(display_name="e", locale="en-US", model=ID)
    elif method == "PATCH":
        speech.endpoints.update(ID, model=ID)
    else:
        speech.endpoints.delete(ID)


def failing_once(server: ScriptedServer, method: str, failure: Reply) -> None:
    """The first request with ``method`` fails; lists are empty; everything else goes well."""
    failed = []

    def handler(request: Request) -> Reply:
        if request.method == method and not failed:
            failed.append(request)
            return failure
        if request.path.endswith("/endpoints") and request.method == "GET":
            return Reply(200, {"values": []})
        if request.method == "DELETE":
            return Reply(204)
        return Reply(201 if request.method == "POST" else 200, entity(server))

    server.handler = handler


@pytest.mark.parametrize("form", RETRY_AFTER)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("status", STATUSES)
def test_one_failure(
    speech: SpeechClient, server: ScriptedServer, clock: JumpingClock, status: int, method: str, form: str
) -> None:
    headers, asked = RETRY_AFTER[form]
    failing_once(server, method, Reply(status, {"code": "X", "message": "no"}, headers))
    looked_up = method == "POST" and status != 429
    if asked is not None and asked > 120 and not looked_up:
        with pytest.raises(ApiError) as caught:
            send(speech, method)
        assert (caught.value.status, caught.value.retry_after) == (status, asked)
        assert clock.slept == []
        return
    send(speech, method)
    sent = [request.method for request in server.requests]
    if looked_up:
        assert sent == ["POST", "GET", "GET", "GET", "POST"]
        assert clock.slept == [2.0, 5.0, 10.0]
        assert server.requests[1].query["filter"] == "displayName eq 'e'"
    else:
        assert sent == [method, method]
        assert clock.slept == [BACKOFF_FIRST if asked is None else pytest.approx(asked)]


def test_who_is_told_to_come_at_once_does_not_come_six_times_at_once(
    speech: SpeechClient, server: ScriptedServer, clock: JumpingClock
) -> None:
    server.script(Reply(429, {"message": "slow down"}, {"Retry-After": "0"}))
    with pytest.raises(RateLimitError):
        send(speech, "GET")
    assert clock.slept == pytest.approx([0.8, 1.6, 3.2, 6.4, 12.8])


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_it_ends_after_six_tries(speech: SpeechClient, server: ScriptedServer, clock: JumpingClock, method: str) -> None:
    server.script(Reply(503, {"code": "ServiceUnavailable", "message": "busy"}))
    with pytest.raises(ServerError, match="busy"):
        send(speech, method)
    assert len(server.requests) == TRIES
    assert clock.slept == pytest.approx([0.8, 1.6, 3.2, 6.4, 12.8])


def test_a_create_that_always_fails_is_not_sent_for_ever(
    speech: SpeechClient, server: ScriptedServer, clock: JumpingClock
) -> None:
    def handler(request: Request) -> Reply:
        return Reply(500, {"message": "broken"}) if request.method == "POST" else Reply(200, {"values": []})

    server.handler = handler
    with pytest.raises(ServerError, match="broken"):
        send(speech, "POST")
    assert [request.method for request in server.requests] == ["POST", *["GET"] * 3] * 3


def test_jitter_is_full(clock: JumpingClock) -> None:
    assert backoff(1, lambda: 0.0) == 0.0
    assert backoff(4, lambda: 0.5) == pytest.approx(3.2)
    assert backoff(40, lambda: 1.0) == 60.0


def test_the_deadline_ends_a_call_before_it_is_overrun(
    speech: SpeechClient, server: ScriptedServer, clock: JumpingClock
) -> None:
    server.script(Reply(429, {"message": "slow down"}, {"Retry-After": "50"}))
    with pytest.raises(RateLimitError) as caught:
        send(speech, "GET")
    assert clock.slept == [50.0, 50.0]  # a third would end after 150 s, and 120 are allowed
    assert caught.value.retry_after == 50


def test_nobody_sleeps_longer_than_two_minutes(speech: SpeechClient, server: ScriptedServer, clock: JumpingClock) -> None:
    """Also where the deadline, here that of a block, would allow it."""
    server.script(Reply(429, {"message": "slow down"}, {"Retry-After": "121"}))
    with pytest.raises(RateLimitError) as caught:
        speech.datasets.put_block(ID, "AAA=", b"x")
    assert (clock.slept, caught.value.retry_after) == ([], 121)


def test_without_a_connection_anything_is_sent_again(clock: JumpingClock, server: ScriptedServer) -> None:
    address = server.url
    server.close()
    with SpeechClient(address, "some-key", timing=clock.timing()) as speech:
        for method in METHODS:
            with pytest.raises(TransportError, match="cannot be reached"):
                send(speech, method)
    assert len(clock.slept) == 4 * (TRIES - 1)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 415, 422])
def test_a_refusal_is_not_sent_again(speech: SpeechClient, server: ScriptedServer, clock: JumpingClock, status: int) -> None:
    server.script(Reply(status, {"code": "InvalidRequest", "message": "no"}, {"Retry-After": "1"}))
    for method in METHODS:
        with pytest.raises(ApiError) as caught:
            send(speech, method)
        assert caught.value.status == status
        assert not caught.value.retryable
    assert len(server.requests) == len(METHODS)
    assert clock.slept == []


def test_the_table_has_a_row_for_each_failure_and_never_repeats_an_unknown_outcome() -> None:
    assert set(TABLE) == set(Failure)
    for failure, row in TABLE.items():
        assert set(row) == set(Safety)
        unknown = failure in (Failure.NO_ANSWER, Failure.TIMED_OUT, Failure.BROKEN)
        assert (row[Safety.ONCE] is Action.LOOK_FIRST) == unknown


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"x-ms-retry-after-ms": "10"}, 0.01),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "inf"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Sun, 32 Mar 2026 12:00:00 GMT"}, None),
        ({"retry-after-ms": "junk", "retry-after": "3"}, 3.0),
    ],
)
def test_forms_of_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_seconds(headers, START) == seconds


def test_a_bad_request_says_what_the_service_said(speech: SpeechClient, server: ScriptedServer) -> None:
    server.script(
        Reply(
            400,
            {
                "code": "InvalidRequest",
                "message": "outer",
                "innerError": {
                    "code": "InvalidLocale",
                    "message": "xx-XX is no locale",
                    "target": "locale",
                    "details": {"given": "xx-XX"},
                },
            },
            {"apim-request-id": "abc-1"},
        )
    )
    with pytest.raises(BadRequestError) as caught:
        send(speech, "POST")
    error = caught.value
    assert str(error) == "request abc-1: 400 InvalidRequest/InvalidLocale: xx-XX is no locale (target: locale)"
    assert (error.code, error.inner_code, error.target) == ("InvalidRequest", "InvalidLocale", "locale")
    assert error.details == {"given": "xx-XX"}

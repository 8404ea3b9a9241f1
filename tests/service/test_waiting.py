"""How often the service is asked, and how a wait ends."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from speech_mlflow.errors import NotFoundError, OperationFailedError, ServiceError, TransportError, WaitTimeoutError
from speech_mlflow.progress import ProgressEvent
from speech_mlflow.service import SpeechClient, Timing
from speech_mlflow.service.entities import CustomModel, Dataset, Endpoint, Evaluation, File, Project, Transcription, WebHook
from speech_mlflow.service.waiting import LIMITS, Pace, next_poll
from tests.service.conftest import JumpingClock
from tests.service.scripted import Reply, Request, ScriptedServer

ID = "11111111-2222-3333-4444-555555555555"


def dataset(server: ScriptedServer, status: str, id: str = ID, **more: object) -> dict[str, object]:
    own = server.api(f"/datasets/{id}")
    return {"self": own, "displayName": "my data", "locale": "en-US", "kind": "Language", "status": status, **more}


def working_for(
    server: ScriptedServer, clock: JumpingClock, seconds: float, headers: dict[str, str] | None = None
) -> Callable[[Request], Reply]:
    def handler(request: Request) -> Reply:
        done = clock.monotonic() >= seconds
        return Reply(200, dataset(server, "Succeeded" if done else "Running"), {} if done else headers or {})

    return handler


def entity(server: ScriptedServer, status: str = "NotStarted") -> Dataset:
    return Dataset.model_validate(dataset(server, status))


def test_polls_start_at_five_seconds_and_grow_to_sixty(
    speech: SpeechClient, server: ScriptedServer, clock: JumpingClock
) -> None:
    server.handler = working_for(server, clock, 3000)
    done = speech.wait(entity(server))
    assert done.status == "Succeeded"
    assert clock.slept[:5] == [5.0] * 5
    pauses = [round(seconds, 6) for seconds in clock.slept]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 60.0
    assert sum(clock.slept) <= 3060


def test_retry_after_is_obeyed(speech: SpeechClient, server: ScriptedServer, clock: JumpingClock) -> None:
    server.handler = working_for(server, clock, 300, {"Retry-After": "90"})
    speech.wait(entity(server))
    assert clock.slept == [90.0] * 4


def test_a_small_retry_after_makes_short_waits_short(speech: SpeechClient, server: ScriptedServer, clock: JumpingClock) -> None:
    server.handler = working_for(server, clock, 6, {"Retry-After": "1"})
    speech.wait(entity(server))
    assert clock.slept == [1.0] * 6


@pytest.mark.parametrize(
    ("waited", "retry_after", "seconds"),
    [(0, None, 5.0), (0, 0.0, 0.1), (0, 2.0, 2.0), (100, 1.0, 10.0), (10_000, 1.0, 60.0), (10_000, 300.0, 300.0)],
)
def test_the_next_poll(waited: float, retry_after: float | None, seconds: float) -> None:
    assert next_poll(waited, retry_after) == pytest.approx(seconds)


def test_what_is_done_is_read_once(speech: SpeechClient, server: ScriptedServer, clock: JumpingClock) -> None:
    server.script(Reply(200, dataset(server, "Succeeded")))
    speech.wait(entity(server, "Succeeded"))
    assert len(server.requests) == 1
    assert clock.slept == []


def test_a_failure_says_why(speech: SpeechClient, server: ScriptedServer) -> None:
    error = {"code": "DataImportFailed", "message": "no line was accepted"}
    server.script(Reply(200, dataset(server, "Failed", properties={"error": error})))
    with pytest.raises(OperationFailedError, match="data set my data failed: no line was accepted") as caught:
        speech.wait(entity(server))
    assert caught.value.code == "DataImportFailed"
    assert caught.value.entity.id == ID
    assert "report" in str(caught.value.hint)


def test_a_failure_without_a_reason(speech: SpeechClient, server: ScriptedServer) -> None:
    server.script(Reply(200, dataset(server, "Failed")))
    with pytest.raises(OperationFailedError, match="gives no reason"):
        speech.wait(entity(server))


@pytest.mark.parametrize("timeout", [None, 42.0])
def test_a_wait_ends_at_its_limit(
    speech: SpeechClient, server: ScriptedServer, clock: JumpingClock, timeout: float | None
) -> None:
    server.script(Reply(200, dataset(server, "Running")))
    with pytest.raises(WaitTimeoutError, match="still Running") as caught:
        speech.wait(entity(server), timeout=timeout)
    assert clock.monotonic() == (timeout or LIMITS["Dataset"])
    assert caught.value.entity.status == "Running"
    assert caught.value.retryable


def test_an_unknown_status_is_waited_out(speech: SpeechClient, server: ScriptedServer) -> None:
    server.script(Reply(200, dataset(server, "Hibernating")), Reply(200, dataset(server, "Succeeded")))
    assert speech.wait(entity(server)).status == "Succeeded"


def test_an_outage_of_some_minutes_is_survived(speech: SpeechClient, server: ScriptedServer, clock: JumpingClock) -> None:
    def handler(request: Request) -> Reply:
        if 20 < clock.monotonic() < 400:
            return Reply(503, {"message": "maintenance"})
        return Reply(200, dataset(server, "Succeeded" if clock.monotonic() > 600 else "Running"))

    server.handler = handler
    assert speech.wait(entity(server)).status == "Succeeded"


def test_a_page_of_something_in_between_does_not_end_a_wait(speech: SpeechClient, server: ScriptedServer) -> None:
    page = Reply(200, b"<html>Sign in to the network</html>", {"Content-Type": "text/html"})
    server.script(Reply(200, dataset(server, "Running")), page, Reply(200, dataset(server, "Succeeded")))
    assert speech.wait(entity(server)).status == "Succeeded"


def test_an_outage_that_does_not_end_is_an_error(speech: SpeechClient, server: ScriptedServer, clock: JumpingClock) -> None:
    server.script(Reply(200, dataset(server, "Running")), Reply(reset=True))
    with pytest.raises(TransportError):
        speech.wait(entity(server))
    assert 600 < clock.monotonic() < 900


def test_what_was_deleted_meanwhile_is_an_error_at_once(
    speech: SpeechClient, server: ScriptedServer, clock: JumpingClock
) -> None:
    server.script(Reply(404, {"code": "NotFound", "message": "gone"}))
    with pytest.raises(NotFoundError):
        speech.wait(entity(server))
    assert clock.slept == []


def test_progress_names_the_step_and_its_state(speech: SpeechClient, server: ScriptedServer, clock: JumpingClock) -> None:
    events: list[ProgressEvent] = []
    server.handler = working_for(server, clock, 12)
    speech.wait(entity(server), progress=events.append)
    assert [event.detail for event in events] == ["Running"] * 3 + ["Succeeded"]
    assert {event.step for event in events} == {"data set my data"}
    assert [event.done for event in events] == [0, 5, 10, 15]


def test_a_wait_can_be_interrupted_and_taken_up_again(server: ScriptedServer) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    server.script(Reply(200, dataset(server, "Running")), Reply(200, dataset(server, "Succeeded")))
    waiting = entity(server)
    with SpeechClient(server.url, "k", timing=Timing(sleep=interrupt)) as speech, pytest.raises(KeyboardInterrupt):
        speech.wait(waiting)
    with SpeechClient(server.url, "k", timing=Timing(sleep=interrupt)) as speech:
        assert speech.wait(waiting).status == "Succeeded"


def test_many_are_polled_below_the_rate_limit(speech: SpeechClient, server: ScriptedServer, clock: JumpingClock) -> None:
    """150 data sets, and a service that would like to be asked every 0.1 s."""
    moments: list[float] = []

    def handler(request: Request) -> Reply:
        moments.append(clock.monotonic())
        id = request.path.rsplit("/", 1)[1]
        status = "Succeeded" if clock.monotonic() > 60 else "Running"
        return Reply(200, dataset(server, status, id), {"retry-after-ms": "100"})

    server.handler = handler
    entities = [Dataset.model_validate(dataset(server, "NotStarted", f"id-{number}")) for number in range(150)]
    done = speech.wait_all(entities)
    assert [one.id for one in done] == [f"id-{number}" for number in range(150)]
    assert len(moments) > 300
    for start, later in zip(moments, itertools.islice(moments, 100, None), strict=False):
        assert later - start >= 10  # of any 101 requests in a row the last is 10 s after the first


def test_the_first_failure_ends_the_wait_for_many(speech: SpeechClient, server: ScriptedServer) -> None:
    def handler(request: Request) -> Reply:
        id = request.path.rsplit("/", 1)[1]
        return Reply(200, dataset(server, "Failed" if id == "bad" else "Running", id))

    server.handler = handler
    entities = [Dataset.model_validate(dataset(server, "NotStarted", id)) for id in ("good", "bad", "other")]
    with pytest.raises(OperationFailedError):
        speech.wait_all(entities)
    assert len(server.requests) == 2


def test_pace_counts_over_all_waits(clock: JumpingClock) -> None:
    pace = Pace(clock.timing(), polls=3, window=10)
    for _ in range(7):
        pace.take()
    assert clock.slept == [10, 10]


@pytest.mark.parametrize(
    ("record", "path"),
    [
        (Project, "/projects"),
        (Dataset, "/datasets"),
        (CustomModel, "/models"),
        (Evaluation, "/evaluations"),
        (Endpoint, "/endpoints"),
        (Transcription, "/transcriptions"),
        (WebHook, "/webhooks"),
    ],
)
def test_every_kind_can_be_waited_for(speech: SpeechClient, server: ScriptedServer, record: type[Dataset], path: str) -> None:
    body = {"self": server.api(f"{path}/{ID}"), "displayName": "x", "locale": "en-US"}
    server.script(Reply(200, body if record is Project else {**body, "status": "Succeeded"}))
    done = speech.wait(record.model_validate(body))
    assert type(done) is record
    assert server.requests[0].path == f"/speechtotext{path}/{ID}"


def test_what_has_no_state_cannot_be_waited_for(speech: SpeechClient) -> None:
    with pytest.raises(ServiceError, match="nothing to wait for"):
        speech.wait(File(name="f"))  # type: ignore[type-var]

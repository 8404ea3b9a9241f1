"""No secret in what people see: logs at the most talkative level, exceptions with their frames, reprs."""

from __future__ import annotations

import io
import logging
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import SecretStr

from speech_mlflow.errors import SpeechMlflowError
from speech_mlflow.service import KeyCredential, SpeechClient, TokenCredential
from speech_mlflow.service.entities import Dataset, File, ModelFile, Transcription, TranscriptionProperties, WebHook
from speech_mlflow.service.upload import import_dataset
from tests.service.conftest import JumpingClock
from tests.service.scripted import Reply, Request, ScriptedServer

ID = "11111111-2222-3333-4444-555555555555"
CANARY = "canary-5e3b19"
SAS = f"https://account.blob.core.windows.net/c/train.zip?sv=2024&sig={CANARY}"


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that anybody logs."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s %(args)s"))
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield out
    root.removeHandler(handler)
    root.setLevel(level)


class Identity:
    def get_token(self, *scopes: str, **options: Any) -> Any:
        class Token:
            token = CANARY

        return Token()


def everything_about(error: BaseException) -> str:
    """An exception as the most talkative reporter shows it: with its causes, and the repr of every local variable."""
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    return "".join(shown.format(chain=True)) + repr(error) + repr(vars(error))


def echo(request: Request) -> Reply:
    """A debugging proxy's error page: it shows what it got."""
    return Reply(502, repr(dict(request.headers)).encode())


FAILURES: dict[str, Callable[[Request], Reply]] = {
    "401": lambda request: Reply(401, {"error": {"code": "401", "message": "Access denied"}}),
    "echo of headers": echo,
    "reset": lambda request: Reply(reset=True),
    "cut": lambda request: Reply(200, {"a": 1}, cut_at=30),
    "not json": lambda request: Reply(200, b"<html>"),
    "wrong shape": lambda request: Reply(200, {"self": 7, "displayName": ["x"]}),
    "redirect": lambda request: Reply(302, None, {"Location": "https://elsewhere.example/"}),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("kind", ["key", "token"])
def test_a_credential_is_nowhere_to_be_read(
    server: ScriptedServer, clock: JumpingClock, log: io.StringIO, kind: str, failure: str
) -> None:
    server.handler = FAILURES[failure]
    credential = KeyCredential(CANARY) if kind == "key" else TokenCredential(Identity())
    speech = SpeechClient(server.url, credential, timing=clock.timing())
    with pytest.raises(SpeechMlflowError) as caught:
        speech.datasets.get(ID)
    speech.close()
    assert CANARY in str([request.headers for request in server.requests])  # it was really sent
    seen = everything_about(caught.value) + log.getvalue() + repr(speech) + repr(credential) + repr(vars(speech))
    assert CANARY not in seen
    assert "httpcore" in log.getvalue()  # and the HTTP library was really heard


def test_a_key_is_not_shown_when_there_is_no_connection(server: ScriptedServer, clock: JumpingClock, log: io.StringIO) -> None:
    address = server.url
    server.close()
    speech = SpeechClient(address, KeyCredential(CANARY), timing=clock.timing())
    with speech, pytest.raises(SpeechMlflowError) as caught:
        speech.datasets.get(ID)
    assert CANARY not in everything_about(caught.value) + log.getvalue()


def test_a_signature_of_a_file_link_is_not_shown(server: ScriptedServer, speech: SpeechClient, log: io.StringIO) -> None:
    link = f"{server.url}/blobs/report.json?sv=2024&sig={CANARY}"
    file = File.model_validate({"name": "report.json", "links": {"contentUrl": link}})
    server.script(Reply(200, b"the content"))
    assert speech.read_file(file) == b"the content"
    assert server.requests[0].query["sig"] == CANARY
    message = f"<Error><Code>AuthenticationFailed</Code><Detail>sig={CANARY}</Detail></Error>".encode()
    shown = ""
    for reply in (Reply(403, message), Reply(404, message), Reply(reset=True), Reply(200, b"x" * 99, cut_at=60)):
        server.script(reply)
        with pytest.raises(SpeechMlflowError) as caught:
            speech.read_file(file)
        shown += str(caught.value) + repr(caught.value) + "".join(traceback.format_exception(caught.value))
    assert CANARY not in shown + log.getvalue() + repr(file)
    assert f"HTTP Request: GET {server.url}/blobs/report.json " in log.getvalue()  # the HTTP library logs it, too


def test_a_signed_content_url_is_sent_and_not_shown(server: ScriptedServer, speech: SpeechClient, log: io.StringIO) -> None:
    def handler(request: Request) -> Reply:
        if request.method == "POST":
            return Reply(201, {**request.json(), "self": server.api(f"/datasets/{ID}"), "status": "Succeeded"})
        return Reply(200, {"values": []})

    server.handler = handler
    dataset = import_dataset(
        speech, SecretStr(SAS), kind="Acoustic", locale="en-US", display_name="d", fingerprint="f" * 64, wait=False
    )
    posted = next(request for request in server.requests if request.method == "POST")
    assert posted.json()["contentUrl"] == SAS
    assert CANARY not in str(posted.json()["customProperties"]) + posted.json()["displayName"]
    assert CANARY not in repr(dataset) + str(dataset) + log.getvalue()


def test_a_signature_that_the_service_quotes_in_an_error_is_not_shown(
    server: ScriptedServer, speech: SpeechClient, log: io.StringIO
) -> None:
    failed = {"self": server.api(f"/datasets/{ID}"), "status": "Failed"}
    error = {"code": "InvalidData", "message": f"GET {SAS} gave 403"}
    refused = {"code": "InvalidRequest", "innerError": {"message": error["message"], "details": {"url": SAS}}}
    for reply in (Reply(400, refused), Reply(201, {**failed, "properties": {"error": error}})):
        server.handler = lambda request, reply=reply: reply if request.method == "POST" else Reply(200, reply.body)  # type: ignore[misc]
        with pytest.raises(SpeechMlflowError, match=r"train\.zip\?sv=2024&sig=\*+ gave 403") as caught:
            import_dataset(speech, SecretStr(SAS), kind="Acoustic", locale="en-US", display_name="d")
        assert CANARY not in str(caught.value) + repr(vars(caught.value)) + log.getvalue()


def test_a_web_hook_secret_is_sent_and_not_shown(server: ScriptedServer, speech: SpeechClient, log: io.StringIO) -> None:
    server.handler = lambda request: Reply(201, {**request.json(), "self": server.api(f"/webhooks/{ID}")})
    hook = speech.webhooks.create(
        display_name="h", web_url="https://me.example/hook", events=["modelCompletion"], secret=CANARY
    )
    assert server.requests[0].json()["properties"] == {"secret": CANARY}
    assert CANARY not in repr(hook) + str(hook.to_json()) + log.getvalue()
    assert hook.properties is not None
    assert hook.properties.secret is not None


@pytest.mark.parametrize(
    "record",
    [
        Dataset(content_url=SAS),
        Transcription(content_urls=[SAS], content_container_url=SAS),
        TranscriptionProperties(destination_container_url=SAS),
        ModelFile(name="m", content_url=SAS),
        WebHook.model_validate({"properties": {"secret": CANARY}}),
    ],
    ids=lambda record: type(record).__name__,
)
def test_no_record_shows_what_opens_something(record: object) -> None:
    assert CANARY not in repr(record) + str(record)


def test_a_record_that_does_not_fit_does_not_show_its_input(speech: SpeechClient, server: ScriptedServer) -> None:
    server.script(Reply(200, {"self": server.api("/webhooks/1"), "properties": {"secret": [CANARY]}}))
    with pytest.raises(SpeechMlflowError, match=r"properties\.secret") as caught:
        speech.webhooks.get("1")
    assert CANARY not in str(caught.value) + "".join(traceback.format_exception(caught.value))

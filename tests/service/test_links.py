"""Where requests and credentials go: to the configured hosts, and along no link or redirect to any other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from speech_mlflow.errors import ForeignLinkError, NotFoundError, ServiceError, SettingsError
from speech_mlflow.service import SpeechClient, filters
from speech_mlflow.service.credentials import KEY_HEADER, KeyCredential
from speech_mlflow.service.entities import EntityReference, File, Operation
from speech_mlflow.service.transport import Transport, recognition_host_of
from tests.service.conftest import KEY
from tests.service.scripted import Reply, Request, ScriptedServer, scripted_server

ID = "11111111-2222-3333-4444-555555555555"
METADATA = "http://169.254.169.254/speechtotext/datasets?api-version=2025-10-15"


def dataset(link: str) -> dict[str, object]:
    return {"self": link, "displayName": "d", "locale": "en-US", "kind": "Language", "status": "Succeeded"}


def foreign_links(server: ScriptedServer) -> dict[str, str]:
    port = server.url.rsplit(":", 1)[1]
    return {
        "other host": "https://evil.example/speechtotext/datasets/1?api-version=2025-10-15",
        "metadata service": METADATA,
        "other port": f"http://127.0.0.1:{int(port) ^ 1}/speechtotext/datasets/1",
        "other scheme": f"https://127.0.0.1:{port}/speechtotext/datasets/1",
        "user part": f"http://127.0.0.1:{port}@evil.example/speechtotext/datasets/1",
        "other path": f"{server.url}/admin/datasets/1",
        "dots": f"{server.url}/speechtotext/../admin",
        "no host": "/speechtotext/datasets/1",
        "junk port": "http://127.0.0.1:99999999/speechtotext/datasets/1",
        "protocol": "file:///etc/passwd",
        "no URL": "https://[evil/speechtotext/datasets/1",
        "too long": f"{server.url}/speechtotext/datasets/{'1' * 70_000}",
        "encoded dots": f"{server.url}/speechtotext/%2e%2E/admin",
    }


FOREIGN = (
    "other host",
    "metadata service",
    "other port",
    "other scheme",
    "user part",
    "other path",
    "dots",
    "no host",
    "junk port",
    "protocol",
    "no URL",
    "too long",
    "encoded dots",
)


@pytest.mark.parametrize("name", FOREIGN)
@pytest.mark.parametrize("place", ["nextLink", "Location", "self", "self in a list", "Operation-Location"])
def test_a_foreign_link_is_refused(speech: SpeechClient, server: ScriptedServer, name: str, place: str) -> None:
    link = foreign_links(server)[name]
    own = dataset(server.api(f"/datasets/{ID}"))
    cases: dict[str, tuple[Reply, Callable[[], object]]] = {
        "nextLink": (Reply(200, {"values": [own], "@nextLink": link}), lambda: list(speech.datasets.list())),
        "Location": (
            Reply(201, None, {"Location": link}),
            lambda: speech.datasets.create(kind="Language", display_name="d", locale="en-US"),
        ),
        "self": (Reply(200, dataset(link)), lambda: speech.datasets.get(ID)),
        "self in a list": (Reply(200, {"values": [dataset(link)]}), lambda: list(speech.datasets.list())),
        "Operation-Location": (Reply(200), lambda: speech.models.copy_operation(link)),
    }
    reply, act = cases[place]
    server.script(reply)
    with pytest.raises(ForeignLinkError):
        act()
    assert len(server.requests) <= 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(speech: SpeechClient, server: ScriptedServer, status: int) -> None:
    with scripted_server() as other:
        server.script(Reply(status, None, {"Location": f"{other.url}/speechtotext/datasets/{ID}"}))
        with pytest.raises(ForeignLinkError, match="redirect"):
            speech.datasets.get(ID)
        assert other.requests == []
    assert len(server.requests) == 1


def test_the_key_goes_to_the_endpoint_and_to_the_recognition_host_only(server: ScriptedServer, wav: bytes) -> None:
    with scripted_server() as hearing, scripted_server() as storage:
        hearing.script(Reply(200, {"RecognitionStatus": "Success", "DisplayText": "Hello."}))
        storage.script(Reply(200, b"content"))
        server.script(Reply(200, dataset(server.api(f"/datasets/{ID}"))))
        with SpeechClient(server.url, KeyCredential(KEY), recognition_host=hearing.url) as speech:
            speech.datasets.get(ID)
            speech.recognize(None, wav, language="en-US")
            for link in (f"{storage.url}/blob?sig=abc", f"{server.url}/files/blob?sig=abc"):
                file = File.model_validate({"name": "f", "links": {"contentUrl": link}})
                if link.startswith(server.url):
                    server.script(Reply(200, b"content"))
                    assert speech.read_file(file) == b"content"
                else:
                    with pytest.raises(ForeignLinkError):  # http, and inside this machine
                        speech.read_file(file)
        assert [request.headers.get(KEY_HEADER.lower()) for request in server.requests] == [KEY, None]
        assert [request.headers.get(KEY_HEADER.lower()) for request in hearing.requests] == [KEY]
        assert storage.requests == []
        assert "authorization" not in server.requests[-1].headers


@pytest.mark.parametrize(
    "link",
    [
        "http://storage.example/blob",
        "https://169.254.169.254/latest",
        "https://[::1]/x",
        "https://10.0.0.1/x",
        "https://localhost/x",
        "https://user:pw@storage.example/x",
        "ftp://storage.example/x",
        "/relative",
    ],
)
def test_a_file_is_read_from_public_https_storage_only(speech: SpeechClient, link: str) -> None:
    with pytest.raises(ForeignLinkError, match="no public https storage"):
        speech.read_file(File.model_validate({"name": "f", "links": {"contentUrl": link}}))


@pytest.mark.parametrize(
    "link", ["https://[evil/x", "https://storage.example:99999/x", "https://\u2488.example/x", "https://a.example/\x01"]
)
def test_a_file_whose_link_is_no_url_is_refused(speech: SpeechClient, link: str) -> None:
    with pytest.raises(ForeignLinkError, match="no valid URL"):
        speech.read_file(File.model_validate({"name": "f", "links": {"contentUrl": link}}))


def test_what_cannot_be_sent_is_an_error_of_ours(speech: SpeechClient, server: ScriptedServer) -> None:
    for text in ("x" * 70_000, "\udcff"):  # the second is how Python shows a byte of a command line that is no UTF-8
        with pytest.raises(SettingsError, match="cannot be sent"):
            list(speech.datasets.list(filters.eq("displayName", text)))
    assert server.requests == []
    with pytest.raises(NotFoundError):
        speech.datasets.get("\udcff")


def test_a_reference_of_the_service_is_read_whatever_it_is() -> None:
    assert EntityReference(self="https://[evil/speechtotext/models/1?api-version=x").id == "1"
    assert EntityReference(self="https://host.example").id == ""


def test_links_are_followed_as_they_are(speech: SpeechClient, server: ScriptedServer) -> None:
    first = {"values": [dataset(server.api("/datasets/1"))]}
    link = f"{server.url}/speechtotext/datasets?skip=100&top=100&filter=displayName%20eq%20%27a%27&api-version=2025-10-15"
    server.script(Reply(200, {**first, "@nextLink": link}), Reply(200, {"values": [dataset(server.api("/datasets/2"))]}))
    assert [one.id for one in speech.datasets.list("displayName eq 'a'", top=100)] == ["1", "2"]
    assert server.requests[1].target == link.removeprefix(server.url)


def test_pages_that_go_round_in_a_circle_end(speech: SpeechClient, server: ScriptedServer) -> None:
    link = f"{server.url}/speechtotext/datasets?skip=1&api-version=2025-10-15"
    server.script(Reply(200, {"values": [], "@nextLink": link}))
    with pytest.raises(ServiceError, match="does not end"):
        list(speech.datasets.list())
    assert len(server.requests) == 2


def test_pages_are_fetched_when_they_are_needed(speech: SpeechClient, server: ScriptedServer) -> None:
    link = f"{server.url}/speechtotext/datasets?skip=1&api-version=2025-10-15"
    server.script(Reply(200, {"values": [dataset(server.api("/datasets/1"))], "@nextLink": link}))
    assert next(iter(speech.datasets.list())).id == "1"
    assert len(server.requests) == 1


@pytest.mark.parametrize("id", ["../models/1", "a/../../b", "x?y=1", "a b#c", "%2e%2e"])
def test_an_odd_id_stays_one_segment_of_the_path(server: ScriptedServer, id: str) -> None:
    transport = Transport(server.url, KeyCredential("some-key"))
    from speech_mlflow.service.transport import path_segment

    seen: list[Request] = []

    def handler(request: Request) -> Reply:
        seen.append(request)
        return Reply(200, {})

    server.handler = handler
    transport.call("GET", f"/datasets/{path_segment(id)}")
    transport.close()
    assert seen[0].path.count("/") == 3
    assert set(seen[0].query) == {"api-version"}


@pytest.mark.parametrize("id", ["", ".", ".."])
def test_an_id_of_dots_is_refused(speech: SpeechClient, server: ScriptedServer, id: str) -> None:
    with pytest.raises(SettingsError):
        speech.datasets.get(id)
    assert server.requests == []


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ("http://westus.api.cognitive.microsoft.com", "without encryption"),
        ("https://user:pw@name.cognitiveservices.azure.com", "has a user"),
        ("https://name.cognitiveservices.azure.com?sig=1", "a query"),
        ("westus", "is not a URL"),
        ("ftp://name.example", "is not a URL"),
        ("", "is not a URL"),
        ("https://name.example:port", "is not a URL"),
        ("https://[name", "is not a URL"),
    ],
)
def test_an_endpoint_that_is_none_is_explained(endpoint: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message) as caught:
        SpeechClient(endpoint, "some-key")
    assert "pw" not in str(caught.value)
    assert "sig" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [("ALL_PROXY", "socks5://127.0.0.1:9", "socksio"), ("HTTPS_PROXY", "foo://user:canary@proxy.example", "foo://")],
)
def test_a_proxy_that_cannot_be_used_is_explained(monkeypatch: pytest.MonkeyPatch, name: str, value: str, named: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"the proxy that the environment names.*{named}") as caught:
        SpeechClient("https://name.example", "some-key")
    assert "canary" not in str(caught.value)
    with SpeechClient("http://127.0.0.1:9", "some-key"):
        pass  # this machine's own needs no proxy


def test_certificates_that_cannot_be_read_are_named() -> None:
    program = "from speech_mlflow.service import SpeechClient; SpeechClient('https://name.example', 'some-key')"
    environ = {**os.environ, "SSL_CERT_FILE": "/nowhere.pem"}
    done = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False)
    assert "SettingsError: the trusted certificates cannot be read (SSL_CERT_FILE=/nowhere.pem" in done.stderr


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("https://westus.api.cognitive.microsoft.com/", "https://westus.stt.speech.microsoft.com"),
        ("https://chinaeast2.api.cognitive.azure.cn", "https://chinaeast2.stt.speech.azure.cn"),
        ("https://name.cognitiveservices.azure.com/speechtotext/", "https://name.cognitiveservices.azure.com/stt"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
    ],
)
def test_the_recognition_host_follows_from_the_endpoint(endpoint: str, host: str) -> None:
    with SpeechClient(endpoint, "some-key") as speech:
        assert recognition_host_of(speech.endpoint) == host
        assert speech.resource == endpoint.split("/")[2]


def test_references_are_made_afresh_for_the_endpoint_in_use(speech: SpeechClient, server: ScriptedServer) -> None:
    elsewhere = "https://elsewhere.example/speechtotext/models/base/abc?api-version=v3.2"
    assert speech.ref("model", elsewhere).self_ == server.api("/models/base/abc")
    assert speech.ref("model", "abc").self_ == server.api("/models/abc")
    assert speech.ref("base_model", "abc").self_ == server.api("/models/base/abc")
    with pytest.raises(SettingsError, match="no kind of entity"):
        speech.ref("modle", "abc")


def test_an_operation_is_waited_for_by_its_id(speech: SpeechClient, server: ScriptedServer) -> None:
    operation = {"id": ID, "self": server.api(f"/operations/models/copy/{ID}"), "status": "Succeeded"}
    server.script(Reply(200, operation))
    done = speech.wait(Operation.model_validate({"id": ID, "status": "NotStarted"}))
    assert done.status == "Succeeded"
    assert server.requests[0].path == f"/speechtotext/operations/models/copy/{ID}"

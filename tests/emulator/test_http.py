"""What every answer has in common: who may call, versions, content types, headers, links, paging, filters, error shapes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from speech_mlflow.emulator.app import MANAGEMENT, create_app
from speech_mlflow.emulator.core import Emulator
from speech_mlflow.emulator.options import Options
from tests.emulator.conftest import create, error_of, id_of
from tests.fixtures.emulator import RunningEmulator, StartEmulator


@pytest.fixture(scope="module")
def service(emulator_factory: StartEmulator) -> Iterator[RunningEmulator]:
    """A service that recognises nothing in these tests."""
    started = emulator_factory(tokens=(SecretStr("full"),), read_only_tokens=(SecretStr("reader"),))
    yield started
    started.stop()


def gateway_error(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body["error"]["code"] == str(status)
    return str(body["error"]["message"])


def test_a_key_is_needed_and_must_be_right(service: RunningEmulator) -> None:
    url = f"{service.url}/speechtotext/projects?api-version=2025-10-15"
    assert "invalid subscription key" in gateway_error(service.web.get(url), 401)
    gateway_error(service.web.get(url, headers={"Ocp-Apim-Subscription-Key": "wrong"}), 401)
    gateway_error(service.web.get(url, headers={"Ocp-Apim-Subscription-Key": "schlüssel".encode()}), 401)
    gateway_error(service.web.get(url, headers={"Authorization": "Bearer wrong"}), 401)
    assert service.web.get(url, headers={"Authorization": "Bearer full"}).status_code == 200


def test_a_reader_may_read_and_not_write(service: RunningEmulator) -> None:
    headers = {"Authorization": "Bearer reader"}
    url = f"{service.url}/speechtotext/projects?api-version=2025-10-15"
    assert service.web.get(url, headers=headers).status_code == 200
    gateway_error(service.web.post(url, headers=headers, json={"displayName": "x", "locale": "en-US"}), 403)


def test_no_operation_answers_without_a_key_or_writes_for_a_reader(service: RunningEmulator) -> None:
    some = "00000000-0000-0000-0000-000000000000"
    for route in MANAGEMENT:
        url = f"{service.url}/speechtotext{route.path.format(id=some, file=some)}?api-version=2025-10-15"
        gateway_error(service.web.request(route.method, url), 401)
        if route.method != "GET":
            gateway_error(service.web.request(route.method, url, headers={"Authorization": "Bearer reader"}), 403)
    for path in ("/health", "/speech/recognition/conversation/cognitiveservices/v1?language=en-US"):
        gateway_error(service.web.request("GET" if path == "/health" else "POST", service.url + path), 401)


@pytest.mark.parametrize(
    "query", ["", "api-version=3.2", "api-version=2024-11-15", "api-version=2025-10-15&api-version=2025-10-15"]
)
def test_the_version_is_needed_and_must_be_known(service: RunningEmulator, query: str) -> None:
    answer = service.web.get(f"{service.url}/speechtotext/projects?{query}", headers=service.headers)
    assert answer.status_code == 400
    assert answer.json()["code"] == "InvalidArgument"


def test_headers_of_every_answer(service: RunningEmulator) -> None:
    for path in ("/projects", "/projects/7", "/nothing"):
        answer = service.api.get(path)
        assert answer.headers["api-supported-versions"] == "2025-10-15"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/json"
        assert len(answer.headers["apim-request-id"]) == 36
    one, two = (service.api.get("/projects").headers["apim-request-id"] for _ in range(2))
    assert one != two


def test_unknown_paths_methods_and_entities(service: RunningEmulator) -> None:
    gateway_error(service.api.get("/nothing"), 404)
    answer = service.api.put("/projects")
    gateway_error(answer, 405)
    assert "GET" in answer.headers["allow"]
    error_of(service.api.get("/projects/00000000-0000-0000-0000-000000000000"), 404, "NotFound")
    error_of(service.api.get("/projects/7"), 404, "NotFound")
    assert service.api.delete("/projects/00000000-0000-0000-0000-000000000000").status_code == 204


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/merge-patch+json", ""])
def test_another_content_type_is_refused(service: RunningEmulator, kind: str) -> None:
    answer = service.api.post("/projects", content=b"{}", headers={"Content-Type": kind})
    error_of(answer, 415, "UnsupportedMediaType")


def test_a_patch_may_be_a_merge_patch(service: RunningEmulator) -> None:
    project = create(service, "/projects", description="before", customProperties={"a": "1"})
    headers = {"Content-Type": "application/merge-patch+json"}
    answer = service.api.patch(f"/projects/{id_of(project)}", content=b'{"description": null}', headers=headers)
    assert answer.status_code == 200
    assert "description" not in answer.json()
    assert answer.json()["customProperties"] == {"a": "1"}
    error_of(
        service.api.patch(f"/projects/{id_of(project)}", json={"displayName": None}), 400, "InvalidRequest", "InvalidPayload"
    )


BAD_BODIES: list[tuple[bytes, str, str]] = [
    (b"", "EmptyRequest", "no body"),
    (b"{", "InvalidRequestBodyFormat", "JSON"),
    (b'{"a": NaN}', "InvalidPayload", "displayName"),
    (b"[]", "InvalidPayload", "$"),
    (b"[" * 100_000, "InvalidRequestBodyFormat", "JSON"),
    (b'{"locale": "en-US"}', "InvalidPayload", "$.displayName: The value is required."),
    (b'{"displayName": "", "locale": "en-US"}', "InvalidPayload", "$.displayName"),
    (b'{"displayName": 7, "locale": "en-US"}', "InvalidPayload", "$.displayName"),
    (b'{"displayName": "\\ud800", "locale": "en-US"}', "InvalidRequestBodyFormat", "JSON"),
    (b'{"displayName": "a", "locale": "xx-XX"}', "InvalidLocale", "xx-XX"),
    (b'{"displayName": "a", "locale": "en-US", "customProperties": {"retryCount": 3}}', "InvalidPayload", "retryCount"),
]


@pytest.mark.parametrize(("body", "inner", "words"), BAD_BODIES)
def test_a_body_that_does_not_fit(service: RunningEmulator, body: bytes, inner: str, words: str) -> None:
    answer = service.api.post("/projects", content=body, headers={"Content-Type": "application/json"})
    assert words in error_of(answer, 400, "InvalidRequest", inner)["message"]


def test_all_faults_of_a_body_are_named_at_once(service: RunningEmulator) -> None:
    properties = {f"key{number}": "x" for number in range(11)}
    body = {"displayName": "", "kind": "Video", "customProperties": properties}
    error = error_of(service.api.post("/datasets", json=body), 400, "InvalidRequest", "InvalidPayload")
    targets = {detail["target"] for detail in error["details"]}
    assert targets == {"$.displayName", "$.kind", "$.customProperties", "$.locale"}


@pytest.mark.parametrize(
    ("properties", "fits"),
    [
        ({"k" * 64: "v" * 256}, True),
        ({str(n): "" for n in range(10)}, True),
        ({"k" * 65: "v"}, False),
        ({"k": "v" * 257}, False),
        ({"k": None}, False),
    ],
)
def test_the_limits_of_custom_properties(service: RunningEmulator, properties: dict[str, Any], fits: bool) -> None:
    body = {"displayName": "a", "locale": "en-US", "customProperties": properties}
    answer = service.api.post("/projects", json=body)
    assert answer.status_code == (201 if fits else 400)


def test_text_of_any_kind_comes_back_as_it_was(service: RunningEmulator) -> None:
    name = "Käse ' \" \\ \u2028 日本 🎤 \x00 <b>"
    project = create(service, "/projects", displayName=name)
    assert service.follow(project["self"])["displayName"] == name


def test_links_are_made_from_the_host_of_the_request(service: RunningEmulator) -> None:
    port = service.url.rpartition(":")[2]
    headers = {"Ocp-Apim-Subscription-Key": service.key.get_secret_value(), "Host": f"speech.example:{port}"}
    url = f"{service.url}/speechtotext/projects?api-version=2025-10-15"
    answer = service.web.post(url, headers=headers, json={"displayName": "x", "locale": "en-US"})
    project = answer.json()
    assert project["self"].startswith(f"http://speech.example:{port}/speechtotext/projects/")
    assert project["self"].endswith("?api-version=2025-10-15")
    assert answer.headers["location"] == project["self"]
    # a reference on another host than the request's own names nothing
    body = {"displayName": "x", "locale": "en-US", "kind": "Language", "project": {"self": project["self"]}}
    answer = service.api.post("/datasets", json=body)
    error = error_of(answer, 400, "InvalidRequest", "InvalidPayload")
    assert error["message"] == "The value of project.self does not reference an entity."


@pytest.mark.parametrize(
    "reference", ["", "7", "http://[", "{url}/speechtotext/projects/7", "{url}/speechtotext/datasets/{id}"]
)
def test_a_reference_must_name_an_entity_of_its_kind(service: RunningEmulator, reference: str) -> None:
    project = create(service, "/projects")
    text = reference.replace("{url}", service.url).replace("{id}", id_of(project))
    body = {"displayName": "x", "locale": "en-US", "kind": "Language", "project": {"self": text}}
    error_of(service.api.post("/datasets", json=body), 400, "InvalidRequest", "InvalidPayload")


def test_a_list_is_read_page_by_page(start_emulator: StartEmulator) -> None:
    service = start_emulator()
    names = [f"p{number}" for number in range(5)]
    for name in names:
        create(service, "/projects", displayName=name)
    page = service.api.get("/projects", params={"top": 2, "filter": "locale eq 'en-US'"}).json()
    found = [value["displayName"] for value in page["values"]]
    pages = 1
    while "@nextLink" in page:
        assert "api-version=2025-10-15" in page["@nextLink"]
        page = service.follow(page["@nextLink"])
        found += [value["displayName"] for value in page["values"]]
        pages += 1
    assert (found, pages) == (names, 3)
    assert service.api.get("/projects", params={"skip": 4}).json()["values"][0]["displayName"] == "p4"
    assert service.api.get("/projects", params={"skip": 9}).json() == {"values": []}


@pytest.mark.parametrize(
    "query", [{"top": "0"}, {"top": "-1"}, {"skip": "x"}, {"skip": "1.5"}, {"top": "9" * 20}, {"top": "9" * 5000}, {"top": "٣"}]
)
def test_a_page_that_makes_no_sense(service: RunningEmulator, query: dict[str, str]) -> None:
    error_of(service.api.get("/projects", params=query), 400, "InvalidRequest", "UnsupportedPagination")


@pytest.fixture(scope="module")
def filtered(emulator_factory: StartEmulator) -> RunningEmulator:
    """A service with three data sets."""
    service = emulator_factory()
    for name, kind in (("a", "Language"), ("it's", "Acoustic"), ("c d", "Language")):
        create(service, "/datasets", displayName=name, kind=kind, description=f"about {name}")
    return service


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", ["a", "it's", "c d"]),
        ("displayName eq 'a'", ["a"]),
        ("displayName eq 'it''s'", ["it's"]),
        ("displayName ne 'a'", ["it's", "c d"]),
        ("kind eq 'Language' and displayName ne 'a'", ["c d"]),
        ("displayName eq 'a' or kind eq 'Acoustic'", ["a", "it's"]),
        ("not kind eq 'Language'", ["it's"]),
        ("not (displayName eq 'a' or displayName eq 'c d')", ["it's"]),
        ("kind eq 'Language' and (displayName eq 'it''s' or displayName eq 'c d')", ["c d"]),
        ("displayName eq 'it''s' or displayName eq 'a' and kind eq 'Acoustic'", ["it's"]),
        ("status eq 'NotStarted'", ["a", "it's", "c d"]),
        ("createdDateTime gt 2022-02-01T11:00:00Z and displayName eq 'c d'", ["c d"]),
        ("createdDateTime lt 2022-02-01T11:00:00Z", []),
        ("lastActionDateTime ge 2022-02-01T11:00:00+02:00", ["a", "it's", "c d"]),
        ("description eq 'about a'", ["a"]),
    ],
)
def test_a_filter_chooses(filtered: RunningEmulator, text: str, names: list[str]) -> None:
    answer = filtered.api.get("/datasets", params={"filter": text})
    assert [value["displayName"] for value in answer.json()["values"]] == names


@pytest.mark.parametrize(
    "text",
    [
        "displayName",
        "displayName eq",
        "displayName eq a",
        "displayName eq 'a",
        "displayName like 'a'",
        "displayName gt 'a'",
        "customProperties eq 'a'",
        "displayName eq 'a' displayName eq 'a'",
        "(displayName eq 'a'",
        "displayName eq 'a')",
        "createdDateTime gt yesterday",
        "createdDateTime gt 0001-01-01T00:00:00+23:59",
        "not",
        "(" * 60 + "displayName eq 'a'" + ")" * 60,
        "not " * 3000 + "displayName eq 'a'",
        "displayName eq 'a' and",
    ],
)
def test_a_filter_that_cannot_be_read(filtered: RunningEmulator, text: str) -> None:
    error = error_of(filtered.api.get("/datasets", params={"filter": text}), 400, "InvalidRequest", "UnsupportedFilter")
    assert "displayName eq 'My dataset'" in error["message"]


def test_requests_beyond_the_rate_are_told_when_to_come_again(start_emulator: StartEmulator) -> None:
    service = start_emulator(rate_limit=5)
    answers = [service.api.get("/projects") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 11
    assert answers[-1].json()["code"] == "TooManyRequests"


def test_locales(service: RunningEmulator) -> None:
    for kind in ("projects", "models", "evaluations", "endpoints"):
        assert service.api.get(f"/{kind}/locales").json() == ["en-US"]
    datasets = service.api.get("/datasets/locales").json()
    assert datasets["Acoustic"] == datasets["Language"] == ["en-US"]
    assert service.api.get("/transcriptions/locales").json() == {"Submit": ["en-US"], "Transcribe": []}


def test_a_body_that_is_too_large(service: RunningEmulator) -> None:
    body = b'{"displayName": "' + b"x" * (5 << 20) + b'"}'
    answer = service.api.post("/projects", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


def test_a_client_that_leaves_in_the_middle_of_a_body_is_no_error_of_the_service(tmp_path: Path) -> None:
    core = Emulator(Options(tmp_path, SecretStr("k")))
    arriving: list[dict[str, Any]] = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> dict[str, Any]:
        return arriving.pop(0)

    async def send(message: Any) -> None:
        pass

    headers = [(b"host", b"a"), (b"content-type", b"application/json"), (b"ocp-apim-subscription-key", b"k")]
    scope = {"type": "http", "method": "POST", "path": "/speechtotext/projects", "headers": headers, "server": ("a", 80)}
    query = {"query_string": b"api-version=2025-10-15", "scheme": "http"}
    asyncio.run(create_app(core)({**scope, **query}, receive, send))  # type: ignore[arg-type]
    assert arriving == []
    assert core.store.entities("projects") == []
    core.stop()


def test_coverage_names_what_is_missing_with_its_reason() -> None:
    from speech_mlflow.emulator.coverage import coverage

    listed = coverage()
    names = [item.name for item in listed]
    assert len(names) == len(set(names))
    assert sum(item.kind == "operation" for item in listed) == 68
    assert all(item.note for item in listed if item.state != "emulated")
    assert {item.name for item in listed if item.kind == "operation" and item.state == "not emulated"} == {
        "Transcriptions_Transcribe"
    }
